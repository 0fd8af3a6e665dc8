"""The usage explorer: one metric, by one group, over time, against the time before.

Sums come from the rollups; percentiles from their histograms. What is not grouped, and ranges up to
`_FINE`, are read by the hour, so that days begin where the viewer's do; the rest by UTC days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from gateway.admin.usage.charts import Chart, Line, Step, Unit, floor, steps, tracks
from gateway.core import histogram
from gateway.core.requests import Filter
from gateway.core.usage import GROUP_FIELDS, GROUPS, Group, Sums
from gateway.runtime.database import Store
from gateway.store.usage import usage_queries
from gateway.web.words import _

Metric: TypeAlias = Literal[
    "requests", "input", "output", "reasoning", "tokens", "errors", "error_rate",
    "first_token", "speed", "duration", "queue",
]  # fmt: skip
METRICS: tuple[Metric, ...] = get_args(Metric)
SHOWN = 6
_FINE = timedelta(days=8)
_HEAT = timedelta(days=40)
_SUMS: Mapping[str, Callable[[Sums], float | None]] = {
    "requests": lambda sums: sums.requests,
    "input": lambda sums: sums.prompt_tokens,
    "output": lambda sums: sums.completion_tokens,
    "reasoning": lambda sums: sums.reasoning_tokens,
    "tokens": lambda sums: sums.tokens,
    "errors": lambda sums: sums.errors,
    "error_rate": lambda sums: sums.error_rate,
}
_HISTOGRAMS = {
    "first_token": "first_token_ms",
    "speed": "tokens_per_s",
    "duration": "duration_ms",
    "queue": "queue_ms",
}
OTHERS = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What the explorer is asked."""

    metric: Metric
    group: Group
    step: Step
    wanted: Filter
    since: datetime
    until: datetime
    compare: bool = False

    @property
    def is_percentile(self) -> bool:
        """Whether the metric is a distribution rather than a sum."""
        return self.metric in _HISTOGRAMS

    @property
    def daily(self) -> bool:
        """Whether to read daily sums."""
        is_long = self.until - self.since > _FINE
        return is_long and (self.group != "none" or self.wanted.is_narrow)


@dataclass(frozen=True, slots=True)
class Top:
    """A line of the table of groups; `value` is the metric's, `share` of the largest one."""

    name: str
    label: str
    sums: Sums
    value: float | None
    share: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the explorer shows."""

    chart: Chart
    tops: tuple[Top, ...]
    total: Sums
    before: Sums | None


def ask(store: Store, question: Question, labels: Mapping[str, str], zone: ZoneInfo) -> Answer:
    """Answer a question. `labels` names keys, models and servers by id."""
    daily = question.daily
    wanted = replace(question.wanted, since=question.since, until=question.until)
    groups = store.read_slow(usage_queries.by_group, wanted, question.group, daily=daily)
    total = sum((sums for _name, sums in groups), Sums())
    tops = _tops(groups, question, labels)
    named = [top.name for top in tops if top.name] if question.group != "none" else []
    shown = named[:SHOWN]
    starts = steps(question.since, question.until, question.step, zone)
    if question.is_percentile:
        lines = _percentiles(store, question, wanted, shown, starts, zone, labels)
    else:
        lines = _lines(store, question, wanted, shown, starts, zone, labels)
    before = None
    if question.compare:
        length = question.until - question.since
        earlier = replace(wanted, since=question.since - length, until=question.since)
        before = store.read_slow(usage_queries.totals, earlier, daily=daily)
    is_line = question.is_percentile or question.metric == "error_rate"
    chart = Chart(
        "lines" if is_line else "bars",
        unit(question.metric),
        metric_words(question.metric),
        starts,
        tuple(lines),
        _filter_query(question.wanted),
        clock=question.step in {"hour", "minute"},
    )
    return Answer(chart, tuple(tops), total, before)


def heat(
    store: Store, question: Question, zone: ZoneInfo
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """Return calls by weekday (Monday first) and hour of the viewer, and the most in one field."""
    longest = _FINE if question.wanted.is_narrow else _HEAT
    since = max(question.since, question.until - longest)
    wanted = replace(question.wanted, since=since, until=question.until)
    field = [[0] * 24 for _day in range(7)]
    for cell in store.read_slow(usage_queries.series, wanted, "none"):
        local = cell.start.astimezone(zone)
        field[local.weekday()][local.hour] += cell.sums.requests
    return tuple(map(tuple, field)), max(max(day) for day in field)


def unit(metric: Metric) -> Unit:
    """Return how a metric's values are written."""
    units: dict[str, Unit] = {"error_rate": "percent", "speed": "rate"}
    return units.get(metric, "ms" if metric in {"first_token", "duration", "queue"} else "count")


def metric_words(metric: Metric) -> str:
    """Return a metric's name."""
    return {
        "requests": _("Requests"),
        "input": _("Input tokens"),
        "output": _("Output tokens"),
        "reasoning": _("Thinking tokens"),
        "tokens": _("All tokens"),
        "errors": _("Errors"),
        "error_rate": _("Error rate"),
        "first_token": _("Time to first token"),
        "speed": _("Output speed"),
        "duration": _("Duration"),
        "queue": _("Time in queue"),
    }[metric]


def group_words(group: Group) -> str:
    """Return a group's name."""
    return {
        "none": _("Nothing"),
        "key": _("Key"),
        "model": _("Model"),
        "server": _("Server"),
        "endpoint": _("Endpoint"),
        "client": _("Application"),
        "status": _("Status"),
    }[group]


def read_group(text: str) -> Group:
    """Read a group from an address; anything else is none."""
    return text if text in GROUPS else "none"


def read_metric(text: str) -> Metric:
    """Read a metric from an address; anything else is requests."""
    return text if text in METRICS else "requests"


def label(group: Group, name: str, labels: Mapping[str, str]) -> str:
    """Return the words for a group's value."""
    if group in {"key", "model", "server"}:
        if name in {"0", "None"}:
            return str(_("none"))
        return labels.get(name, str(_("deleted (%(id)s)", id=name)))
    return name or str(_("unknown"))


def _tops(
    groups: Sequence[tuple[str, Sums]], question: Question, labels: Mapping[str, str]
) -> list[Top]:
    take = _SUMS.get(question.metric, _SUMS["requests"])
    valued = [(name, sums, take(sums)) for name, sums in groups]
    valued.sort(key=lambda one: -(one[2] or 0))
    most = max((value or 0 for _name, _sums, value in valued), default=0) or 1
    return [
        Top(name, label(question.group, name, labels), sums, value, (value or 0) / most)
        for name, sums, value in valued
    ]


def _lines(
    store: Store,
    question: Question,
    wanted: Filter,
    shown: Sequence[str],
    starts: Sequence[datetime],
    zone: ZoneInfo,
    labels: Mapping[str, str],
) -> list[Line]:
    cells = store.read_slow(
        usage_queries.series, wanted, question.group, shown, daily=question.daily
    )
    found = tracks(cells, starts, question.step, zone)
    take = _SUMS[question.metric]
    names = [usage_queries.ALL] if question.group == "none" else [*shown, OTHERS]
    return [
        Line(
            _line_name(question, name, labels),
            tuple(take(sums) for sums in found[name]),
            _colour(index, name),
            _line_query(question, name),
        )
        for index, name in enumerate(names)
        if name in found
    ]


def _percentiles(
    store: Store,
    question: Question,
    wanted: Filter,
    shown: Sequence[str],
    starts: Sequence[datetime],
    zone: ZoneInfo,
    labels: Mapping[str, str],
) -> list[Line]:
    metric = _HISTOGRAMS[question.metric]
    is_fine = question.group == "none" and not wanted.is_narrow
    daily = question.daily or (question.step != "hour" and not is_fine)
    rows = store.read_slow(usage_queries.histograms, wanted, question.group, shown, daily=daily)
    place = {start: index for index, start in enumerate(starts[:-1])}
    texts: dict[tuple[str, int], list[str]] = {}
    for start, name, text in rows:
        index = place.get(floor(start, question.step, zone))
        if index is not None:
            texts.setdefault((name, index), []).append(text)
    merged = {at: histogram.merge(found, (metric,)).get(metric, {}) for at, found in texts.items()}
    if question.group == "none":
        return [
            Line(f"p{share}", _track(merged, usage_queries.ALL, share, len(place)), colour)
            for share, colour in ((50, 1), (90, 3), (99, 6))
        ]
    names = [name for name in (*shown, OTHERS) if any(key[0] == name for key in merged)]
    return [
        Line(
            f"{_line_name(question, name, labels)} · p50",
            _track(merged, name, 50, len(place)),
            _colour(index, name),
            _line_query(question, name),
        )
        for index, name in enumerate(names)
    ]


def _track(
    merged: Mapping[tuple[str, int], Mapping[int, int]], name: str, share: int, length: int
) -> tuple[float | None, ...]:
    return tuple(
        histogram.percentile(merged.get((name, index), {}), share / 100) for index in range(length)
    )


def _colour(index: int, name: str) -> int:
    return 8 if name == OTHERS else index + 1


def _line_name(question: Question, name: str, labels: Mapping[str, str]) -> str:
    if question.group == "none":
        return metric_words(question.metric)
    return str(_("others")) if name == OTHERS else label(question.group, name, labels)


def _line_query(question: Question, name: str) -> tuple[tuple[str, str], ...]:
    if question.group == "none" or name == OTHERS:
        return ()
    return ((GROUP_FIELDS[question.group], name),)


def _filter_query(wanted: Filter) -> tuple[tuple[str, str], ...]:
    given = ((name, getattr(wanted, name)) for name in GROUP_FIELDS.values())
    return tuple((name, str(value)) for name, value in given if value)
