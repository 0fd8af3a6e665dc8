"""What operators watch: counters and gauges in Prometheus' text format.

A call is counted once, when it is settled; nothing happens for each token. Once a second the
watchdog notes how the process does: the event loop, the line, the servers, the usage writer.

Labels come from the catalogue and from fixed words only, so a caller cannot make new series: what
was asked for under an unknown name counts as `other`.

With several workers each writes its own file below PROMETHEUS_MULTIPROC_DIR, which
`gateway.start` makes anew for each run; whichever worker is asked adds them up.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
import time
from collections import Counter as Tallied
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Literal, Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.accounting.usage_writer import UsageWriter
from gateway.core.usage import Admission, Settlement
from gateway.dialects import ENDPOINTS
from gateway.runtime import tasks
from gateway.schemas.server import ServerView

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series for nothing

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
SHARED_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
STALL_S: Final = 0.25
TICK_S: Final = 0.1
SAMPLE_S: Final = 1.0
OTHER: Final = "other"
SPARE_BYTES: Final = 64 << 20
TRIM_S: Final = 30.0

_malloc_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone
_STATM = "/proc/self/statm"  # Linux
_ENDPOINTS = frozenset(endpoint.name for endpoint in ENDPOINTS)
_LIMITS = frozenset({"rate_limit_exceeded", "concurrency_limit_exceeded", "insufficient_quota"})
_MAX_MODELS = 1_000
_WAITS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_GAPS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """How this process does right now.

    `waiting` counts queued calls by model name, `in_flight` this process's calls by server id.
    `usage_lag_s` is how long records have been waiting without a pause.
    """

    running: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    in_flight: Mapping[int, int] = field(default_factory=dict)
    servers: tuple[ServerView, ...] = ()
    usage_backlog: int = 0
    usage_dropped: int = 0
    usage_lag_s: float = 0.0
    draining: bool = False


class Metrics:
    """All series of this process. Thread-safe; nothing in here raises into a call."""

    def __init__(self, version: str) -> None:
        self._registry = None if SHARED_DIR in os.environ else CollectorRegistry()
        self._models: set[str] = set()
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self._labelled: dict[str, set[str]] = {}
        self._requests = self._counter(
            "o2a_requests", "Calls that ended.", ("endpoint", "model", "status")
        )
        self._errors = self._counter("o2a_errors", "Calls that failed.", ("endpoint", "code"))
        self._limits = self._counter("o2a_limits_hit", "Calls refused by a limit.", ("limit",))
        self._tokens = self._counter("o2a_tokens", "Tokens.", ("model", "kind"))
        self._first = self._histogram(
            "o2a_time_to_first_token_seconds", "Admission to first token.", _WAITS, ("model",)
        )
        self._gap = self._histogram(
            "o2a_inter_token_gap_seconds", "Mean gap between tokens of a call.", _GAPS, ("model",)
        )
        self._duration = self._histogram(
            "o2a_request_duration_seconds", "Admission to end.", _WAITS, ("endpoint",)
        )
        self._queue = self._histogram("o2a_queue_wait_seconds", "Time in line.", _WAITS)
        self._lag = self._histogram("o2a_hub_lag_seconds", "Lateness of the event loop.", _LAGS)
        self._stalls = self._counter("o2a_hub_stalls", f"Lateness over {STALL_S} s.")
        self._running = self._gauge("o2a_requests_in_progress", "Calls running or waiting.")
        self._waiting = self._gauge("o2a_queue_waiting", "Calls in line.", ("model",))
        self._backlog = self._gauge("o2a_usage_backlog_records", "Usage records not yet stored.")
        self._dropped = self._gauge("o2a_usage_dropped_records", "Usage records lost.")
        self._usage_lag = self._gauge(
            "o2a_usage_lag_seconds", "How long usage records have been waiting.", mode="livemax"
        )
        self._draining = self._gauge("o2a_draining", "Workers that end their calls.")
        self._failures = self._gauge(
            "o2a_background_failures", "Failures of background work.", ("task",)
        )
        self._memory = self._gauge("o2a_resident_memory_bytes", "Memory of all workers.")
        self._up = self._gauge(
            "o2a_server_up", "1 when the server may be chosen.", ("server",), mode="livemostrecent"
        )
        self._slots = self._gauge(
            "o2a_server_slots", "Calls of one model at once.", ("server",), mode="livemostrecent"
        )
        self._latency = self._gauge(
            "o2a_server_latency_seconds", "Last probe.", ("server",), mode="livemostrecent"
        )
        self._in_flight = self._gauge("o2a_server_in_flight", "Calls running.", ("server",))
        info = self._gauge("o2a_build_info", "Version.", ("version",), mode="livemostrecent")
        info.labels(version).set(1)

    def settled(self, admission: Admission, settlement: Settlement) -> None:
        """Count a call that ended. Costs some 20 microseconds."""
        endpoint = admission.endpoint if admission.endpoint in _ENDPOINTS else OTHER
        model = self._model(admission)
        child = self._child
        child(self._requests, endpoint, model, str(settlement.status)).inc()
        child(self._duration, endpoint).observe(settlement.duration_ms / 1000)
        if settlement.error_code and settlement.outcome == "failed":
            self._errors.labels(endpoint, settlement.error_code).inc()
            if settlement.error_code in _LIMITS:
                self._limits.labels(settlement.error_code).inc()
        for kind, count in (
            ("prompt", settlement.prompt_tokens),
            ("completion", settlement.completion_tokens),
            ("reasoning", settlement.reasoning_tokens),
            ("cached", settlement.cached_tokens),
        ):
            if count:
                child(self._tokens, model, kind).inc(count)
        if settlement.queue_ms is not None:
            self._queue.observe(settlement.queue_ms / 1000)
        if settlement.first_token_ms is not None:
            child(self._first, model).observe(settlement.first_token_ms / 1000)
            gap_s = mean_gap_s(settlement)
            if gap_s is not None:
                child(self._gap, model).observe(gap_s)

    def turned_away(self, status: int, code: str) -> None:
        """Count a request without a valid key, which no record tells of."""
        self._child(self._requests, OTHER, OTHER, str(status)).inc()
        self._child(self._errors, OTHER, code).inc()

    def late(self, lag_s: float) -> None:
        """Note by how much the event loop was late."""
        self._lag.observe(lag_s)
        if lag_s > STALL_S:
            self._stalls.inc()

    def sample(self, now: Sample) -> None:
        """Set the gauges of this process."""
        self._running.set(now.running)
        self._backlog.set(now.usage_backlog)
        self._dropped.set(now.usage_dropped)
        self._usage_lag.set(now.usage_lag_s)
        self._draining.set(now.draining)
        self._memory.set(_resident_bytes())
        failures = ((job, found.count) for job, found in list(tasks.failures.items()))
        self._set_all("failures", self._failures, failures)
        self._set_all("waiting", self._waiting, now.waiting.items())
        views = now.servers
        self._set_all("up", self._up, ((v.server.name, v.healthy) for v in views))
        self._set_all("slots", self._slots, ((v.server.name, v.slots) for v in views))
        self._set_all(
            "latency", self._latency, ((v.server.name, (v.latency_ms or 0) / 1000) for v in views)
        )
        self._set_all(
            "in_flight",
            self._in_flight,
            ((v.server.name, now.in_flight.get(v.server.id, 0)) for v in views),
        )

    def text(self) -> bytes:
        """Return everything as Prometheus reads it, of all workers."""
        if self._registry is not None:
            return generate_latest(self._registry)
        return tasks.run_blocking(_of_all_workers)

    # -- helpers ---------------------------------------------------------------------------------

    def _child(self, metric: Any, *labels: str) -> Any:
        """Return one series; finding it again is most of what counting costs otherwise."""
        found = self._children.get((metric, labels))
        if found is None:
            found = self._children[metric, labels] = metric.labels(*labels)
        return found

    def _model(self, admission: Admission) -> str:
        """Return the label of a call's model: one of the catalogue's names, and not too many."""
        name = admission.model
        if name in self._models:
            return name
        if admission.model_id is None or not name or len(self._models) >= _MAX_MODELS:
            return OTHER
        self._models.add(name)
        return name

    def _set_all(self, which: str, gauge: Gauge, values: Iterable[tuple[str, float]]) -> None:
        """Set one gauge for each label; labels that are gone become 0."""
        found = dict(values)
        before = self._labelled.get(which, set())
        for name in before - found.keys():
            gauge.labels(name).set(0)
        for name, value in found.items():
            gauge.labels(name).set(value)
        self._labelled[which] = before | found.keys()

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def _gauge(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...] = (),
        mode: Literal["livesum", "livemax", "livemostrecent"] = "livesum",
    ) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=mode)


class ServerGauges(Protocol):
    """What is sampled of the servers and their queues."""

    def in_flight(self) -> Mapping[tuple[int, str], int]:
        """Return the calls running, by server id and model name."""

    def waiting(self) -> Mapping[str, int]:
        """Return the queued calls, by model name."""

    def views(self) -> tuple[ServerView, ...]:
        """Return every server as it is now."""


@dataclass(eq=False)
class Watchdog:
    """Measures the lateness of the event loop and samples the process, once a second.

    A loop that is late makes every stream late: something computed or blocked without yielding.
    """

    metrics: Metrics
    servers: ServerGauges
    live: Sized
    usage: UsageWriter
    draining: threading.Event
    clock: Callable[[], float] = time.monotonic
    _stop: threading.Event = field(default_factory=threading.Event)
    _waiting_since_s: float | None = None
    _sampled_s: float | None = None
    _least_bytes: float = inf
    _trimmed_s: float = -inf

    def start(self) -> None:
        """Begin, after the fork."""
        threading.Thread(target=self._loop, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def tick(self, expected_s: float) -> None:
        """Look once; `expected_s` is when this should have happened."""
        now_s = self.clock()
        self.metrics.late(max(0.0, now_s - expected_s))
        if self._sampled_s is None or now_s - self._sampled_s >= SAMPLE_S:
            self._sampled_s = now_s
            self.metrics.sample(self.look(now_s))
            self._trim(now_s, _resident_bytes())

    def look(self, now_s: float) -> Sample:
        """Return how this process does."""
        running: Tallied[int] = Tallied()
        for (server_id, _), calls in self.servers.in_flight().items():
            running[server_id] += calls
        backlog = self.usage.backlog()
        return Sample(
            running=len(self.live),
            waiting=self.servers.waiting(),
            in_flight=running,
            servers=self.servers.views(),
            usage_backlog=backlog,
            usage_dropped=self.usage.dropped,
            usage_lag_s=self._usage_lag_s(backlog, now_s),
            draining=self.draining.is_set(),
        )

    def _trim(self, now_s: float, resident_bytes: int) -> None:
        """Have the C library give back what it keeps of large answers that are long gone: 570 MB
        became 100 MB, in up to 40 ms."""
        self._least_bytes = min(self._least_bytes, resident_bytes)
        is_much = resident_bytes - self._least_bytes > SPARE_BYTES
        if is_much and now_s - self._trimmed_s >= TRIM_S and _malloc_trim is not None:
            self._trimmed_s = now_s
            tasks.run_blocking(_malloc_trim, 0)

    def _usage_lag_s(self, backlog: int, now_s: float) -> float:
        """Return for how long the backlog has not been empty whenever we looked."""
        if not backlog:
            self._waiting_since_s = None
            return 0.0
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        return now_s - self._waiting_since_s

    def _loop(self) -> None:
        while True:
            expected_s = self.clock() + TICK_S
            if self._stop.wait(TICK_S):
                return
            try:
                self.tick(expected_s)
            except Exception as error:
                tasks.note_failure("the watchdog", error)


def mean_gap_s(settlement: Settlement) -> float | None:
    """Return the mean time between two tokens as the client saw it; None with fewer than two."""
    if settlement.first_token_ms is None or settlement.completion_tokens < 2:
        return None
    spent_ms = settlement.duration_ms - settlement.first_token_ms
    return max(0.0, spent_ms / 1000 / (settlement.completion_tokens - 1))


def _of_all_workers() -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own
    return generate_latest(registry)


def _resident_bytes() -> int:
    """Return the resident memory of this process; without /proc, the most it ever was."""
    try:
        with open(_STATM, "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # macOS bytes, others KiB
