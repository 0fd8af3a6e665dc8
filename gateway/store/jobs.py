"""Jobs: models that servers fetch or load on our order. They outlive pages and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from gateway.errors import NotFound
from gateway.store.mapping import add, changed, find, row_of, value_of, values
from gateway.store.tables import JobRow

Kind: TypeAlias = Literal["pull", "load", "pin"]
State: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("queued", "running")
_KEPT_CLOSED = 200


@dataclass(frozen=True, slots=True)
class Job:
    """A job; `layers` maps digest to completed and total bytes. A `pin` is a load for good. A pull
    of more than `max_bytes` is ended; 0 is no limit."""

    id: int
    kind: Kind
    server_id: int
    model: str
    state: State
    status: str
    completed_bytes: int
    total_bytes: int
    max_bytes: int
    layers: Mapping[str, Sequence[int]]
    error: str
    cancel_requested: bool
    actor_name: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    worker: str

    @property
    def is_open(self) -> bool:
        """Whether it still runs or waits to."""
        return self.state in OPEN


def open_or_insert(
    session: Session,
    server_id: int,
    model: str,
    *,
    kind: Kind = "pull",
    max_bytes: int = 0,
    actor_name: str,
    now: datetime,
) -> tuple[Job, bool]:
    """Return the open job for this model on this server, and whether it had to be made."""
    wanted = {"kind": kind, "server_id": server_id, "model": model}
    query = select(JobRow).filter_by(**wanted).where(JobRow.state.in_(OPEN))
    if (known := find(session, query, Job)) is not None:
        return known, False
    row = JobRow(
        **wanted, state="queued", max_bytes=max_bytes, actor_name=actor_name[:256], created_at=now
    )
    return add(session, row, Job), True


def get(session: Session, job_id: int, kind: Kind | None = None) -> Job:
    """Return a job, of this kind. Raises NotFound."""
    job = value_of(_row(session, job_id), Job)
    if kind not in (None, job.kind):
        raise NotFound(f"There is no pull {job_id}.", code="pull_not_found")
    return job


def recent(session: Session, kind: Kind | None = None) -> list[Job]:
    """Return every open job, then those that ended last; all, or those of one kind."""
    query = select(JobRow).order_by(JobRow.state.not_in(OPEN), JobRow.id.desc())
    return values(session, query if kind is None else query.where(JobRow.kind == kind), Job)


def current(session: Session, ended: int) -> list[Job]:
    """Return every open job, then the last `ended` ones that ended, newest first."""
    is_open = JobRow.state.in_(OPEN)
    last = select(JobRow.id).where(~is_open).order_by(JobRow.id.desc()).limit(ended)
    query = select(JobRow).where(is_open | JobRow.id.in_(last))
    return values(session, query.order_by(~is_open, JobRow.id.desc()), Job)


def take(session: Session, job_id: int, worker: str, now: datetime, stale: datetime) -> bool:
    """Make `worker` the one that works: a job nobody has begun, or whose worker was not heard of
    since `stale`. False when another has it."""
    query = update(JobRow).where(JobRow.id == job_id, _is_waiting(stale))
    taken = query.values(state="running", worker=worker, heartbeat_at=now, started_at=now)
    return bool(changed(session, taken))


def waiting(session: Session, stale: datetime) -> list[int]:
    """Return the jobs nobody works on."""
    return list(session.scalars(select(JobRow.id).where(_is_waiting(stale)).order_by(JobRow.id)))


def progress(
    session: Session,
    job_id: int,
    *,
    status: str,
    layers: Mapping[str, Sequence[int]],
    now: datetime,
) -> bool:
    """Store how far a job is; give whether it is still wanted."""
    row = session.get(JobRow, job_id)
    if row is None or row.state != "running":
        return False
    row.status = status[:500]
    row.layers = {digest: list(sizes) for digest, sizes in layers.items()}
    row.completed_bytes = sum(done for done, _ in layers.values())
    row.total_bytes = sum(total for _, total in layers.values())
    row.heartbeat_at = now
    return not row.cancel_requested


def finish(session: Session, job_id: int, state: State, *, error: str = "", now: datetime) -> None:
    """Close a job; the oldest closed ones are cleared away."""
    row = session.get(JobRow, job_id)
    if row is not None and row.state in OPEN:
        row.state, row.error, row.finished_at = state, error[:2000], now
    session.flush()
    closed = select(JobRow.id).where(JobRow.state.not_in(OPEN)).order_by(JobRow.id.desc())
    old = session.scalars(closed.offset(_KEPT_CLOSED)).all()
    session.execute(delete(JobRow).where(JobRow.id.in_(old)))


def remove_closed(session: Session, job_id: int) -> None:
    """Remove a job that has ended. Raises NotFound."""
    row = _row(session, job_id)
    if row.state not in OPEN:
        session.delete(row)


def request_cancel(session: Session, job_id: int, now: datetime) -> Job:
    """Ask whoever works on it to stop; a job nobody has begun ends at once. Raises NotFound."""
    row = _row(session, job_id)
    if row.state == "queued":
        row.state, row.finished_at = "cancelled", now
    row.cancel_requested = True
    session.flush()
    return value_of(row, Job)


def _row(session: Session, job_id: int) -> JobRow:
    return row_of(session, JobRow, job_id, "pull")


def _is_waiting(stale: datetime) -> ColumnElement[bool]:
    return (JobRow.state == "queued") | (
        (JobRow.state == "running") & (JobRow.heartbeat_at < stale)
    )
