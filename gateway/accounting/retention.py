"""Keeps the store from growing for ever: by age and by number, as the settings say.

One worker at a time does it, every hour; each deletion is a small transaction with a pause after
it, so that writing usage never waits long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from gateway.runtime.database import Store
from gateway.schemas.settings import RuntimeSettings
from gateway.store import admins, alerts, audit, responses
from gateway.store.coordination import workers
from gateway.store.usage import counters, memory, retention

log = logging.getLogger(__name__)

PERIOD = timedelta(hours=1)
HOURLY_DAYS = 400
ALERTS_DAYS = 90
_JOB = "retention"
_PIECE = 1_000
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was deleted of each kind."""

    calls: int = 0
    bodies: int = 0
    hours: int = 0
    audit: int = 0
    alerts: int = 0
    responses: int = 0
    sessions: int = 0
    counters: int = 0
    memory: int = 0


@dataclass(eq=False)
class Retention:
    """Deletes what is over, in the background or on demand."""

    store: Store
    behaviour: Callable[[], RuntimeSettings]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], None] = time.sleep

    def look(self) -> None:
        """Prune, if that is due and no other worker does it."""
        now = self.now()
        if self.store.read(workers.is_job_due, _JOB, now, PERIOD) and self.store.write(
            workers.take_job, _JOB, now, PERIOD
        ):
            log.info("pruned: %s", self.prune())

    def prune(self) -> Pruned:
        """Delete everything that is over now; 0 days keeps for ever. Raises StoreUnavailable."""
        behaviour, now = self.behaviour(), self.now()
        calls = 0
        if behaviour.usage_retention_days:
            before = now - timedelta(days=behaviour.usage_retention_days)
            calls += self._all(retention.delete_usage_before, before)
        calls += self._all(retention.delete_usage_beyond, behaviour.usage_max_rows)
        bodies = now - timedelta(days=behaviour.body_retention_days)
        audited = 0
        if behaviour.audit_retention_days:
            before = now - timedelta(days=behaviour.audit_retention_days)
            audited = self._all(audit.prune, before)
        write = self.store.write
        pruned = Pruned(
            calls=calls,
            bodies=self._all(retention.delete_bodies, bodies),
            hours=write(retention.delete_hours, now - timedelta(days=HOURLY_DAYS)),
            audit=audited,
            alerts=self._all(alerts.prune, now - timedelta(days=ALERTS_DAYS)),
            responses=self._all(
                lambda session, most, limit: responses.prune(session, now, most, limit),
                responses.bounds(behaviour),
            ),
            sessions=write(admins.prune, now),
            counters=write(counters.prune, now - timedelta(days=HOURLY_DAYS)),
            memory=write(memory.prune, now),
        )
        write(retention.tidy)
        write(alerts.tidy, now - timedelta(days=ALERTS_DAYS))
        return pruned

    def _all(self, piece: Callable[..., int], what: object) -> int:
        """Delete piece by piece until nothing is left."""
        total = 0

        def once(session: Session) -> int:
            return piece(session, what, _PIECE)

        while deleted := self.store.write(once):
            total += deleted
            self.pause(_PAUSE_S)
        return total
