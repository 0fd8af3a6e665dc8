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

from gateway.core import histogram
from gateway.core.requests import Filter
from gateway.core.usage import Group, Sums
from gateway.reports.time_steps import Step, by_step, floor, steps
from gateway.runtime.database import Store
from gateway.store.usage import usage_queries

Metric: TypeAlias = Literal[
    "requests", "input", "output", "reasoning", "tokens", "errors", "error_rate",
    "first_token", "speed", "duration", "queue",
]  # fmt: skip
METRICS: tuple[Metric, ...] = get_args(Metric)
SHOWN = 6
"""As many groups have a series of their own; the others share one."""
DEFAULT = timedelta(days=7)
_MOST_STEPS = 400
_LENGTHS: Mapping[str, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
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
    def filter(self) -> Filter:
        """Which calls are meant, with their time."""
        return replace(self.wanted, since=self.since, until=self.until)

    @property
    def daily(self) -> bool:
        """Whether to read daily sums."""
        is_long = self.until - self.since > _FINE
        return is_long and (self.group != "none" or self.wanted.is_narrow)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the chart, a value a step: of a group (OTHERS: of all not shown, "all": of
    everything), or a percentile of it."""

    group: str
    percentile: int | None
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the explorer found. `starts` are the steps' first instants and the end of the last one;
    `groups` have the most of the metric first. `before` and `earlier` are the sums and the steps of
    the previous period, of all groups together; None and () where that was not asked for."""

    starts: tuple[datetime, ...]
    series: tuple[Series, ...]
    groups: tuple[tuple[str, Sums], ...]
    total: Sums
    before: Sums | None
    earlier: tuple[float | None, ...]


def question(
    wanted: Filter,
    now: datetime,
    *,
    metric: Metric = "requests",
    group: Group = "none",
    step: str = "",
    compare: bool = False,
) -> Question:
    """Return the question about a filter's time, the last DEFAULT where it has none; with a step
    that fits where none, or a far too fine one, is asked for."""
    until = min(wanted.until or now, now + timedelta(days=1))
    since = min(wanted.since or until - DEFAULT, until - timedelta(minutes=1))
    narrowed = replace(wanted, since=None, until=None)
    fitting = _step(step, until - since)
    return Question(metric, group, fitting, narrowed, since, until, compare)


def ask(store: Store, asked: Question, zone: ZoneInfo) -> Answer:
    """Answer a question."""
    groups = store.read_slow(usage_queries.by_group, asked.filter, asked.group, daily=asked.daily)
    value = _SUMS.get(asked.metric, _SUMS["requests"])
    groups.sort(key=lambda one: -(value(one[1]) or 0))
    shown = [name for name, _sums in groups if name][:SHOWN] if asked.group != "none" else []
    starts = steps(asked.since, asked.until, asked.step, zone)
    find = _percentiles if asked.is_percentile else _sums
    before, earlier = _earlier(store, asked, len(starts) - 1, zone)
    return Answer(
        starts,
        tuple(find(store, asked, shown, starts, zone)),
        tuple(groups),
        sum((sums for _name, sums in groups), Sums()),
        before,
        earlier,
    )


def _earlier(
    store: Store, asked: Question, count: int, zone: ZoneInfo
) -> tuple[Sums | None, tuple[float | None, ...]]:
    """Return the sums of the previous period, and its first `count` steps: of a percentile the
    median."""
    if not asked.compare:
        return None, ()
    began = asked.since - (asked.until - asked.since)
    past = replace(asked, group="none", since=began, until=asked.since)
    find = _percentiles if asked.is_percentile else _sums
    found = find(store, past, (), steps(began, past.until, asked.step, zone), zone)
    values = found[0].values[:count] if found else ()
    sums = store.read_slow(usage_queries.totals, past.filter, daily=asked.daily)
    return sums, (*values, *(None,) * (count - len(values)))


def heat(store: Store, asked: Question, zone: ZoneInfo) -> tuple[tuple[tuple[int, ...], ...], int]:
    """Return calls by weekday (Monday first) and hour of the viewer, and the most in one field."""
    longest = _FINE if asked.wanted.is_narrow else _HEAT
    since = max(asked.since, asked.until - longest)
    wanted = replace(asked.wanted, since=since, until=asked.until)
    field = [[0] * 24 for _day in range(7)]
    for cell in store.read_slow(usage_queries.series, wanted, "none"):
        local = cell.start.astimezone(zone)
        field[local.weekday()][local.hour] += cell.sums.requests
    return tuple(map(tuple, field)), max(max(day) for day in field)


def value_of(sums: Sums, metric: Metric) -> float | None:
    """Return a metric of sums; of a percentile, how many requests there were."""
    return _SUMS.get(metric, _SUMS["requests"])(sums)


def _step(text: str, length: timedelta) -> Step:
    for step in ("hour", "day", "week", "month"):
        if step == text and length / _LENGTHS[step] <= _MOST_STEPS:
            return step
    if length <= timedelta(days=3):
        return "hour"
    return "day" if length <= timedelta(days=120) else "week"


def _sums(
    store: Store, asked: Question, shown: Sequence[str], starts: Sequence[datetime], zone: ZoneInfo
) -> list[Series]:
    cells = store.read_slow(
        usage_queries.series, asked.filter, asked.group, shown, daily=asked.daily
    )
    found = by_step(cells, starts, asked.step, zone)
    names = [usage_queries.ALL] if asked.group == "none" else [*shown, OTHERS]
    return [
        Series(name, None, tuple(value_of(sums, asked.metric) for sums in found[name]))
        for name in names
        if name in found
    ]


def _percentiles(
    store: Store, asked: Question, shown: Sequence[str], starts: Sequence[datetime], zone: ZoneInfo
) -> list[Series]:
    metric = _HISTOGRAMS[asked.metric]
    is_fine = asked.group == "none" and not asked.wanted.is_narrow
    daily = asked.daily or (asked.step != "hour" and not is_fine)
    rows = store.read_slow(usage_queries.histograms, asked.filter, asked.group, shown, daily=daily)
    place = {start: index for index, start in enumerate(starts[:-1])}
    texts: dict[tuple[str, int], list[str]] = {}
    for start, name, text in rows:
        index = place.get(floor(start, asked.step, zone))
        if index is not None:
            texts.setdefault((name, index), []).append(text)
    merged = {at: histogram.merge(found, (metric,)).get(metric, {}) for at, found in texts.items()}
    if asked.group == "none":
        wanted_lines = [(usage_queries.ALL, share) for share in (50, 90, 99)]
    else:
        names = [name for name in (*shown, OTHERS) if any(key[0] == name for key in merged)]
        wanted_lines = [(name, 50) for name in names]
    return [
        Series(
            name,
            share,
            tuple(
                histogram.percentile(merged.get((name, index), {}), share / 100)
                for index in range(len(place))
            ),
        )
        for name, share in wanted_lines
    ]
