"""Has servers fetch models or load them into memory, and shows how far they are.

Either takes minutes, so it is a job in the store: it survives the page that began it and any number
of pages may watch it, in every worker. One worker is at a job at a time; it writes its progress
once a second, so that whoever watches from another worker is at most that far behind, and a
restarted gateway takes up what was left (Ollama itself continues where a download stood).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditAction
from gateway.errors import Forbidden, GatewayError, Message
from gateway.management.model_operations import client_of, in_words, record, valid_name
from gateway.ollama.capabilities import Progress, read_progress
from gateway.ollama.client import OllamaClient
from gateway.runtime import tasks
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.identity import worker_name
from gateway.scheduling.discovery import Refresher
from gateway.scheduling.loading import FOREVER, Loading
from gateway.scheduling.scheduler import Scheduler
from gateway.store import jobs as pulls
from gateway.store.jobs import Job

log = logging.getLogger(__name__)

WRITE_S: Final = 1.0
LOOK_S: Final = 2.0
GB: Final = 10**9
STALE: Final = timedelta(seconds=15)
IDLE_S: Final = 300.0
SHOWN_ENDED: Final = 8
_STARTED: Final[Mapping[pulls.Kind, AuditAction]] = {
    "pull": "model.pull",
    "load": "model.load",
    "pin": "model.load",
}
_CANCELLED: Final[Mapping[pulls.Kind, AuditAction]] = {
    "pull": "model.pull_cancel",
    "load": "model.load_cancel",
    "pin": "model.load_cancel",
}


@dataclass(frozen=True, slots=True)
class Pull:
    """A job as people see it. `bytes_per_s` and `eta_s` are None until they can be told."""

    job: Job
    bytes_per_s: float | None = None
    eta_s: float | None = None

    @property
    def share(self) -> float | None:
        """How much is there, from 0 to 1; None before the sizes are known."""
        return self.job.completed_bytes / self.job.total_bytes if self.job.total_bytes else None


@dataclass(eq=False)
class ModelJobs:
    """ModelJobs and loads, those of all workers."""

    store: Store
    scheduler: Scheduler
    refresher: Refresher
    loading: Loading
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _meters: dict[int, Meter] = field(default_factory=dict)
    _running: dict[int, tasks.Task[Any]] = field(default_factory=dict)
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        self._looking = tasks.Every(LOOK_S, self.take_up, "looking for jobs")

    # -- orders ------------------------------------------------------------------------------------

    def begin(
        self, model: str, server_ids: Sequence[int], actor: Actor, *, max_bytes: int = 0
    ) -> list[Pull]:
        """Have servers fetch a model of at most `max_bytes`, 0 is any; joins pulls that run
        already, with their limit. Raises InvalidRequest."""
        return self._begin("pull", valid_name(model), server_ids, actor, max_bytes)

    def load(
        self, model: str, server_ids: Sequence[int], actor: Actor, *, for_good: bool = False
    ) -> list[Pull]:
        """Have servers bring a model into memory, `for_good` to keep it there until it is unloaded;
        joins loads that run already. Raises InvalidRequest."""
        return self._begin("pin" if for_good else "load", model, server_ids, actor)

    def _begin(
        self,
        kind: pulls.Kind,
        name: str,
        server_ids: Sequence[int],
        actor: Actor,
        max_bytes: int = 0,
    ) -> list[Pull]:
        for server_id in server_ids:
            client_of(self.scheduler, server_id)
        now = self.now()

        def write(session: Session) -> list[Job]:
            jobs = []
            for server_id in server_ids:
                job, is_new = pulls.open_or_insert(
                    session,
                    server_id,
                    name,
                    kind=kind,
                    max_bytes=max_bytes,
                    actor_name=actor.name,
                    now=now,
                )
                jobs.append(job)
                if is_new:
                    record(session, actor, _STARTED[kind], name, server_id, now)
            return jobs

        jobs = self.store.write(write)
        for job in jobs:
            tasks.spawn(self._work, job.id)
        return [self._seen(job) for job in jobs]

    def all(self, kind: pulls.Kind | None = None) -> list[Pull]:
        """Return running jobs, then the last ones that ended; all, or those of one kind."""
        return [self._seen(job) for job in self.store.read(pulls.recent, kind)]

    def open_loads(self, model: str = "") -> list[Job]:
        """Return the loads that run, of one model or of all ("")."""
        found = self.store.read(pulls.recent, None)
        return [
            one for one in found if one.is_open and one.kind != "pull" and model in ("", one.model)
        ]

    def current(self) -> list[Pull]:
        """Return running jobs, then the last few that ended."""
        return [self._seen(job) for job in self.store.read(pulls.current, SHOWN_ENDED)]

    def get(self, job_id: int, kind: pulls.Kind | None = None) -> Pull:
        """Return a job. Raises NotFound."""
        return self._seen(self.store.read(pulls.get, job_id, kind))

    def watch(self, job_id: int) -> Iterator[Job]:
        """Yield a job as it is, once a second until it has ended. Raises NotFound when it is
        gone with its server, StoreUnavailable."""
        while (job := self.get(job_id).job).is_open:
            yield job
            time.sleep(WRITE_S)
        yield job

    def cancel(self, job_id: int, actor: Actor, kind: pulls.Kind | None = None) -> Pull:
        """Stop a job, whichever worker runs it. What is there of a pull is kept by Ollama; what is
        there of a load is let go. Raises NotFound."""
        now = self.now()

        def write(session: Session) -> Job:
            pulls.get(session, job_id, kind)
            job = pulls.request_cancel(session, job_id, now)
            record(session, actor, _CANCELLED[job.kind], job.model, job.server_id, now)
            return job

        job = self.store.write(write)
        task = self._running.get(job_id)
        if task is not None:
            task.interrupt("cancelled")
        return self._seen(job)

    def retry(self, job_id: int, actor: Actor) -> list[Pull]:
        """Do again what a job did that has ended; the new one takes its place. Raises NotFound,
        InvalidRequest when its server is gone."""
        job = self.get(job_id).job
        begun = self._begin(job.kind, job.model, [job.server_id], actor, job.max_bytes)
        self.dismiss(job_id)
        return begun

    def dismiss(self, job_id: int) -> None:
        """Forget a job that has ended; one that runs is left alone. Raises NotFound."""
        self.store.write(pulls.remove_closed, job_id)

    def start(self) -> None:
        """Begin to take up jobs that nobody works on."""
        self._is_stopping = False
        self._looking.start()

    def stop(self) -> None:
        """Leave running jobs to whoever comes next."""
        self._is_stopping = True
        self._looking.stop()
        for task in list(self._running.values()):
            task.interrupt("the worker stops")

    def take_up(self) -> None:
        """Resume what was left by a worker that ended."""
        for job_id in self.store.read(pulls.waiting, self.now() - STALE):
            tasks.spawn(self._work, job_id)

    # -- the work ----------------------------------------------------------------------------------

    def _work(self, job_id: int) -> None:
        """Pull or load, if nobody else does. Never raises."""
        try:
            now = self.now()
            if self.store.write(pulls.take, job_id, worker_name(), now, now - STALE):
                self._do(self.store.read(pulls.get, job_id))
        except StoreUnavailable:
            log.warning("job %d goes on when the database is back", job_id)
        except Exception:
            log.exception("job %d failed in the gateway", job_id)
        finally:
            self._meters.pop(job_id, None)
            self._running.pop(job_id, None)

    def _do(self, job: Job) -> None:
        """Do what a job is about, and write down what came of it."""
        meter, task = Meter(), tasks.current()
        assert task is not None
        self._meters[job.id] = meter
        self._running[job.id] = task
        ticker = tasks.Every(
            WRITE_S, lambda: self._look_after(job, meter, task), "writing progress"
        )
        ticker.start()
        try:
            client = client_of(self.scheduler, job.server_id)
            (self._pull if job.kind == "pull" else self._load)(job, client, meter)
            is_wanted = self._write(job, meter)
        except tasks.Cancelled:
            task.resume()  # it is written down below
            is_wanted = False
        except GatewayError as error:
            self._finish(job, "failed", in_words(error))
            return
        finally:
            ticker.stop()
        if is_wanted:
            self._succeed(job, meter)
        elif not self._is_stopping:  # else whoever comes next takes it up
            self._finish(job, "cancelled", "")

    def _look_after(self, job: Job, meter: Meter, task: tasks.Task[Any]) -> None:
        """Write how far a job is, and end it when it is no longer wanted."""
        if not self._write(job, meter):
            task.interrupt("no longer wanted")

    def _pull(self, job: Job, client: OllamaClient, meter: Meter) -> None:
        """Fetch a model."""
        body = orjson.dumps({"model": job.model, "stream": True})
        with client.post("/api/pull", body, read_timeout_s=IDLE_S) as upstream:
            for lines in upstream.lines():
                for line in lines:
                    meter.see(read_progress(line), self.clock())
                if 0 < job.max_bytes < meter.total_bytes:
                    raise Forbidden(
                        Message(
                            "The model is larger than the %(limit)s GB that keys may pull.",
                            limit=job.max_bytes // GB,
                        )
                    )

    def _load(self, job: Job, client: OllamaClient, meter: Meter) -> None:
        """Bring a model into memory; Ollama gives it up when its caller, cancelled, leaves."""
        self.loading.load(client, job.model, FOREVER if job.kind == "pin" else None)
        if job.kind == "pin":
            self.loading.pin(job.model, [job.server_id], True)

    def _write(self, job: Job, meter: Meter) -> bool:
        try:
            return self.store.write(
                pulls.progress, job.id, status=meter.status, layers=meter.layers, now=self.now()
            )
        except StoreUnavailable:
            return True  # the download goes on; the page catches up later

    def _succeed(self, job: Job, meter: Meter) -> None:
        if job.kind != "pull":
            self.scheduler.probe_now(job.server_id)  # to see it in memory
            self._finish(job, "done", "")
        elif meter.status != "success":
            self._finish(
                job, "failed", Message("The server stopped before the model was complete.")
            )
        else:
            self.refresher.refresh(job.server_id)  # "done" means that it can be called
            self._finish(job, "done", "")

    def _finish(self, job: Job, state: pulls.State, error: str) -> None:
        if error:
            log.warning(
                "the %s of %s on server %d failed: %s", job.kind, job.model, job.server_id, error
            )
        self.store.write(pulls.finish, job.id, state, error=error, now=self.now())

    # -- details -----------------------------------------------------------------------------------

    def _seen(self, job: Job) -> Pull:
        meter = self._meters.get(job.id)
        if meter is None:
            return Pull(job, *told_by(job, self.now()))
        layers: Mapping[str, tuple[int, int]] = dict(meter.layers)
        fresh = replace(
            job,
            status=meter.status,
            layers=layers,
            completed_bytes=sum(done for done, _ in layers.values()),
            total_bytes=meter.total_bytes,
        )
        return Pull(fresh, meter.bytes_per_s, meter.eta_s)


_SPEED_OVER_S: Final = 10.0
_MAX_LAYERS: Final = 500


class Meter:
    """The figures of a pull that runs here. Not thread-safe: its puller's own."""

    def __init__(self) -> None:
        self.status = ""
        self.layers: dict[str, tuple[int, int]] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, step: Progress, now_s: float) -> None:
        """Record one line of Ollama's progress."""
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
    def total_bytes(self) -> int:
        """The size of the layers that are known so far."""
        return sum(total for _, total in self.layers.values())

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


def told_by(job: Job, now: datetime) -> tuple[float | None, float | None]:
    """Estimate speed and rest of another worker's pull from its start: bytes a second, seconds."""
    if job.state != "running" or job.started_at is None or not job.completed_bytes:
        return None, None
    speed = job.completed_bytes / max((now - job.started_at).total_seconds(), 1.0)
    return speed, (job.total_bytes - job.completed_bytes) / speed
