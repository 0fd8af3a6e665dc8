"""Has servers fetch models, and shows how far they are.

A pull is a job in the store, so it survives the page that began it and any number of pages may
watch it, in every worker. One puller works on a model and server at a time; it writes its progress
once a second, so that whoever watches from another worker is at most that far behind, and a
restarted gateway takes up what was left (Ollama itself continues where the download stood).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.errors import ClientGone, GatewayError, InvalidRequest
from gateway.ollama.capabilities import Progress, read_progress
from gateway.ollama.client import Upstream
from gateway.services import offload
from gateway.services.fleet import Fleet
from gateway.services.identity import worker_name
from gateway.services.operations import client_of, in_words, record, valid_name
from gateway.services.refresh import Refresher
from gateway.services.stored import Store, StoreUnavailable
from gateway.store import pulls
from gateway.store.pulls import PullJob

log = logging.getLogger(__name__)

WRITE_S: Final = 1.0
LOOK_S: Final = 2.0
STALE: Final = timedelta(seconds=15)
IDLE_S: Final = 300.0
_TICK_S: Final = 0.5
_SPEED_OVER_S: Final = 10.0
_MAX_LAYERS: Final = 500


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull as people see it. `bytes_per_s` and `eta_s` are None until they can be told."""

    job: PullJob
    bytes_per_s: float | None = None
    eta_s: float | None = None

    @property
    def share(self) -> float | None:
        """How much is there, from 0 to 1; None before the sizes are known."""
        return self.job.completed_bytes / self.job.total_bytes if self.job.total_bytes else None


class Meter:
    """How far a pull is, and how fast. Not thread-safe: its puller's own."""

    def __init__(self) -> None:
        self.status = ""
        self.layers: dict[str, tuple[int, int]] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, step: Progress, now_s: float) -> None:
        """Take in one line of Ollama's progress."""
        self.status = step.status
        known = step.digest in self.layers
        if step.digest and step.total_bytes and (known or len(self.layers) < _MAX_LAYERS):
            done = min(step.completed_bytes, step.total_bytes)
            self.layers[step.digest] = (done, step.total_bytes)
        done = sum(done for done, _ in self.layers.values())
        self._seen.append((now_s, done))
        while now_s - self._seen[0][0] > _SPEED_OVER_S:
            self._seen.popleft()

    @property
    def bytes_per_s(self) -> float | None:
        """The speed over the last seconds."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else None

    @property
    def eta_s(self) -> float | None:
        """How long what is known to be left will take."""
        speed = self.bytes_per_s
        left = sum(total - done for done, total in self.layers.values())
        return left / speed if speed else None


class Pulls:
    """Manages models on servers. Thread-safe."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        refresher: Refresher,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._refresher = refresher
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._meters: dict[int, Meter] = {}
        self._upstreams: dict[int, Upstream] = {}
        self._stop: threading.Event | None = None

    # -- pulls -------------------------------------------------------------------------------------

    def begin(self, model: str, server_ids: Sequence[int], actor: Actor) -> list[Pull]:
        """Have servers fetch a model; joins pulls that run already. Raises InvalidRequest."""
        name = valid_name(model)
        for server_id in server_ids:
            client_of(self._fleet, server_id)
        now = self._now()

        def write(session: Session) -> list[PullJob]:
            jobs = []
            for server_id in server_ids:
                job, is_new = pulls.open_or_insert(
                    session, server_id, name, actor_name=actor.name, now=now
                )
                jobs.append(job)
                if is_new:
                    record(session, actor, "model.pull", name, server_id, now)
            return jobs

        jobs = self._store.write(write)
        for job in jobs:
            offload.spawn(self._work, job.id)
        return [self._seen(job) for job in jobs]

    def all(self) -> list[Pull]:
        """Give running pulls, then the last ones that ended."""
        return [self._seen(job) for job in self._store.read(pulls.recent)]

    def get(self, job_id: int) -> Pull:
        """Give a pull. Raises NotFound."""
        return self._seen(self._store.read(pulls.get, job_id))

    def cancel(self, job_id: int, actor: Actor) -> Pull:
        """Stop a pull, whichever worker runs it; what is there already is kept by Ollama. Raises
        NotFound."""
        now = self._now()

        def write(session: Session) -> PullJob:
            job = pulls.request_cancel(session, job_id, now)
            record(session, actor, "model.pull_cancel", job.model, job.server_id, now)
            return job

        job = self._store.write(write)
        with self._lock:
            upstream = self._upstreams.get(job_id)
        if upstream is not None:
            upstream.cancel()
        return self._seen(job)

    def start(self) -> None:
        """Begin to take up pulls that nobody works on."""
        self._stop = offload.every(LOOK_S, self.turn, "pulls")

    def stop(self) -> None:
        """Leave running pulls to whoever comes next."""
        if self._stop is not None:
            self._stop.set()
        with self._lock:
            running = list(self._upstreams.values())
        for upstream in running:
            upstream.cancel()

    def turn(self) -> None:
        """Take up what was left by a worker that ended. Never raises."""
        try:
            for job_id in self._store.read(pulls.waiting, self._now() - STALE):
                offload.spawn(self._work, job_id)
        except StoreUnavailable:
            log.debug("pulls are not looked for while the database is away")
        except Exception:
            log.exception("looking for pulls failed")

    # -- the puller --------------------------------------------------------------------------------

    def _work(self, job_id: int) -> None:
        """Pull, if nobody else does. Never raises."""
        try:
            now = self._now()
            if self._store.write(pulls.take, job_id, worker_name(), now, now - STALE):
                self._pull(self._store.read(pulls.get, job_id))
        except StoreUnavailable:
            log.warning("pull %d goes on when the database is back", job_id)
        except Exception:
            log.exception("pull %d failed in the gateway", job_id)
        finally:
            with self._lock:
                self._meters.pop(job_id, None)
                self._upstreams.pop(job_id, None)

    def _pull(self, job: PullJob) -> None:
        try:
            client = client_of(self._fleet, job.server_id)
        except InvalidRequest as error:
            self._finish(job, "failed", error.message)
            return
        body = orjson.dumps({"model": job.model, "stream": True})
        with client.call(
            "/api/pull", body, idle_timeout_s=IDLE_S, total_timeout_s=None
        ) as upstream:
            meter = Meter()
            with self._lock:
                self._meters[job.id], self._upstreams[job.id] = meter, upstream
            try:
                is_wanted = self._follow(job, upstream, meter)
            except ClientGone:
                is_wanted = False
            except GatewayError as error:
                self._finish(job, "failed", in_words(error))
                return
        if not is_wanted:
            if self._is_stopping():
                return  # whoever comes next takes it up
            self._finish(job, "cancelled", "")
        elif meter.status != "success":
            self._finish(job, "failed", "The server stopped before the model was complete.")
        else:
            self._refresher.refresh(job.server_id)  # "done" means that it can be called
            self._finish(job, "done", "")

    def _follow(self, job: PullJob, upstream: Upstream, meter: Meter) -> bool:
        """Read the progress to its end; False when the pull is no longer wanted."""
        upstream.open()
        written_s = 0.0
        for lines in upstream.batches(_TICK_S):
            for line in lines:
                meter.see(read_progress(line), self._clock())
            if self._clock() - written_s >= WRITE_S:
                written_s = self._clock()
                if not self._write(job, meter):
                    return False
        return self._write(job, meter)

    def _write(self, job: PullJob, meter: Meter) -> bool:
        try:
            return self._store.write(
                pulls.progress, job.id, status=meter.status, layers=meter.layers, now=self._now()
            )
        except StoreUnavailable:
            return True  # the download goes on; the page catches up later

    def _finish(self, job: PullJob, state: pulls.State, error: str) -> None:
        if error:
            log.warning("pulling %s on server %d failed: %s", job.model, job.server_id, error)
        self._store.write(pulls.finish, job.id, state, error=error, now=self._now())

    def _is_stopping(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    # -- details -----------------------------------------------------------------------------------

    def _seen(self, job: PullJob) -> Pull:
        with self._lock:
            meter = self._meters.get(job.id)
        if meter is None:
            return Pull(job, *_told_by(job, self._now()))
        layers: Mapping[str, tuple[int, int]] = dict(meter.layers)
        fresh = replace(
            job,
            status=meter.status,
            layers=layers,
            completed_bytes=sum(done for done, _ in layers.values()),
            total_bytes=sum(total for _, total in layers.values()),
        )
        return Pull(fresh, meter.bytes_per_s, meter.eta_s)


def _told_by(job: PullJob, now: datetime) -> tuple[float | None, float | None]:
    """Estimate speed and rest of another worker's pull from its start."""
    if job.state != "running" or job.started_at is None or not job.completed_bytes:
        return None, None
    speed = job.completed_bytes / max((now - job.started_at).total_seconds(), 1.0)
    return speed, (job.total_bytes - job.completed_bytes) / speed
