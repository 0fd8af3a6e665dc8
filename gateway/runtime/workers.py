"""Which workers live: heartbeats in the database, and cleaning up after workers that were killed.

A worker of this machine is gone when its process is; one of another machine when it has not been
heard for SILENT_S. Each worker looks every PERIOD_S, and once at its own start for a predecessor
with the same name (in containers the first process of each start has the same number).

A worker that is draining sends its heartbeat every DRAINING_PERIOD_S only. So a process that starts
beside it can tell a rolling restart from a second process that goes on to serve.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from gateway.errors import GatewayError
from gateway.runtime.database import Store
from gateway.runtime.identity import worker_name
from gateway.runtime.tasks import Every, note_failure
from gateway.store.coordination import workers
from gateway.store.usage import counters, records

log = logging.getLogger(__name__)

PERIOD_S = 3.0
DRAINING_PERIOD_S = 12.0
OBSERVED_S = 10.0
"""How long a start looks whether another process goes on to serve."""
SILENT_S = 60.0
_AT_ONCE = 500


def is_alive(pid: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Reaper:
    """Tells the others that this worker lives, and cleans up after those that do not."""

    def __init__(
        self,
        store: Store,
        *,
        worker: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_alive: Callable[[int], bool] = is_alive,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._worker = worker or worker_name()
        self._host = self._worker.rpartition(":")[0]
        self._now = now
        self._is_alive = is_alive
        self._is_draining = is_draining
        self._beat_at: datetime | None = None
        self._started_at = now()
        self._job = Every(PERIOD_S, self.look, "cleaning up after ended workers")

    def start(self) -> None:
        """Clean up after a predecessor of this name, then look regularly."""
        self._started_at = self._now()
        self._quietly(lambda: self._reclaim(self._worker, self._started_at))
        self.look()
        self._job.start()

    def stop(self) -> None:
        """Stop looking, return what is reserved, and remove the heartbeat."""
        self._job.stop()
        self._quietly(lambda: self._store.write(self._deregister))

    def look(self) -> None:
        """Record a heartbeat, and clean up after who is gone. Never raises."""
        self._quietly(self._look)

    def _look(self) -> None:
        now = self._now()
        pause = timedelta(seconds=DRAINING_PERIOD_S if self._is_draining() else 0)
        if self._beat_at is None or now - self._beat_at >= pause:
            self._beat_at = now
            self._store.write(workers.record, self._worker, started_at=self._started_at, now=now)
        for worker in self._store.read(self._gone, now):
            self._reclaim(worker, now)

    def _gone(self, session: Session, now: datetime) -> list[str]:
        beats = workers.last_heard(session)
        suspects = {*records.unsettled_workers(session), *counters.lease_holders(session), *beats}
        silent = now - timedelta(seconds=SILENT_S)
        return [
            worker
            for worker in sorted(suspects - {self._worker})
            if _has_ended(worker, self._host, self._is_alive)
            or worker not in beats
            or beats[worker] < silent
        ]

    def _reclaim(self, worker: str, before: datetime) -> None:
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
            self._store.write(workers.remove, worker)

    def _deregister(self, session: Session) -> None:
        counters.release_worker(session, self._worker)
        workers.remove(session, self._worker)

    def _quietly(self, work: Callable[[], object]) -> None:
        try:
            work()
        except GatewayError as exc:
            log.warning("cleaning up after ended workers must wait: %s", exc.message)
        except Exception as error:
            note_failure("cleaning up after ended workers", error)


def wait_until_alone(
    store: Store,
    *,
    worker: str = "",
    is_alive: Callable[[int], bool] = is_alive,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Look for OBSERVED_S at most whether another worker uses this database and goes on to serve.
    Returns its name; "" when there is none.

    One that sends two heartbeats meanwhile goes on. One that is draining, or was killed on another
    machine, sends fewer: nobody has to wait for its end.
    """
    host = (worker or worker_name()).rpartition(":")[0]
    until_s = clock() + OBSERVED_S
    beats: dict[str, list[datetime]] = {}
    while True:
        found = store.read(workers.last_heard)
        oldest = now() - timedelta(seconds=SILENT_S)
        others = {
            name: at
            for name, at in found.items()
            if at > oldest and not _has_ended(name, host, is_alive)
        }
        for name, at in others.items():
            times = beats.setdefault(name, [at])
            if at != times[-1]:
                times.append(at)
            if len(times) > 2:
                return name
        if not others or clock() >= until_s:
            return ""
        sleep(0.5)


def _has_ended(worker: str, host: str, is_alive: Callable[[int], bool]) -> bool:
    """Whether a worker of this machine is known to have ended."""
    its_host, _, number = worker.rpartition(":")
    return its_host == host and number.isdigit() and not is_alive(int(number))
