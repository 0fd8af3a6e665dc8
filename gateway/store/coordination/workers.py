"""Workers in the store: by which sign others know that they live, what they run right now,
commands for them, and who of them does a periodic job this time: whoever takes its lock first. One
conditional UPDATE decides that, so a worker that dies holds nothing up longer than one period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.store.coordination import versions
from gateway.store.database.engine import insert_for
from gateway.store.mapping import changed, values
from gateway.store.tables import CommandRow, JobLockRow, WorkerRow

_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker that lives, and what it last wrote of itself."""

    name: str
    started_at: datetime
    heartbeat_at: datetime
    snapshot: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as a worker reads it."""

    id: int
    kind: str
    payload: Mapping[str, Json]


def record(session: Session, worker: str, *, started_at: datetime, now: datetime) -> None:
    """Record that a worker lives; what it shows in its snapshot stays."""
    beat = {"started_at": started_at, "heartbeat_at": now}
    statement = insert_for(session, WorkerRow).values(name=worker, snapshot={}, **beat)
    session.execute(statement.on_conflict_do_update(index_elements=[WorkerRow.name], set_=beat))


def last_heard(session: Session) -> dict[str, datetime]:
    """Return when each worker was last heard."""
    rows = session.execute(select(WorkerRow.name, WorkerRow.heartbeat_at))
    return {row.name: row.heartbeat_at for row in rows}


def remove(session: Session, worker: str) -> None:
    """Remove a worker that has ended."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == worker))


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
    return values(session, query, WorkerState)


def send(
    session: Session, kind: str, payload: Mapping[str, Json], *, worker: str = "", now: datetime
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
    return values(session, query, Command)


def is_job_due(session: Session, job: str, now: datetime, period: timedelta) -> bool:
    """Whether `job` was not taken within the last `period`; a cheap look before `take_job`."""
    taken_at = session.scalar(select(JobLockRow.taken_at).where(JobLockRow.name == job))
    return taken_at is None or taken_at <= now - period


def take_job(session: Session, job: str, now: datetime, period: timedelta) -> bool:
    """Claim `job` (at most 32 characters) for this period; False when another worker has it."""
    session.execute(
        insert_for(session, JobLockRow)
        .values(name=job, taken_at=now - period)
        .on_conflict_do_nothing(index_elements=[JobLockRow.name])
    )
    free = (JobLockRow.name == job) & (JobLockRow.taken_at <= now - period)
    return bool(changed(session, update(JobLockRow).where(free).values(taken_at=now)))
