"""By which sign workers know that the others live: `worker.heartbeat_at`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gateway.store.database.upserts import insert_for
from gateway.store.tables import WorkerRow


def record(session: Session, worker: str, *, started_at: datetime, now: datetime) -> None:
    """Record that a worker lives; what it shows in its snapshot stays."""
    session.execute(
        insert_for(session, WorkerRow)
        .values(name=worker, started_at=started_at, heartbeat_at=now, snapshot={})
        .on_conflict_do_update(
            index_elements=[WorkerRow.name], set_={"heartbeat_at": now, "started_at": started_at}
        )
    )


def last(session: Session) -> dict[str, datetime]:
    """Return when each worker was last heard."""
    rows = session.execute(select(WorkerRow.name, WorkerRow.heartbeat_at))
    return {row.name: row.heartbeat_at for row in rows}


def remove(session: Session, worker: str) -> None:
    """Remove a worker that has ended."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == worker))
