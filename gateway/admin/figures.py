"""The six figures of the dashboard: each with its change since the day before and its line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flask import url_for

from gateway.reports.dashboard import Dashboard, Figure
from gateway.web.template_filters import duration, percent, rate, short
from gateway.web.words import _

_ALARMING = 0.05
_LEAST_CHANGE = 0.01
_MUCH_CHANGE = 0.25


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure compares with the day before: `share` with an arrow, "" where there is nothing
    to compare, in a `colour` that says whether that is good; and words."""

    words: str
    share: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure as the dashboard shows it: `value` in words, its address, its line by the hour."""

    name: str
    icon: str
    value: str
    url: str
    hours: tuple[float | None, ...]
    hours_words: str
    change: Change
    kind: str = ""
    title: str = ""


def tiles(found: Dashboard) -> list[Tile]:
    """Return the six figures of the last 24 hours."""
    requests, tokens, errors, first_token, speed, queue = found.figures
    sent, answered = short(found.sums.prompt_tokens), short(found.sums.completion_tokens)
    return [
        Tile(
            _("Requests"),
            "activity",
            short(requests.value),
            url_for("admin.requests", range="24h"),
            requests.hours,
            _("Requests by hour"),
            change_of(requests),
        ),
        Tile(
            _("Tokens"),
            "hash",
            short(tokens.value),
            url_for("admin.usage", range="24h", metric="tokens"),
            tokens.hours,
            _("Tokens by hour"),
            change_of(tokens),
            title=_("%(in)s in, %(out)s out", **{"in": sent, "out": answered}),
        ),
        Tile(
            _("Error rate"),
            "exclamation-triangle-fill",
            percent(errors.value),
            url_for("admin.requests", range="24h", status="failed"),
            errors.hours,
            _("Errors by hour"),
            change_of(errors, good="down"),
            kind="danger" if (errors.value or 0) > _ALARMING else "",
        ),
        Tile(
            _("Time to first token (median)"),
            "clock",
            duration(first_token.value),
            url_for("admin.usage", range="24h", metric="first_token"),
            first_token.hours,
            _("Time to first token by hour"),
            change_of(first_token, good="down"),
        ),
        Tile(
            _("Output speed (median)"),
            "lightning-charge",
            rate(speed.value),
            url_for("admin.usage", range="24h", metric="speed"),
            speed.hours,
            _("Output speed by hour"),
            change_of(speed, good="up"),
        ),
        Tile(
            _("Queue wait (median)"),
            "hourglass-split",
            duration(queue.value),
            url_for("admin.usage", range="24h", metric="queue"),
            queue.hours,
            _("Queue wait by hour"),
            change_of(queue, good="down"),
        ),
    ]


def change_of(figure: Figure, good: Literal["up", "down", ""] = "") -> Change:
    """Return how a figure changed; `good` is the direction that is an improvement, "" for none."""
    share = figure.change
    if figure.value is None:
        return Change(_("last 24 hours"))
    if share is None and figure.value:
        return Change(_("nothing yesterday"))
    if share is None or abs(share) < _LEAST_CHANGE:
        return Change(_("as yesterday"))
    colour = ""
    if good:
        is_good = (share > 0) == (good == "up")
        kind = "success" if is_good else "danger" if abs(share) > _MUCH_CHANGE else "warning"
        colour = f"text-{kind}-emphasis"
    return Change(_("vs yesterday"), f"{'▲' if share > 0 else '▼'} {percent(abs(share))}", colour)
