"""Hourly and daily sums of settled calls, kept in step with the rows they are sums of.

Sums by every property together answer any question; beside them stand sums by one property alone,
which answer the common ones by reading a hundred times less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, cast

from sqlalchemy import Table, func
from sqlalchemy.orm import Session

from gateway.core import histogram
from gateway.core.histogram import Histograms
from gateway.core.usage import Admission, Settlement
from gateway.store.database.engine import insert
from gateway.store.tables import UsageDayRow, UsageHourRow, UsageSumRow

Counted: TypeAlias = tuple[Admission, Settlement, int]
"""A call, how it ended, and whether it comes (1) or is taken back (-1)."""

_HOURS = cast(Table, UsageHourRow.__table__)
_DAYS = cast(Table, UsageDayRow.__table__)
_ALONE = cast(Table, UsageSumRow.__table__)
_SUMS = tuple(
    column.name
    for column in _ALONE.columns
    if not (column.primary_key or column.name == "histograms")
)
_ALONE_DIMENSIONS = ("key", "model", "server", "endpoint", "status", "client")


@dataclass(slots=True)
class _Cell:
    sums: list[float] = field(default_factory=lambda: [0] * len(_SUMS))
    histograms: Histograms = field(default_factory=dict)

    def add(self, other: _Cell) -> None:
        self.sums = [old + new for old, new in zip(self.sums, other.sums, strict=True)]
        histogram.add(self.histograms, other.histograms)


def count(session: Session, calls: Sequence[Counted]) -> None:
    """Add calls to the sums of their hour and day."""
    hours = _cells(calls)
    if not hours:
        return
    _add(session, _HOURS, hours)
    days = _days(hours)
    _add(session, _DAYS, days)
    _add(session, _ALONE, _alone("hour", hours) | _alone("day", days, _ALONE_DIMENSIONS))


def _cells(calls: Iterable[Counted]) -> dict[tuple[Any, ...], _Cell]:
    cells: dict[tuple[Any, ...], _Cell] = defaultdict(_Cell)
    for admission, settlement, sign in calls:
        name = (
            admission.created_at.replace(minute=0, second=0, microsecond=0),
            admission.key_id or 0,
            admission.model_id or 0,
            settlement.server_id or 0,
            admission.endpoint[:64],
            settlement.status,
            admission.client_app[:64],
            settlement.outcome,
        )
        _count(cells[name], admission, settlement, sign)
    return cells


def _days(hours: Mapping[tuple[Any, ...], _Cell]) -> dict[tuple[Any, ...], _Cell]:
    """Add hours up to days."""
    days: dict[tuple[Any, ...], _Cell] = defaultdict(_Cell)
    for (hour, *rest), cell in hours.items():
        days[hour.replace(hour=0), *rest].add(cell)
    return days


def _alone(
    step: str, cells: Mapping[tuple[Any, ...], _Cell], dimensions: Sequence[str] = ()
) -> dict[tuple[Any, ...], _Cell]:
    """Add cells up by each property alone, and by none."""
    found: dict[tuple[Any, ...], _Cell] = defaultdict(_Cell)
    for (start, *values), cell in cells.items():
        for dimension, value in [("all", ""), *zip(dimensions, values, strict=False)]:
            found[dimension, step, start, str(value)].add(cell)
    return found


def _count(cell: _Cell, admission: Admission, settlement: Settlement, sign: int) -> None:
    values = {name: getattr(settlement, name, 0) or 0 for name in _SUMS} | {
        "requests": 1,
        "errors": settlement.outcome == "failed",
        "streamed": admission.streamed,
        "timed_tokens": settlement.completion_tokens if settlement.ollama_eval_ms else 0,
    }
    cell.sums = [old + sign * values[name] for old, name in zip(cell.sums, _SUMS, strict=True)]
    if sign < 0:
        return  # only lost calls are taken back, and those have no times
    for metric in histogram.METRICS:
        measured = getattr(settlement, metric)
        if measured is not None and (measured or metric == "queue_ms"):
            histogram.count(cell.histograms, metric, measured)


def _add(session: Session, table: Table, cells: dict[tuple[Any, ...], _Cell]) -> None:
    """Add to rows that may not exist yet: one statement, in the order of the primary key, so that
    two workers wait for one another instead of blocking one another."""
    keys = table.primary_key.columns.keys()
    rows = [
        dict(zip(keys, name, strict=True))
        | dict(zip(_SUMS, cells[name].sums, strict=True))
        | {"histograms": histogram.dump(cells[name].histograms)}
        for name in sorted(cells)
    ]
    session.connection().execute(_adding(table, session.get_bind().dialect.name), rows)


@cache
def _adding(table: Table, dialect: str) -> Any:
    statement = insert(dialect, table)
    new = statement.excluded
    changes: dict[str, Any] = {name: table.c[name] + new[name] for name in _SUMS}
    merged = func.merge_histograms(table.c.histograms, new.histograms)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_=changes | {"histograms": merged}
    )
