"""Who of several workers does a periodic job this time: whoever takes its lock first.

One conditional UPDATE decides, so a worker that dies holds nothing up longer than one period.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.store.database.upserts import insert_for
from gateway.store.mapping import changed
from gateway.store.tables import JobLockRow


def is_due(session: Session, job: str, now: datetime, period: timedelta) -> bool:
    """Whether `job` was not taken within the last `period`; a cheap look before `take`."""
    taken_at = session.scalar(select(JobLockRow.taken_at).where(JobLockRow.name == job))
    return taken_at is None or taken_at <= now - period


def take(session: Session, job: str, now: datetime, period: timedelta) -> bool:
    """Claim `job` (at most 32 characters) for this period; False when another worker has it."""
    session.execute(
        insert_for(session, JobLockRow)
        .values(name=job, taken_at=now - period)
        .on_conflict_do_nothing(index_elements=[JobLockRow.name])
    )
    free = (JobLockRow.name == job) & (JobLockRow.taken_at <= now - period)
    return bool(changed(session, update(JobLockRow).where(free).values(taken_at=now)))
