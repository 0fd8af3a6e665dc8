"""Charts and totals: sums over the hourly and daily rollups, never over single calls.

A filter's `status` narrows as on the requests page. Groups are given as text, whatever column they
come from; ids of keys, models and servers are looked up by whoever shows them (`store/names.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    case,
    cast,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.orm import Session

from gateway.core.requests import Filter
from gateway.core.usage import GROUP_FIELDS, OUTCOMES, Cell, Group, Sums
from gateway.store.tables import RequestLogRow, UsageDayRow, UsageHourRow, UsageSumRow, from_us
from gateway.store.usage import request_queries

Rollup = type[UsageHourRow] | type[UsageDayRow]
Table = Rollup | type[UsageSumRow]
_MINUTE_US = 60_000_000
_EQUAL = ("key_id", "model_id", "server_id", "endpoint", "client_app")
_KINDS: list[Any] = [type(one.default) for one in fields(Sums)]
ALL = "all"
MOST_GROUPS = 20_000


def totals(session: Session, wanted: Filter, *, daily: bool = False) -> Sums:
    """Return the sums of everything that is meant."""
    source = _source(wanted, "none", daily)
    row = session.execute(select(*columns(source.table)).where(*source.conditions)).one()
    return to_sums(row)


def by_group(
    session: Session, wanted: Filter, group: Group, *, daily: bool = False
) -> list[tuple[str, Sums]]:
    """Return the sums of each group, busiest first; at most MOST_GROUPS, as names of models that
    do not exist are groups too."""
    source = _source(wanted, group, daily)
    query = (
        select(source.name, *columns(source.table))
        .where(*source.conditions)
        .group_by(source.name)
        .order_by(func.sum(source.table.requests).desc(), source.name)
        .limit(MOST_GROUPS)
    )
    return [(str(row[0]), to_sums(row[1:])) for row in session.execute(query)]


def series(
    session: Session,
    wanted: Filter,
    group: Group,
    shown: Sequence[str] = (),
    *,
    daily: bool = False,
) -> list[Cell]:
    """Return the sums of each hour (or UTC day) and group in time order; groups that are not in
    `shown` are added up under ""."""
    source = _source(wanted, group, daily)
    name = source.among(shown)
    query = (
        select(source.table.start, name, *columns(source.table))
        .where(*source.conditions)
        .group_by(source.table.start, name)
        .order_by(source.table.start)
    )
    return [Cell(row[0], str(row[1]), to_sums(row[2:])) for row in session.execute(query)]


def histograms(
    session: Session,
    wanted: Filter,
    group: Group = "none",
    shown: Sequence[str] = (),
    *,
    daily: bool = False,
) -> list[tuple[datetime, str, str]]:
    """Return (start, group, histograms as text) of every row of sums that is meant."""
    source = _source(wanted, group, daily)
    query = select(source.table.start, source.among(shown), source.table.histograms).where(
        *source.conditions
    )
    return [(row[0], str(row[1]), row[2]) for row in session.execute(query)]


def minutes(session: Session, since: datetime) -> list[tuple[datetime, int, int]]:
    """Return (minute, kind, calls) since a recent moment; from single calls, as rollups have no
    minutes. The kind is 0 for running, 2 for ok, 3 for cancelled, 4 and 5 for failed calls."""
    at = type_coerce(RequestLogRow.created_at, BigInteger)
    minute = at - at % literal(_MINUTE_US, BigInteger)
    kind = case(
        (RequestLogRow.settled_at.is_(None), literal(0)),
        (request_queries.is_cancelled(), literal(3)),
        (RequestLogRow.status >= 500, literal(5)),
        (RequestLogRow.status >= 400, literal(4)),
        (RequestLogRow.error_code != "", literal(5)),
        else_=literal(2),
    )
    query = (
        select(minute, kind, func.count())
        .where(RequestLogRow.created_at >= since)
        .group_by(minute, kind)
        .order_by(minute)
    )
    return [(from_us(int(row[0])), int(row[1]), int(row[2])) for row in session.execute(query)]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the sums of a question are: a table, the rows of it, and the group's column."""

    table: Table
    conditions: list[ColumnElement[bool]]
    name: Any
    is_grouped: bool

    def among(self, shown: Sequence[str]) -> Any:
        """Return the group's name, "" where it is not among those shown."""
        if not self.is_grouped:
            return self.name
        return case((self.name.in_(list(shown)), self.name), else_=literal(""))


def _source(wanted: Filter, group: Group, daily: bool) -> _Source:
    """Choose the smallest sums that know the answer: those by one property alone, where nothing
    else is asked for."""
    is_grouped = group != "none"
    if not wanted.is_narrow and (daily or not is_grouped):
        alone = UsageSumRow
        found = request_queries.in_span(alone.start, wanted)
        found.append(alone.dimension == (group if is_grouped else ALL))
        found.append(alone.step == ("day" if daily else "hour"))
        return _Source(alone, found, alone.value if is_grouped else literal(ALL), is_grouped)
    table = UsageDayRow if daily else UsageHourRow
    name = cast(getattr(table, GROUP_FIELDS[group]), String(256)) if is_grouped else literal(ALL)
    return _Source(table, _conditions(table, wanted), name, is_grouped)


def columns(table: Table) -> list[Any]:
    """Return the columns to select that `to_sums` reads."""
    names = (one.name.replace("eval_ms", "ollama_eval_ms") for one in fields(Sums))
    return [func.coalesce(func.sum(getattr(table, name)), 0) for name in names]


def to_sums(row: Any) -> Sums:
    """Return a selected row of `columns` as a value."""
    # PostgreSQL sums whole numbers as Decimal
    return Sums(*(kind(value) for kind, value in zip(_KINDS, row, strict=True)))


def _conditions(table: Rollup, wanted: Filter) -> list[ColumnElement[bool]]:
    found = request_queries.in_span(table.start, wanted)
    found += request_queries.equal(table, wanted, _EQUAL)
    if wanted.status in OUTCOMES:
        found.append(table.outcome == wanted.status)
    elif wanted.status:
        found.append(request_queries.has_status(table.status, wanted.status))
    return found
