"""Hourly and daily sums of settled calls, kept in step with the rows they are sums of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.core import histogram
from gateway.core.histogram import Histograms
from gateway.core.usage import Admission, Settlement
from gateway.store.tables import UsageDayRow, UsageHourRow

Counted: TypeAlias = tuple[Admission, Settlement, int]
"""A call, how it ended, and whether it comes (1) or is taken back (-1)."""

DIMENSIONS = ("start", "key_id", "model", "server_id", "endpoint", "status", "client_app")
SUMS = (
    "requests",
    "errors",
    "streamed",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "duration_ms",
    "queue_ms",
    "ollama_load_ms",
    "ollama_prompt_ms",
    "ollama_eval_ms",
    "timed_tokens",
)
_CHUNK = 100


@dataclass(slots=True)
class _Cell:
    sums: list[float] = field(default_factory=lambda: [0] * len(SUMS))
    histograms: Histograms = field(default_factory=dict)


def count(session: Session, calls: Sequence[Counted]) -> None:
    """Add calls to the sums of their hour and day."""
    hours = _cells(calls, lambda at: at.replace(minute=0, second=0, microsecond=0))
    days = _cells(calls, lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0))
    for table, cells in ((UsageHourRow.__table__, hours), (UsageDayRow.__table__, days)):
        names = sorted(cells)
        for start in range(0, len(names), _CHUNK):
            chunk = {name: cells[name] for name in names[start : start + _CHUNK]}
            _add(session, table, chunk)


def is_error(settlement: Settlement) -> bool:
    """Whether the caller was failed: not by leaving, and not by an admin's cancelling."""
    return settlement.status != 499 and (settlement.status >= 400 or bool(settlement.error_code))


def _cells(calls: Iterable[Counted], begin: Any) -> dict[tuple[Any, ...], _Cell]:
    cells: dict[tuple[Any, ...], _Cell] = {}
    for admission, settlement, sign in calls:
        name = (
            begin(admission.at),
            admission.key_id or 0,
            admission.model[:256],
            settlement.server_id or 0,
            admission.endpoint[:64],
            settlement.status,
            admission.client_app[:64],
        )
        cell = cells.get(name)
        if cell is None:
            cell = cells[name] = _Cell()
        _count(cell, admission, settlement, sign)
    return cells


def _count(cell: _Cell, admission: Admission, settlement: Settlement, sign: int) -> None:
    timed = settlement.completion_tokens if settlement.ollama_eval_ms else 0
    values = (
        1,
        int(is_error(settlement)),
        int(admission.streamed),
        settlement.prompt_tokens,
        settlement.completion_tokens,
        settlement.reasoning_tokens,
        settlement.cached_tokens,
        settlement.duration_ms,
        settlement.queue_ms or 0.0,
        settlement.ollama_load_ms or 0.0,
        settlement.ollama_prompt_ms or 0.0,
        settlement.ollama_eval_ms or 0.0,
        timed,
    )
    sums = cell.sums
    for index, value in enumerate(values):
        sums[index] += sign * value
    if sign < 0:
        return  # only lost calls are taken back, and those have no times
    for metric in histogram.METRICS:
        measured = getattr(settlement, metric)
        if measured is not None and (measured or metric == "queue_ms"):
            histogram.count(cell.histograms, metric, measured)


def _add(session: Session, table: Any, cells: dict[tuple[Any, ...], _Cell]) -> None:
    """Add to rows that may not exist yet. The rows are locked in order, so that two workers wait
    for one another instead of blocking one another."""
    dialect = session.get_bind().dialect.name
    upsert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    empty = dict.fromkeys(SUMS, 0) | {"histograms": "{}"}
    blanks = [dict(zip(DIMENSIONS, name, strict=True)) | empty for name in cells]
    session.execute(upsert(table).on_conflict_do_nothing(), blanks)
    columns = [table.c[name] for name in DIMENSIONS]
    stored = session.execute(
        select(*columns, *(table.c[name] for name in SUMS), table.c.histograms)
        .where(tuple_(*columns).in_(list(cells)))
        .order_by(*columns)
        .with_for_update()
    )
    rows = []
    for row in stored.all():
        name = tuple(row[: len(DIMENSIONS)])
        cell = cells[name]
        sums = [old + new for old, new in zip(row[len(DIMENSIONS) : -1], cell.sums, strict=True)]
        found = histogram.load(row[-1])
        histogram.add(found, cell.histograms)
        rows.append(
            {f"at_{key}": value for key, value in zip(DIMENSIONS, name, strict=True)}
            | {f"new_{key}": value for key, value in zip(SUMS, sums, strict=True)}
            | {"new_histograms": histogram.dump(found)}
        )
    statement = (
        update(table)
        .where(*(table.c[name] == bindparam(f"at_{name}") for name in DIMENSIONS))
        .values({name: bindparam(f"new_{name}") for name in (*SUMS, "histograms")})
    )
    session.connection().execute(statement, rows)
