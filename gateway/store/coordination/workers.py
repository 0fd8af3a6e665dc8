"""Workers in the store: what they run right now, and commands for them. Their heartbeats are in
`store.coordination.heartbeats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.store.coordination import versions
from gateway.store.tables import CommandRow, WorkerRow

_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker that lives, and what it last wrote of itself."""

    worker: str
    started_at: datetime
    heartbeat_at: datetime
    snapshot: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as a worker reads it."""

    id: int
    kind: str
    payload: Mapping[str, Json]


def publish(session: Session, worker: str, snapshot: Mapping[str, Json]) -> None:
    """Write what a worker runs, into the row that its heartbeats keep."""
    session.execute(
        update(WorkerRow).where(WorkerRow.name == worker).values(snapshot=dict(snapshot))
    )


def list_alive(session: Session, since: datetime) -> list[WorkerState]:
    """Return the workers heard of since then, oldest first."""
    query = (
        select(WorkerRow)
        .where(WorkerRow.heartbeat_at >= since)
        .order_by(WorkerRow.started_at, WorkerRow.name)
    )
    return [
        WorkerState(row.name, row.started_at, row.heartbeat_at, row.snapshot)
        for row in session.scalars(query)
    ]


def send(
    session: Session,
    kind: str,
    payload: Mapping[str, Json],
    *,
    worker: str = "",
    now: datetime,
) -> None:
    """Leave a command for a worker, or for all; old ones are cleared away."""
    session.execute(delete(CommandRow).where(CommandRow.created_at < now - _KEPT))
    session.add(CommandRow(created_at=now, worker=worker, kind=kind, payload=dict(payload)))
    versions.bump(session, "commands")
    session.flush()


def last_command(session: Session) -> int:
    """Return the id of the newest command, 0 when there is none."""
    return session.scalar(select(func.max(CommandRow.id))) or 0


def commands_after(session: Session, last_id: int, worker: str) -> list[Command]:
    """Return the commands for a worker after the one with id `last_id`, oldest first."""
    query = (
        select(CommandRow)
        .where(CommandRow.id > last_id, CommandRow.worker.in_(("", worker)))
        .order_by(CommandRow.id)
    )
    return [Command(row.id, row.kind, row.payload) for row in session.scalars(query)]
