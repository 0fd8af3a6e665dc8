"""Tells other processes how many calls run here, and hears the same from them.

Without Redis the workers of one machine share a small file in memory (`LocalBoard`); with
`REDIS_URL` all instances share a hash (`redis_board`). Both only carry counts, by server and model:
an exchange takes microseconds or one round trip and never stands in the way of a call. Every
process keeps its own line; `services.fleet` says what follows.

A process is believed while its beat goes on: who has not been heard for `SILENT_S` seconds counts
nothing. Nobody's clock is compared with anybody else's.
"""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from gateway.services.fleet import Fleet

log = logging.getLogger(__name__)

BUSY_S: Final = 0.05
IDLE_S: Final = 0.5
SILENT_S: Final = 3.0
_ROWS: Final = 64
_ROW_BYTES: Final = 16_384
_HEAD: Final = struct.Struct("<QQI")

Counts: TypeAlias = Mapping[tuple[int, str], int]


class Board(Protocol):
    """Where processes leave their counts."""

    def exchange(self, mine: Counts) -> Counts:
        """Leave ours, and give the sum of the others'. Raises OSError."""
        ...

    def close(self) -> None:
        """Take ours away."""
        ...


class LocalBoard:
    """A file shared by the workers of one machine: one row each, written by its owner alone.

    A row is taken by locking one byte of the file, so the row of a killed worker is free again.
    Its number is odd while it is being written: a reader then keeps what it read before.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._fd = -1
        self._memory: mmap.mmap | None = None
        self._row: int | None = None
        self._beat = 0
        self._heard: dict[int, tuple[int, float, Counts]] = {}

    def exchange(self, mine: Counts) -> Counts:
        """See `Board`. With more processes than rows the surplus ones only listen."""
        memory = self._memory or self._open()
        if self._row is None:
            self._row = self._free_row(memory)
        if self._row is not None:
            self._write(memory, self._row, mine)
        return total(self._others(memory))

    def close(self) -> None:
        """See `Board`."""
        memory, self._memory = self._memory, None
        if memory is None:
            return
        if self._row is not None:
            self._write(memory, self._row, {})
        memory.close()
        os.close(self._fd)

    def _open(self) -> mmap.mmap:
        """Open the file; not before it is needed, since that is after the fork."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._fd, _ROWS * _ROW_BYTES)
        self._memory = mmap.mmap(self._fd, _ROWS * _ROW_BYTES)
        return self._memory

    def _free_row(self, memory: mmap.mmap) -> int | None:
        for row in range(_ROWS):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
            except OSError:
                continue
            number, _, _ = _HEAD.unpack_from(memory, row * _ROW_BYTES)
            self._beat = number + number % 2  # a writer killed half-way left an odd number
            return row
        return None

    def _write(self, memory: mmap.mmap, row: int, mine: Counts) -> None:
        data = encode(mine)
        start = row * _ROW_BYTES
        self._beat += 2
        _HEAD.pack_into(memory, start, self._beat - 1, os.getpid(), len(data))
        memory[start + _HEAD.size : start + _HEAD.size + len(data)] = data
        _HEAD.pack_into(memory, start, self._beat, os.getpid(), len(data))

    def _others(self, memory: mmap.mmap) -> Iterator[Counts]:
        now_s = self._clock()
        for row in range(_ROWS):
            if row == self._row:
                continue
            start = row * _ROW_BYTES
            number, _, length = _HEAD.unpack_from(memory, start)
            known = self._heard.get(row)
            if number and (known is None or known[0] != number) and number % 2 == 0:
                data = memory[start + _HEAD.size : start + _HEAD.size + length]
                if _HEAD.unpack_from(memory, start)[0] == number:
                    first = known is None  # left behind by a process that ended before we began
                    known = (number, now_s - SILENT_S if first else now_s, decode(data))
                    self._heard[row] = known
            if known is not None and now_s - known[1] < SILENT_S:
                yield known[2]


class Sharing:
    """Exchanges counts in the background: often while calls run, seldom while none do."""

    def __init__(self, fleet: Fleet, board: Board) -> None:
        self._fleet = fleet
        self._board = board
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_away = False

    def start(self) -> None:
        """Begin to exchange."""
        self._thread = threading.Thread(target=self._run, name="sharing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take our counts away and stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1)

    def turn(self) -> bool:
        """Exchange once; give whether calls run or wait here. Never raises."""
        mine = self._fleet.in_flight()
        try:
            others = self._board.exchange(mine)
        except (OSError, ValueError) as error:
            if not self._is_away:
                log.warning("calls of other processes are unknown: %s", type(error).__name__)
            self._is_away, others = True, {}
        else:
            self._is_away = False
        self._fleet.share(others)
        return bool(mine) or bool(self._fleet.waiting())

    def _run(self) -> None:
        pause_s = IDLE_S
        while not self._stop.wait(pause_s):
            pause_s = BUSY_S if self.turn() else IDLE_S
        try:
            self._board.close()
        except (OSError, ValueError):
            log.debug("our counts could not be taken away")


def encode(counts: Counts) -> bytes:
    """Give counts as JSON that fits a row; the smallest are left out where it does not."""
    entries: list[tuple[int, str, int]] = [
        (server, name, count) for (server, name), count in counts.items()
    ]
    data = json.dumps(entries).encode()
    while len(data) > _ROW_BYTES - _HEAD.size:
        entries.sort(key=lambda entry: -entry[2])
        entries = entries[: len(entries) // 2]
        data = json.dumps(entries).encode()
    return data


def decode(data: bytes) -> Counts:
    """Read what another process wrote; nonsense counts nothing."""
    try:
        return {
            (int(server), str(name)): max(int(count), 0) for server, name, count in json.loads(data)
        }
    except (ValueError, TypeError):
        return {}


def total(counts: Iterable[Counts]) -> Counts:
    """Add counts up."""
    found: Counter[tuple[int, str]] = Counter()
    for one in counts:
        found.update(one)
    return found
