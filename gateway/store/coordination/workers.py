"""Workers in the store: what they run right now, and orders for them. Their heartbeats are in
`store.coordination.heartbeats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.store.coordination import versions
from gateway.store.tables import CommandRow, WorkerStateRow

_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker that lives, and what it last wrote of itself."""

    worker: str
    started_at: datetime
    beat_at: datetime
    snapshot: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Command:
    """An order; `worker` is "" where it is for all."""

    id: int
    at: datetime
    worker: str
    kind: str
    payload: Mapping[str, Json]


def show(session: Session, worker: str, snapshot: Mapping[str, Json]) -> None:
    """Write what a worker runs, into the row that its heartbeats keep."""
    session.execute(
        update(WorkerStateRow)
        .where(WorkerStateRow.worker == worker)
        .values(snapshot=dict(snapshot))
    )


def alive(session: Session, since: datetime) -> list[WorkerState]:
    """Return the workers heard of since then, oldest first."""
    query = (
        select(WorkerStateRow)
        .where(WorkerStateRow.beat_at >= since)
        .order_by(WorkerStateRow.started_at, WorkerStateRow.worker)
    )
    return [
        WorkerState(row.worker, row.started_at, row.beat_at, row.snapshot)
        for row in session.scalars(query)
    ]


def order(
    session: Session,
    kind: str,
    payload: Mapping[str, Json],
    *,
    worker: str = "",
    actor_name: str = "",
    now: datetime,
) -> None:
    """Leave an order for a worker, or for all; old ones are cleared away."""
    session.execute(delete(CommandRow).where(CommandRow.at < now - _KEPT))
    session.add(
        CommandRow(
            at=now, worker=worker, kind=kind, payload=dict(payload), actor_name=actor_name[:256]
        )
    )
    versions.bump(session, "commands", now)
    session.flush()


def last_order(session: Session) -> int:
    """Return the number of the newest order, 0 when there is none."""
    return session.scalar(select(func.max(CommandRow.id))) or 0


def orders_after(session: Session, last_id: int, worker: str) -> list[Command]:
    """Return the orders for a worker that came after number `last_id`, oldest first."""
    query = (
        select(CommandRow)
        .where(CommandRow.id > last_id, CommandRow.worker.in_(("", worker)))
        .order_by(CommandRow.id)
    )
    return [
        Command(row.id, row.at, row.worker, row.kind, row.payload) for row in session.scalars(query)
    ]
