"""Who of several workers does a periodic job this time: whoever claims it first.

A claim is a row of the change marks under its own topic: its time is when the job was last taken.
One conditional UPDATE decides, so a worker that dies holds nothing up longer than one period.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.store.database.upserts import insert_for
from gateway.store.tables import RevisionRow


def is_due(session: Session, job: str, now: datetime, period: timedelta) -> bool:
    """Whether `job` was not taken within the last `period`; a cheap look before `take`."""
    taken_at = session.scalar(select(RevisionRow.at).where(RevisionRow.topic == job))
    return taken_at is None or taken_at <= now - period


def take(session: Session, job: str, now: datetime, period: timedelta) -> bool:
    """Claim `job` for this period; False when another worker has it. At most 32 characters."""
    session.execute(
        insert_for(session, RevisionRow)
        .values(topic=job, revision=0, at=now - period)
        .on_conflict_do_nothing(index_elements=[RevisionRow.topic])
    )
    taken = session.execute(
        update(RevisionRow)
        .where(RevisionRow.topic == job, RevisionRow.at <= now - period)
        .values(at=now, revision=RevisionRow.revision + 1)
    )
    return bool(getattr(taken, "rowcount", 0))
