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
from functools import cache
from typing import Any, TypeAlias, cast

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.orm import Session

from gateway.core.periods import PERIODS, period_start
from gateway.core.usage import Admission, Settlement
from gateway.store.database.engine import insert, insert_for
from gateway.store.mapping import changed
from gateway.store.tables import ApiKeyRow, CounterLeaseRow, KeyCounterRow

CounterName: TypeAlias = tuple[int, str, str, datetime]
"""Key, metric, period, and the period's first instant."""

_counter = cast(Table, KeyCounterRow.__table__)
_lease = cast(Table, CounterLeaseRow.__table__)
_key = cast(Table, ApiKeyRow.__table__)
_IDS: Any = bindparam("ids", expanding=True)
_OWNERS = select(_key.c.id, _key.c.lineage_id, _key.c.zone).where(_key.c.id.in_(_IDS))
_LOCK = (
    select(_counter.c.key_id)
    .where(_counter.c.key_id.in_(_IDS))
    .order_by(*_counter.primary_key)
    .with_for_update()
)
_LEASED = (
    select(_lease)
    .where(_lease.c.worker == bindparam("worker"), _lease.c.key_id.in_(_IDS), _lease.c.units > 0)
    .order_by(*_lease.primary_key)
)


def used(session: Session, key_id: int, periods: Mapping[str, datetime]) -> dict[Any, int]:
    """Return (metric, period) to units used, for the periods that begin as told."""
    query = select(_counter).where(_counter.c.key_id == key_id)
    return {
        (row.metric, row.period): row.used
        for row in session.execute(query)
        if periods.get(row.period) == row.start
    }


def lease(
    session: Session, name: CounterName, *, worker: str, want: int, least: int, limit: int
) -> tuple[int, int, int]:
    """Lease up to `want` units, at least `least` or none.

    Returns (units, units still free, units that other workers hold; told where it leases none).
    """
    unused = insert_for(session, _counter).values(used=0, reserved=0, **_named(name))
    session.execute(unused.on_conflict_do_nothing())
    here = _at(_counter, name)
    row = session.execute(
        select(_counter.c.used, _counter.c.reserved).where(*here).with_for_update()
    ).one()
    free = limit - row.used - row.reserved
    units = min(want, free)
    fits = _counter.c.used + _counter.c.reserved + units <= limit
    taking = update(_counter).where(*here, fits).values(reserved=_counter.c.reserved + units)
    if units < least or units <= 0 or not changed(session, taking):
        own = select(_lease.c.units).where(*_at(_lease, name), _lease.c.worker == worker)
        return 0, max(0, free), row.reserved - (session.scalar(own) or 0)
    session.execute(
        insert_for(session, _lease)
        .values(worker=worker, units=units, **_named(name))
        .on_conflict_do_update(
            index_elements=list(_lease.primary_key), set_={"units": _lease.c.units + units}
        )
    )
    return units, free - units, 0


def give_back(session: Session, name: CounterName, *, worker: str, units: int) -> None:
    """Return leased units that were not spent."""
    _unreserve(session, {name: units}, worker)


def release_worker(session: Session, worker: str) -> int:
    """Return everything a worker still holds; return how many leases that were."""
    query = select(_lease).where(_lease.c.worker == worker)
    rows = session.execute(query.order_by(*_lease.primary_key)).all()
    held = {(row.key_id, row.metric, row.period, row.start): row.units for row in rows}
    if held:
        _unreserve(session, held, worker)
        session.execute(delete(_lease).where(_lease.c.worker == worker))
    return len(held)


def lease_holders(session: Session) -> list[str]:
    """Return the workers that hold leases."""
    return list(session.scalars(select(_lease.c.worker).distinct()))


def settle(
    session: Session, calls: Sequence[tuple[Admission, Settlement, int]], worker: str
) -> None:
    """Count settled calls (sign 1) or take them back (-1), and pay them from the worker's lease."""
    changes = _changes(session, calls)
    if not changes:
        return
    rows = [_named(name) | {"used": changes[name], "reserved": 0} for name in sorted(changes)]
    session.connection().execute(_adding(session.get_bind().dialect.name), rows)
    _unreserve(session, {name: units for name, units in changes.items() if units > 0}, worker)


def prune(session: Session, before: datetime) -> int:
    """Delete counters of periods that began before `before`; return how many."""
    gone = delete(_counter).where(
        _counter.c.period != "total", _counter.c.start < before, _counter.c.reserved == 0
    )
    return changed(session, gone)


def _changes(
    session: Session, calls: Sequence[tuple[Admission, Settlement, int]]
) -> dict[CounterName, int]:
    key_ids = {admission.key_id for admission, _, _ in calls if admission.key_id is not None}
    rows = session.connection().execute(_OWNERS, {"ids": sorted(key_ids)})
    keys = {key_id: (lineage_id or key_id, zone) for key_id, lineage_id, zone in rows}
    # every zone's days, hours and months begin with a quarter of an hour
    quarters: dict[tuple[int, str, datetime], list[int]] = defaultdict(lambda: [0, 0])
    for admission, settlement, sign in calls:
        owner = keys.get(admission.key_id or 0)
        if owner is None:
            continue  # the key was deleted, and its counters with it
        at = admission.created_at
        sums = quarters[*owner, at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)]
        sums[0] += sign * settlement.is_counted
        sums[1] += sign * settlement.total_tokens
    changes: dict[CounterName, int] = defaultdict(int)
    for (key_id, zone, quarter), (requests, tokens) in quarters.items():
        for period in PERIODS:
            start = period_start(period, quarter, zone)
            changes[key_id, "requests", period, start] += requests
            changes[key_id, "tokens", period, start] += tokens
    return {name: change for name, change in changes.items() if change}


def _unreserve(session: Session, wanted: Mapping[CounterName, int], worker: str) -> None:
    """Subtract units from this worker's leases and from what is reserved, at most what is leased.

    Whoever changes a lease holds the lock of its counter, so the units read after that are true.
    Most keys have no budget, so that is asked first: what a call was let in with was leased, and
    committed, before the call began.
    """
    if not wanted:
        return
    key_ids = sorted({name[0] for name in wanted})
    connection = session.connection()
    ours = {"worker": worker, "ids": key_ids}
    if connection.execute(_LEASED, ours).first() is None:
        return
    connection.execute(_LOCK, {"ids": key_ids}).all()
    for row in connection.execute(_LEASED, ours).all():
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


@cache
def _adding(dialect: str) -> Any:
    statement = insert(dialect, _counter)
    return statement.on_conflict_do_update(
        index_elements=list(_counter.primary_key),
        set_={"used": _counter.c.used + statement.excluded.used},
    )


def _named(name: CounterName) -> dict[str, Any]:
    return dict(zip(("key_id", "metric", "period", "start"), name, strict=True))


def _at(table: Any, name: CounterName) -> tuple[Any, ...]:
    return tuple(table.c[column] == value for column, value in _named(name).items())
