"""Draw a small line chart with logarithmic axes as SVG, with the standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 680, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 44, 52
# Told apart by colour and by dash, so that neither a screen nor a print needs the other.
_STYLES = [("#1f5fa8", ""), ("#b3431e", "6 4"), ("#3b7a3b", "2 3"), ("#6b4c9a", "8 3 2 3")]

Series = Sequence[tuple[float, float]]


def chart(title: str, x_label: str, y_label: str, series: Mapping[str, Series]) -> str:
    """Return the SVG text of a log-log chart; points at or below zero are drawn at the axis."""
    points = [point for line in series.values() for point in line]
    x_range = _decades([x for x, _ in points])
    y_range = _decades([y for _, y in points])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>',
        *_grid(x_range, y_range),
        f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
        f'<text transform="translate(16 {(_TOP + HEIGHT - _BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>',
    ]
    for number, (name, line) in enumerate(series.items()):
        colour, dash = _STYLES[number % len(_STYLES)]
        placed = [(_x(x, x_range), _y(y, y_range)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        at = _LEFT + 6 + number * 150
        parts.append(
            f'<line x1="{at}" y1="34" x2="{at + 24}" y2="34" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/><text x="{at + 30}" y="38">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _decades(values: Sequence[float]) -> tuple[float, float]:
    positive = [value for value in values if value > 0] or [1.0]
    low = math.floor(math.log10(min(positive)))
    return low, max(low + 1, math.ceil(math.log10(max(positive)) - 1e-9))


def _grid(x_range: tuple[float, float], y_range: tuple[float, float]) -> list[str]:
    parts = []
    for power in range(int(x_range[0]), int(x_range[1]) + 1):
        x = _x(10.0**power, x_range)
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{HEIGHT - _BOTTOM}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
            f"{_tick(power)}</text>"
        )
    for power in range(int(y_range[0]), int(y_range[1]) + 1):
        y = _y(10.0**power, y_range)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(power)}</text>'
        )
    return parts


def _tick(power: int) -> str:
    if power < 0:
        return f"{10.0**power:g}"
    for step, unit in ((9, "G"), (6, "M"), (3, "k")):
        if power >= step:
            return f"{10 ** (power - step)}{unit}"
    return str(10**power)


def _x(value: float, span: tuple[float, float]) -> float:
    return _LEFT + _share(value, span) * (WIDTH - _LEFT - _RIGHT)


def _y(value: float, span: tuple[float, float]) -> float:
    return HEIGHT - _BOTTOM - _share(value, span) * (HEIGHT - _TOP - _BOTTOM)


def _share(value: float, span: tuple[float, float]) -> float:
    power = math.log10(value) if value > 0 else span[0]
    return max(0.0, (power - span[0]) / (span[1] - span[0]))
