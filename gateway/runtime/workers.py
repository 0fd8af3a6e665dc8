"""Cleans up after workers that were killed: settles their calls, returns what they had reserved.

A worker of this machine is gone when its process is; one of another machine when it has not been
heard for SILENT_S. Each worker looks every PERIOD_S, and once at its own start for a predecessor
with the same name (in containers the first process of each start has the same number).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from gateway.errors import GatewayError
from gateway.runtime.database import Store
from gateway.runtime.identity import worker_name
from gateway.runtime.tasks import every
from gateway.store.coordination import heartbeats
from gateway.store.usage import counters, records

log = logging.getLogger(__name__)

PERIOD_S = 3.0
SILENT_S = 60.0
_AT_ONCE = 500


def lives(pid: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Reaper:
    """Tells the others that this worker lives, and buries those that do not."""

    def __init__(
        self,
        store: Store,
        *,
        worker: str = "",
        version: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lives: Callable[[int], bool] = lives,
    ) -> None:
        self._store = store
        self._worker = worker or worker_name()
        self._host, _, number = self._worker.rpartition(":")
        self._pid = int(number) if number.isdigit() else 0
        self._version = version
        self._now = now
        self._lives = lives
        self._started_at = now()
        self._stop: threading.Event | None = None

    def start(self) -> None:
        """Clean up after a predecessor of this name, then look regularly."""
        self._started_at = self._now()
        self._quietly(lambda: self._bury(self._worker, self._started_at))
        self.look()
        self._stop = every(PERIOD_S, self.look, "reaper")

    def stop(self) -> None:
        """Stop looking, return what is reserved, and say goodbye."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
            self._quietly(lambda: self._store.write(self._leave))

    def look(self) -> None:
        """Beat, and bury who is gone. Never raises."""
        self._quietly(self._look)

    def _look(self) -> None:
        now = self._now()
        self._store.write(
            heartbeats.beat,
            self._worker,
            pid=self._pid,
            host=self._host,
            version=self._version,
            started_at=self._started_at,
            now=now,
        )
        for worker in self._store.read(self._gone, now):
            self._bury(worker, now)

    def _gone(self, session: Session, now: datetime) -> list[str]:
        heard = heartbeats.beats(session)
        suspects = {*records.unsettled_workers(session), *counters.lease_holders(session), *heard}
        return [
            worker
            for worker in sorted(suspects - {self._worker})
            if self._is_gone(worker, heard.get(worker), now)
        ]

    def _is_gone(self, worker: str, heard_at: datetime | None, now: datetime) -> bool:
        host, _, number = worker.rpartition(":")
        if host == self._host and number.isdigit() and not self._lives(int(number)):
            return True
        return heard_at is None or now - heard_at > timedelta(seconds=SILENT_S)

    def _bury(self, worker: str, before: datetime) -> None:
        while True:
            lost = self._store.write(
                records.give_up, worker, before, now=self._now(), limit=_AT_ONCE
            )
            if lost:
                log.warning("%d calls of the ended worker %s were settled as lost", lost, worker)
            if lost < _AT_ONCE:
                break
        self._store.write(counters.release_worker, worker)
        if worker != self._worker:
            self._store.write(heartbeats.forget, worker)

    def _leave(self, session: Session) -> None:
        counters.release_worker(session, self._worker)
        heartbeats.forget(session, self._worker)

    def _quietly(self, work: Callable[[], object]) -> None:
        try:
            work()
        except GatewayError as exc:
            log.warning("cleaning up after ended workers must wait: %s", exc.message)
        except Exception:
            log.exception("cleaning up after ended workers failed")
