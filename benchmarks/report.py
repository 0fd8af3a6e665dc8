"""Turn the figures of a run into the Markdown table and say which goals are met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Figures

Results = Mapping[str, Mapping[str, list[Figures]]]  # scenario -> target -> one per repetition
COLUMNS = ("ours", "nginx", "naive")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `added` subtracts the direct way's median. A goal is an upper bound, of the figure or, with
    `ratio`, of its multiple of nginx's; with `least` it is a lower bound.
    """

    title: str
    scenario: str
    figure: str
    scale: float = 1.0
    added: bool = False
    goal: float | None = None
    stretch: float | None = None
    ratio: bool = False
    least: bool = False


ROWS = [
    Row(
        "CPU µs per token, 200 streams × 20/s",
        "paced-200",
        "cpu_us_per_token",
        goal=2,
        stretch=1.5,
        ratio=True,
    ),
    Row("– between first and last token only", "paced-200", "steady_cpu_us_per_token"),
    Row(
        "CPU µs per token, 500 streams × 20/s",
        "paced-500",
        "cpu_us_per_token",
        goal=2,
        stretch=1.5,
        ratio=True,
    ),
    Row("– between first and last token only", "paced-500", "steady_cpu_us_per_token"),
    Row("– token later than direct, p50 ms", "paced-500", "token_p50_ms", added=True),
    Row("– token later than direct, p99 ms", "paced-500", "token_p99_ms", added=True, goal=100),
    Row("– streams failed", "paced-500", "failures", goal=0),
    Row("– tokens lost", "paced-500", "lost", goal=0),
    Row("CPU µs per token, 1,000 streams × 20/s", "paced-1000", "cpu_us_per_token"),
    Row("– token later than direct, p99 ms", "paced-1000", "token_p99_ms", added=True, stretch=100),
    Row("– streams failed", "paced-1000", "failures", stretch=0),
    Row("– tokens lost", "paced-1000", "lost", stretch=0),
    Row(
        "CPU µs per token, saturated, 32 streams",
        "saturated",
        "cpu_us_per_token",
        goal=12,
        stretch=8,
    ),
    Row("– thousand tokens a second", "saturated", "tokens_per_s", scale=1e-3),
    Row("– the same through `/v1/messages`", "messages", "cpu_us_per_token", goal=12, stretch=8),
    Row("– the same through `/v1/responses`", "responses", "cpu_us_per_token", goal=12, stretch=8),
    Row("CPU µs per small non-streamed call", "small", "cpu_us_per_call", goal=1_200, stretch=800),
    Row("– calls a second, 8 connections", "small", "calls_per_s"),
    Row(
        "first token later than direct, p50 ms",
        "first",
        "first_p50_ms",
        added=True,
        goal=1.5,
        stretch=1,
    ),
    Row(
        "first token later than direct, p99 ms",
        "first",
        "first_p99_ms",
        added=True,
        goal=6,
        stretch=4,
    ),
    Row(
        "embeddings 64 × 1,024 float, CPU ms",
        "embed-float",
        "cpu_us_per_call",
        scale=1e-3,
        goal=10,
        stretch=6,
    ),
    Row(
        "embeddings 64 × 1,024 base64, CPU ms",
        "embed-base64",
        "cpu_us_per_call",
        scale=1e-3,
        goal=10,
        stretch=6,
    ),
    Row("list of models, CPU µs", "models", "cpu_us_per_call", goal=350, stretch=250),
    Row(
        "base RSS MB, all processes", "memory", "idle_rss_kb", scale=1 / 1_024, goal=100, stretch=80
    ),
    Row("base PSS MB, all processes", "memory", "idle_pss_kb", scale=1 / 1_024),
    Row("KB per open stream", "memory", "kb_per_stream", goal=60, stretch=40),
    Row(
        "two workers against one, calls a second ×",
        "workers",
        "calls_scaling",
        goal=1.8,
        least=True,
    ),
    Row("– the most this machine leaves room for", "workers", "calls_possible"),
    Row(
        "two workers against one, tokens a second ×",
        "workers",
        "tokens_scaling",
        goal=1.8,
        least=True,
    ),
    Row("– the most this machine leaves room for", "workers", "tokens_possible"),
]


def table(results: Results) -> str:
    """Return the Markdown table of everything in `results`."""
    lines = [
        "| figure | ours | nginx | naive | ours / nginx | ours / naive | goal | stretch | |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    lines += [_line(row, results) for row in ROWS if row.scenario in results]
    return "\n".join(lines)


def faults(results: Results) -> list[str]:
    """Return one sentence for each measurement in which something failed."""
    found = []
    for scenario, by_target in results.items():
        for target, runs in by_target.items():
            for number, figures in enumerate(runs, 1):
                if figures.get("failures") or figures.get("lost"):
                    kinds = figures.get("faults", {})
                    lost = figures.get("lost", 0)
                    found.append(f"{scenario}, {target}, run {number}: {kinds} lost={lost}")
    return found


def value(row: Row, target: str, results: Results) -> float | None:
    """Return the row's median for a target; None when it was not measured."""
    seen = _median(row, target, results)
    if seen is None or not row.added:
        return None if seen is None else seen * row.scale
    direct = _median(row, "direct", results)
    return None if direct is None else (seen - direct) * row.scale


def verdict(row: Row, results: Results) -> str:
    """Return `stretch`, `met`, `MISSED` or nothing for our figure."""
    mine = value(row, "ours", results)
    if mine is None or (row.goal is None and row.stretch is None):
        return ""
    if row.ratio:
        other = value(row, "nginx", results)
        if not other:
            return ""
        mine /= other
    for bound, word in ((row.stretch, "stretch"), (row.goal, "met")):
        if bound is not None and (mine >= bound if row.least else mine <= bound):
            return word
    return "MISSED" if row.goal is not None else "stretch missed"


def _median(row: Row, target: str, results: Results) -> float | None:
    values = [
        run[row.figure]
        for run in results.get(row.scenario, {}).get(target, [])
        if row.figure in run
    ]
    return median(values) if values else None


def _line(row: Row, results: Results) -> str:
    mine, *others = (value(row, target, results) for target in COLUMNS)
    ratios = [f"{mine / other:.2f}" if mine and other and other > 0 else "" for other in others]
    cells = [number(mine), *(number(other) for other in others), *ratios]
    bounds = [_bound(row, row.goal), _bound(row, row.stretch)]
    return f"| {row.title} | {' | '.join([*cells, *bounds, verdict(row, results)])} |"


def _bound(row: Row, bound: float | None) -> str:
    if bound is None:
        return ""
    return f"{'≥' if row.least else '≤'} {bound:g}{' × nginx' if row.ratio else ''}"


def number(value: float | None) -> str:
    """Return a figure with three digits that mean something."""
    if value is None:
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
