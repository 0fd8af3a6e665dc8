"""The figures of the dashboard, what failed last, how many keys, models and servers there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.core import histogram
from gateway.core.requests import CallRow, Filter
from gateway.core.usage import Sums
from gateway.runtime.database import Store
from gateway.scheduling.catalog import Catalog
from gateway.store import key_queries
from gateway.store.usage import request_queries, usage_queries

LAST_HOUR = timedelta(minutes=59)
"""Back from the running minute: sixty of them."""
FAILURES_SPAN = timedelta(days=7)
MOST_FAILURES = 100
_FAILED_HOURS = 4
"""How many hours with failures are looked into: sums say which, so that no others are read."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the six numbers: of the last 24 hours, of the 24 before, and by the hour."""

    name: str
    value: float | None
    before: float | None
    hours: tuple[float | None, ...]

    @property
    def change(self) -> float | None:
        """By what share of the day before it grew; None where that has nothing to compare with."""
        if self.value is None or not self.before:
            return None
        return (self.value - self.before) / self.before


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What the dashboard shows of the last 24 hours. `figures` are requests, tokens, errors (their
    share), first_token (median, ms), speed (median, tokens a second) and queue (median, ms)."""

    figures: tuple[Figure, ...]
    sums: Sums
    keys: int
    models: int
    servers: int


def report(store: Store, catalog: Catalog, at: datetime) -> Dashboard:
    """Return the dashboard of a moment; `models` are those that can be called."""
    figures, sums = _figures(store, at)
    return Dashboard(
        figures,
        sums,
        keys=store.read(key_queries.count, at),
        models=sum(model.enabled and model.available for model in catalog.models()),
        servers=len(catalog.servers()),
    )


def failures(store: Store, at: datetime) -> list[CallRow]:
    """Return the requests of the last seven days that failed, newest first: those of the last
    hours that have any, and no more than MOST_FAILURES."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    cells = store.read_slow(usage_queries.series, Filter(since=hour - FAILURES_SPAN), "none")
    hours = [cell.start for cell in reversed(cells) if cell.sums.errors][:_FAILED_HOURS]
    if not hours:
        return []
    return store.read_slow(request_queries.failures, hours, MOST_FAILURES)


def _figures(store: Store, at: datetime) -> tuple[tuple[Figure, ...], Sums]:
    """Return the six numbers of the last 24 h beside those of the day before, by the hour."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    since = hour - timedelta(hours=47)
    wanted = Filter(since=since, until=since + timedelta(hours=48))
    cells = store.read_slow(usage_queries.series, wanted, "none")
    by_hour = {cell.start: cell.sums for cell in cells}
    hours = [by_hour.get(since + timedelta(hours=n), Sums()) for n in range(48)]
    earlier, today = sum(hours[:24], Sums()), sum(hours[24:], Sums())
    rows = store.read_slow(usage_queries.histograms, wanted)
    metrics = ("first_token_ms", "tokens_per_s", "queue_ms")
    first, speed, queue = (_medians(rows, since, metric) for metric in metrics)
    return (
        Figure("requests", today.requests, earlier.requests, _each(hours, "requests")),
        Figure("tokens", today.tokens, earlier.tokens, _each(hours, "tokens")),
        Figure("errors", today.error_rate, earlier.error_rate, _each(hours, "errors")),
        Figure("first_token", first[1], first[0], first[2]),
        Figure("speed", speed[1], speed[0], speed[2]),
        Figure("queue", queue[1], queue[0], queue[2]),
    ), today


def _each(hours: list[Sums], name: str) -> tuple[float | None, ...]:
    return tuple(getattr(sums, name) for sums in hours[24:])


def _medians(
    rows: Sequence[tuple[datetime, str, str]], since: datetime, metric: str
) -> tuple[float | None, float | None, tuple[float | None, ...]]:
    """Return a metric's medians: of the day before, of the last one, and of its hours."""
    texts: list[list[str]] = [[] for _hour in range(48)]
    for start, _name, text in rows:
        texts[(start - since) // timedelta(hours=1)].append(text)

    def median(hours: list[list[str]]) -> float | None:
        merged = histogram.merge((text for found in hours for text in found), (metric,))
        return histogram.percentile(merged.get(metric, {}), 0.5)

    hours = tuple(median([hour]) for hour in texts[24:])
    return median(texts[:24]), median(texts[24:]), hours
