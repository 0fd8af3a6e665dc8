"""Budgets: what keys have used, and what workers may spend without asking.

A worker leases units (`lease`): one conditional UPDATE lets `reserved` grow only while
`used + reserved` stays within the limit, so however many workers ask, the limit holds exactly. The
writer turns leased units into used ones when it settles calls; what a worker does not need goes
back (`give_back`), and so does what a dead worker still held (`release_worker`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.core.keys import PERIODS, Period
from gateway.core.periods import period_start
from gateway.core.usage import Admission, Settlement
from gateway.store.tables import ApiKeyRow, CounterLeaseRow, KeyCounterRow

CounterName: TypeAlias = tuple[int, str, str, datetime]
"""Key, metric, period, and the period's first instant."""

_counter = cast(Table, KeyCounterRow.__table__)
_lease = cast(Table, CounterLeaseRow.__table__)


def used(session: Session, key_id: int, periods: Mapping[str, datetime]) -> dict[Any, int]:
    """Give (metric, period) to units used, for the periods that begin as told."""
    query = select(_counter).where(_counter.c.key_id == key_id)
    return {
        (row.metric, row.period): row.used
        for row in session.execute(query)
        if periods.get(row.period) == row.start
    }


def lease(
    session: Session, name: CounterName, *, worker: str, want: int, least: int, limit: int
) -> tuple[int, int]:
    """Lease up to `want` units, at least `least` or none; give (units, units still free)."""
    _ensure(session, [name])
    here = _at(_counter, name)
    row = session.execute(
        select(_counter.c.used, _counter.c.reserved).where(*here).with_for_update()
    ).one()
    free = limit - row.used - row.reserved
    units = min(want, free)
    if units < least or units <= 0:
        return 0, max(0, free)
    taken = session.execute(
        update(_counter)
        .where(*here, _counter.c.used + _counter.c.reserved + units <= limit)
        .values(reserved=_counter.c.reserved + units)
    )
    if not getattr(taken, "rowcount", 0):
        return 0, max(0, free)
    session.execute(
        _upsert(session, _lease)
        .values(worker=worker, units=units, **_named(name))
        .on_conflict_do_update(
            index_elements=list(_lease.primary_key), set_={"units": _lease.c.units + units}
        )
    )
    return units, free - units


def give_back(session: Session, name: CounterName, *, worker: str, units: int) -> None:
    """Return leased units that were not spent."""
    _unreserve(session, {name: units}, worker)


def release_worker(session: Session, worker: str) -> int:
    """Return everything a worker still holds; give how many leases that were."""
    query = select(_lease).where(_lease.c.worker == worker)
    rows = session.execute(query.order_by(*_lease.primary_key)).all()
    held = {(row.key_id, row.metric, row.period, row.start): row.units for row in rows}
    if held:
        _unreserve(session, held, worker)
        session.execute(delete(_lease).where(_lease.c.worker == worker))
    return len(held)


def lease_holders(session: Session) -> list[str]:
    """Give the workers that hold leases."""
    return list(session.scalars(select(_lease.c.worker).distinct()))


def settle(
    session: Session, calls: Sequence[tuple[Admission, Settlement, int]], worker: str
) -> None:
    """Count settled calls (sign 1) or take them back (-1), and pay them from the worker's lease."""
    changes = _changes(session, calls)
    if not changes:
        return
    rows = [_named(name) | {"used": changes[name], "reserved": 0} for name in sorted(changes)]
    insert = _upsert(session, _counter)
    session.connection().execute(
        insert.on_conflict_do_update(
            index_elements=list(_counter.primary_key),
            set_={"used": _counter.c.used + insert.excluded.used},
        ),
        rows,
    )
    _unreserve(session, {name: units for name, units in changes.items() if units > 0}, worker)


def prune(session: Session, before: datetime) -> int:
    """Delete counters of periods that began before `before`; give how many."""
    gone = session.execute(
        delete(_counter).where(
            _counter.c.period != "total", _counter.c.start < before, _counter.c.reserved == 0
        )
    )
    return int(getattr(gone, "rowcount", 0))


def _changes(
    session: Session, calls: Sequence[tuple[Admission, Settlement, int]]
) -> dict[CounterName, int]:
    key_ids = {admission.key_id for admission, _, _ in calls if admission.key_id is not None}
    keys = _owners(session, key_ids)
    changes: dict[CounterName, int] = defaultdict(int)
    starts: dict[tuple[str, datetime], tuple[tuple[Period, datetime], ...]] = {}
    for admission, settlement, sign in calls:
        owner = keys.get(admission.key_id or 0)
        if owner is None:
            continue  # the key was deleted, and its counters with it
        key_id, zone = owner
        hour = admission.at.replace(minute=admission.at.minute // 15 * 15, second=0, microsecond=0)
        periods = starts.get((zone, hour))
        if periods is None:
            periods = tuple((period, period_start(period, hour, zone)) for period in PERIODS)
            starts[zone, hour] = periods
        for period, start in periods:
            if settlement.is_counted:
                changes[key_id, "requests", period, start] += sign
            if settlement.total_tokens:
                changes[key_id, "tokens", period, start] += sign * settlement.total_tokens
    return changes


def _owners(session: Session, key_ids: set[int]) -> dict[int, tuple[int, str]]:
    """Give, for each key, whose counters it uses and in which zone its days begin."""
    ids = sorted(key_ids)
    query = select(ApiKeyRow.id, ApiKeyRow.lineage_id, ApiKeyRow.zone)
    found: dict[int, tuple[int, str]] = {}
    for start in range(0, len(ids), 400):
        rows = session.execute(query.where(ApiKeyRow.id.in_(ids[start : start + 400])))
        found |= {row.id: (row.lineage_id or row.id, row.zone) for row in rows}
    return found


def _unreserve(session: Session, wanted: Mapping[CounterName, int], worker: str) -> None:
    """Take units off this worker's leases and off what is reserved: never more than is leased.

    Whoever changes a lease holds the lock of its counter, so the units read here are true.
    """
    if not wanted:
        return
    key_ids = sorted({name[0] for name in wanted})
    locked = select(_counter.c.key_id).where(_counter.c.key_id.in_(key_ids))
    session.execute(locked.order_by(*_counter.primary_key).with_for_update()).all()
    query = (
        select(_lease)
        .where(_lease.c.worker == worker, _lease.c.key_id.in_(key_ids), _lease.c.units > 0)
        .order_by(*_lease.primary_key)
    )
    for row in session.execute(query).all():
        name = (row.key_id, row.metric, row.period, row.start)
        units = min(row.units, wanted.get(name, 0))
        if units <= 0:
            continue
        session.execute(
            update(_counter)
            .where(*_at(_counter, name))
            .values(reserved=_counter.c.reserved - units)
        )
        session.execute(
            update(_lease)
            .where(_lease.c.worker == worker, *_at(_lease, name))
            .values(units=_lease.c.units - units)
        )


def _ensure(session: Session, names: Sequence[CounterName]) -> None:
    rows = [_named(name) | {"used": 0, "reserved": 0} for name in names]
    session.execute(_upsert(session, _counter).on_conflict_do_nothing(), rows)


def _upsert(session: Session, table: Any) -> Any:
    dialect = session.get_bind().dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _named(name: CounterName) -> dict[str, Any]:
    key_id, metric, period, start = name
    return {"key_id": key_id, "metric": metric, "period": period, "start": start}


def _at(table: Any, name: CounterName) -> tuple[Any, ...]:
    return tuple(table.c[column] == value for column, value in _named(name).items())
