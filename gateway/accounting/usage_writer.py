"""Writes usage records off the hot path: `admit` and `settle` never wait and never raise.

Records queue in memory and one background writer stores them in batches, FLUSH_S apart at most; so
what a killed process loses is bounded by FLUSH_S of admissions and settlements. What running calls
have taken is noted every PROGRESS_S. An admission that was stored, but whose worker died, is found
by the others (`runtime/workers.py`), and counts with what was noted.

While the store is away the queue grows up to its capacity and is written later; beyond that, the
newest records are dropped and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from gateway.core.usage import Admission, Settlement
from gateway.errors import GatewayError
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.identity import worker_name
from gateway.runtime.tasks import note_failure
from gateway.store.usage import records
from gateway.store.usage.records import Entry

log = logging.getLogger(__name__)

FLUSH_S = 0.1
PROGRESS_S = 0.75  # with the time to write, what a killed worker loses is below a second
_BATCH = 1_000
_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_FAILURES = (GatewayError, StatementError, ValueError, TypeError, OverflowError)

State: TypeAlias = Literal["ok", "behind", "unavailable"]


@dataclass(eq=False)
class UsageWriter:
    """Stores admissions and settlements, which come from any thread, in its own.

    `running` gives (request id, prompt tokens, tokens of the answer) of the calls that run.
    """

    store: Store
    capacity: int = 100_000
    worker: str = field(default_factory=worker_name)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    running: Callable[[], Iterable[tuple[str, int, int]]] = tuple
    dropped: int = 0
    _queue: deque[Admission | Settlement] = field(default_factory=deque)
    _open: dict[str, Admission] = field(default_factory=dict)
    _stored: set[str] = field(default_factory=set)
    _retry: list[Entry] = field(default_factory=list)
    _wake: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None
    _failures: int = 0
    _noted: dict[str, int] = field(default_factory=dict)
    _noted_s: float = 0.0

    def admit(self, admission: Admission) -> None:
        """Record that a call was let in."""
        self._put(admission, self.capacity)

    def settle(self, settlement: Settlement) -> None:
        """Record how an admitted call ended; ends are kept longer than beginnings, so that what
        was begun is not left open."""
        self._put(settlement, 2 * self.capacity)

    def start(self) -> None:
        """Begin to write in the background."""
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._loop, name="usage", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Write what is queued and end the background writer."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None
        if not self.flush(timeout_s):
            log.error("%d usage records could not be written before the end", self.backlog())

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Write everything that is queued now; False if that was not possible in time."""
        until_s = time.monotonic() + timeout_s
        while self.backlog():
            if not self._write_some() and time.monotonic() > until_s:
                return False
            if self._failures:
                time.sleep(0.02)
            if time.monotonic() > until_s:
                return not self.backlog()
        return True

    def backlog(self) -> int:
        """Return how many records wait to be written."""
        return len(self._queue) + len(self._retry)

    def state(self) -> State:
        """Return how writing goes: ok, behind (a backlog), unavailable (the store refuses)."""
        if self._failures:
            return "unavailable"
        return "behind" if self.backlog() > self.capacity // 10 else "ok"

    def _put(self, record: Admission | Settlement, most: int) -> None:
        if len(self._queue) >= most:
            if not self.dropped:
                log.error("the usage queue is full: records are being dropped")
            self.dropped += 1
            return
        self._queue.append(record)
        if not self._wake.is_set():
            self._wake.set()

    def _loop(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(max(0.01, self._noted_s + PROGRESS_S - time.monotonic()))
            self._wake.clear()
            try:
                self._note_progress()
                while self.backlog() and not self._ended.is_set():
                    started_s = time.monotonic()
                    self._write_some()
                    self._note_progress()
                    self._ended.wait(self._pause_s(time.monotonic() - started_s))
            except Exception as error:
                note_failure("writing usage", error)
                self._ended.wait(1.0)
                self._wake.set()

    def _note_progress(self) -> None:
        """Note what running calls have taken since the last time, if that is long ago enough."""
        now_s = time.monotonic()
        if now_s - self._noted_s < PROGRESS_S:
            return
        self._noted_s = now_s
        if self._failures:
            return
        before, self._noted = self._noted, {}
        counts = []
        for name, prompt, answer in self.running():
            if name not in self._stored:
                continue
            self._noted[name] = answer
            if answer != before.get(name, 0):
                counts.append((name, prompt, answer))
        if counts:
            with suppress(StoreUnavailable):  # records tell of that, and are tried again
                self.store.write(records.progress, counts)

    def _pause_s(self, spent_s: float) -> float:
        """Return how long to collect the next batch: not at all while there is plenty."""
        if self._failures:
            return _RETRY_S[min(self._failures, len(_RETRY_S)) - 1]
        return 0.0 if len(self._queue) >= _BATCH else max(0.0, FLUSH_S - spent_s)

    def _write_some(self) -> bool:
        """Write one batch; False if the store did not take it (it is tried again)."""
        with self._writing:
            again = bool(self._retry)
            entries = self._retry or self._take()
            if not entries:
                return True
            try:
                self.store.write(
                    records.write, entries, worker=self.worker, now=self.now(), again=again
                )
            except _FAILURES as exc:
                left = self._one_by_one(entries) if _is_refusal(exc) else entries
                if left:
                    self._wait_for_store(left)
                    return False
            else:
                self._done(entries)
            return True

    def _wait_for_store(self, entries: Sequence[Entry]) -> None:
        if not self._failures:
            log.warning("usage cannot be written: the database is not available")
        self._failures += 1
        self._retry = list(entries)

    def _take(self) -> list[Entry]:
        """Pair what is queued: a call that was admitted and settled meanwhile is one entry."""
        entries: dict[str, Entry] = {}
        for _ in range(min(len(self._queue), _BATCH)):
            record = self._queue.popleft()
            name = record.request_id
            if isinstance(record, Admission):
                self._open[name] = record
                entries[name] = Entry(record)
            elif (admission := self._open.pop(name, None)) is not None:
                entries[name] = Entry(admission, record, name in self._stored)
        return list(entries.values())

    def _done(self, entries: Sequence[Entry]) -> None:
        if self._failures:
            log.warning("usage is being written again")
        self._failures = 0
        self._retry = []
        for entry in entries:
            if entry.settlement is None:
                self._stored.add(entry.admission.request_id)
            else:
                self._stored.discard(entry.admission.request_id)

    def _one_by_one(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Store what can be stored of a batch with a record in it that the database refuses; give
        what is left when the store went away meanwhile."""
        for number, entry in enumerate(entries):
            try:
                self.store.write(
                    records.write, [entry], worker=self.worker, now=self.now(), again=True
                )
            except _FAILURES as exc:
                if not _is_refusal(exc):
                    return entries[number:]
                self.dropped += 1
                log.exception("a usage record was refused and dropped")
            self._done([entry])
        return ()


def _is_refusal(error: BaseException) -> bool:
    """Whether the database refuses a value: trying again would not help. Everything else passes."""
    cause = error.__cause__ if isinstance(error, StoreUnavailable) else error
    if isinstance(cause, DBAPIError):
        return isinstance(cause, DataError | IntegrityError)
    return not isinstance(error, StoreUnavailable)
