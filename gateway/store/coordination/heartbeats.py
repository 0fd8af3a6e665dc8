"""By which sign workers know that the others live: `worker_state.beat_at`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gateway.store.database.upserts import insert_for
from gateway.store.tables import WorkerStateRow


def beat(
    session: Session,
    worker: str,
    *,
    pid: int,
    host: str,
    version: str,
    started_at: datetime,
    now: datetime,
) -> None:
    """Note that a worker lives; what it shows in its snapshot stays."""
    session.execute(
        insert_for(session, WorkerStateRow)
        .values(
            worker=worker,
            pid=pid,
            host=host[:256],
            version=version[:32],
            started_at=started_at,
            beat_at=now,
            snapshot={},
        )
        .on_conflict_do_update(
            index_elements=[WorkerStateRow.worker],
            set_={"beat_at": now, "started_at": started_at, "version": version[:32]},
        )
    )


def beats(session: Session) -> dict[str, datetime]:
    """Return when each worker was last heard."""
    rows = session.execute(select(WorkerStateRow.worker, WorkerStateRow.beat_at))
    return {row.worker: row.beat_at for row in rows}


def forget(session: Session, worker: str) -> None:
    """Remove a worker that has ended."""
    session.execute(delete(WorkerStateRow).where(WorkerStateRow.worker == worker))
