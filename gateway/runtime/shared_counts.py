"""Counts per key that all workers of this machine share, in a few microseconds.

A small file is mapped into every worker; a lock of the kernel, which a dying process loses, guards
it. Three tables of fixed records, found by hashing and probing:

    keys     key, minute, requests now and before, tokens now and before, running, reserved
    holders  worker and key, running, reserved: what to take back when that worker is gone
    workers  the processes that ever held anything

Minutes are counted by the machine's monotonic clock, so setting the clock changes nothing; records
of an earlier boot, or of a key not seen for a while, are taken over.

With one worker the same code runs on private memory without a lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.policy.rate_window import WINDOW_S

_KEY = struct.Struct("<QQIIqqII q")  # key, minute, requests x2, tokens x2, running, spare, reserved
_HOLDER = struct.Struct("<QQIIq")  # pid, key, running, spare, reserved
_WORKER = struct.Struct("<Q")  # pid
_KEYS = 8_192
_HOLDERS = 16_384
_WORKERS = 512
_PROBES = 64
_HOLDERS_AT = _KEYS * _KEY.size
_WORKERS_AT = _HOLDERS_AT + _HOLDERS * _HOLDER.size
_SIZE = _WORKERS_AT + _WORKERS * _WORKER.size
_LOCK_TRIES = 400
_IDLE_MINUTES = 2


@dataclass(slots=True)
class Counts:
    """The record of one key; `slot` is where it is kept."""

    key_id: int
    minute: int
    requests: int
    requests_before: int
    tokens: int
    tokens_before: int
    running: int
    reserved: int
    slot: int

    def roll(self, minute: int) -> None:
        """Go on to `minute`: what was now becomes before, or is forgotten."""
        if minute == self.minute:
            return
        follows = minute == self.minute + 1
        self.requests_before = self.requests if follows else 0
        self.tokens_before = self.tokens if follows else 0
        self.requests = self.tokens = 0
        self.minute = minute


class SharedCounts:
    """The table. `change(key_id, now_s)` gives a record to read and alter under the lock."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._memory: mmap.mmap | None = None
        self._file = -1
        self._pid = os.getpid()
        self._enlisted = False

    @property
    def pid(self) -> int:
        """The process these counts are changed by."""
        self._map()
        return self._pid

    @contextmanager
    def change(self, key_id: int, now_s: float) -> Iterator[Counts]:
        """Return the record of a key, rolled to `now_s`; alterations are kept at the end, and what
        is running and reserved more is noted as this worker's."""
        with self._mutex, self._locked():
            counts = self._find(key_id, int(now_s // WINDOW_S))
            before = counts.running, counts.reserved
            yield counts
            running = counts.running - before[0]
            reserved = counts.reserved - before[1]
            self._keep(counts)
            if running or reserved:
                self._hold(self._pid, key_id, running, reserved)

    def forget_worker(self, pid: int) -> int:
        """Take back what a dead worker held; give how many calls that were."""
        calls = 0
        with self._mutex, self._locked():
            for slot in range(_HOLDERS):
                at = _HOLDERS_AT + slot * _HOLDER.size
                holder, key_id, running, _, reserved = _HOLDER.unpack_from(self._map(), at)
                if holder != pid or not (running or reserved):
                    continue
                counts = self._find(key_id, -1)
                counts.running = max(0, counts.running - running)
                counts.reserved = max(0, counts.reserved - reserved)
                self._keep(counts)
                _HOLDER.pack_into(self._map(), at, pid, key_id, 0, 0, 0)
                calls += running
            self._enlist(pid, gone=True)
        return calls

    def holders(self) -> list[int]:
        """Return the processes that may hold something."""
        with self._mutex, self._locked():
            region = self._map()[_WORKERS_AT:_SIZE]
        return [pid for (pid,) in _WORKER.iter_unpack(region) if pid]

    def close(self) -> None:
        """Let go of the file."""
        with self._mutex:
            if self._memory is not None:
                self._memory.close()
                self._memory = None
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _map(self) -> mmap.mmap:
        if self._memory is None:
            self._pid = os.getpid()
            if self._path is None:
                self._memory = mmap.mmap(-1, _SIZE)
            else:
                self._enlisted = False
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if os.fstat(self._file).st_size != _SIZE:
                    os.ftruncate(self._file, _SIZE)
                self._memory = mmap.mmap(self._file, _SIZE)
        return self._memory

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the machine-wide lock; a holder needs microseconds, so waiting is short. One that
        was stopped in between is not waited for: a count may then be off by one."""
        self._map()
        if self._file < 0:
            yield
            return
        held = False
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.0002)
            else:
                held = True
                break
        try:
            yield
        finally:
            if held:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _find(self, key_id: int, minute: int) -> Counts:
        """Return the record of a key, or a fresh one in the first slot that may be taken."""
        memory = self._map()
        free = -1
        for probe in range(_PROBES):
            slot = (key_id * 0x9E3779B1 + probe) % _KEYS
            record = _KEY.unpack_from(memory, slot * _KEY.size)
            if record[0] == key_id:
                key, seen, now, before, taken, taken_before, running, _, reserved = record
                counts = Counts(
                    key, seen, now, before, taken, taken_before, running, reserved, slot
                )
                if minute >= 0:
                    counts.roll(minute)
                return counts
            if free < 0 and (not record[0] or self._is_idle(record, minute)):
                free = slot
            if not record[0]:
                break
        slot = free if free >= 0 else key_id * 0x9E3779B1 % _KEYS
        return Counts(key_id, max(0, minute), 0, 0, 0, 0, 0, 0, slot)

    @staticmethod
    def _is_idle(record: tuple[int, ...], minute: int) -> bool:
        seen, running = record[1], record[6]
        return not running and not seen <= minute <= seen + _IDLE_MINUTES

    def _keep(self, counts: Counts) -> None:
        _KEY.pack_into(
            self._map(),
            counts.slot * _KEY.size,
            counts.key_id,
            counts.minute,
            min(counts.requests, 2**32 - 1),
            min(counts.requests_before, 2**32 - 1),
            counts.tokens,
            counts.tokens_before,
            max(0, counts.running),
            0,
            max(0, counts.reserved),
        )

    def _hold(self, pid: int, key_id: int, running: int, reserved: int) -> None:
        if not self._enlisted:
            self._enlist(pid)
            self._enlisted = True
        memory = self._map()
        free = -1
        for probe in range(_PROBES):
            slot = (key_id * 0x9E3779B1 + pid * 0x85EBCA77 + probe) % _HOLDERS
            at = _HOLDERS_AT + slot * _HOLDER.size
            record = _HOLDER.unpack_from(memory, at)
            if record[0] == pid and record[1] == key_id:
                calls, tokens = max(0, record[2] + running), max(0, record[4] + reserved)
                _HOLDER.pack_into(memory, at, pid, key_id, calls, 0, tokens)
                return
            if free < 0 and not (record[2] or record[4]):
                free = at
            if not record[0]:
                break
        if free >= 0:
            _HOLDER.pack_into(memory, free, pid, key_id, max(0, running), 0, max(0, reserved))

    def _enlist(self, pid: int, *, gone: bool = False) -> None:
        """Note a process among the workers, or strike it off."""
        memory = self._map()
        free = -1
        for slot in range(_WORKERS):
            at = _WORKERS_AT + slot * _WORKER.size
            (seen,) = _WORKER.unpack_from(memory, at)
            if seen == pid:
                if gone:
                    _WORKER.pack_into(memory, at, 0)
                    self._enlisted = self._enlisted and pid != self._pid
                return
            if not seen and free < 0:
                free = at
        if not gone and free >= 0:
            _WORKER.pack_into(memory, free, pid)
