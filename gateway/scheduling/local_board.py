"""The board of the workers of one machine: a file in memory, a row for each, written by its owner.

A row belongs to whoever holds the lock on its byte, and says nothing once nobody does: a killed
worker leaves nothing behind. One more byte is the turn. What a row says has a number, odd while it
is being written: who has waited too long for the turn reads without it, but never half a row. After
the rows stands how many owners there have been, so that a new one is noticed at once: whoever is
alone takes no turn at all.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.scheduling.neighbours import EMPTY, Row, decode, encode

ROWS: Final = 64
ROW_BYTES: Final = 65_536
HEAD: Final = struct.Struct("<QI")
_TURN: Final = ROWS
_OWNERS: Final = struct.Struct("<Q")
_OWNERS_AT: Final = ROWS * ROW_BYTES
_FILE_BYTES: Final = _OWNERS_AT + _OWNERS.size
_LOOK_S: Final = 0.5
_PATIENCE_S: Final = 0.02
_NOBODY: Final[Mapping[str, Row]] = {}


class LocalBoard:
    """See `sharing.Board`. With more processes than rows the surplus ones only listen."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._fd = -1
        self._memory: mmap.mmap | None = None
        self._row: int | None = None
        self._number = 0
        self._mine = b""
        self._neighbours: tuple[int, ...] = ()
        self._numbers: dict[int, int] = {}
        self._rows: Mapping[str, Row] = _NOBODY
        self._look_at_s = 0.0
        self._owners = 0
        self._is_our_turn = False

    def open(self) -> str:
        """See `sharing.Board`."""
        if self._memory is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            _reserve(self._fd, _FILE_BYTES)
            self._memory = memory = mmap.mmap(self._fd, _FILE_BYTES)
            self._take_turn()
            self._row = next((row for row in range(ROWS) if self._lock(row)), None)
            if self._row is not None:
                number, _ = HEAD.unpack_from(memory, self._row * ROW_BYTES)
                self._number = number + number % 2  # a writer killed half-way left an odd number
                self._write(memory, self._row, b"")
                _OWNERS.pack_into(memory, _OWNERS_AT, self._owners_now(memory) + 1)
            self._unlock(_TURN)
        return "~" if self._row is None else f"{self._row:02}"

    def begin(self) -> Mapping[str, Row]:
        """See `sharing.Board`. Who holds the turn longer than a moment is stopped or starved; it is
        not waited for."""
        if self._memory is None:
            self.open()
        memory = self._memory
        assert memory is not None
        if not self._neighbours and not self._mine and self._owners == self._owners_now(memory):
            return self._rows
        self._take_turn()
        self._is_our_turn = True
        now_s, owners = self._clock(), self._owners_now(memory)
        if owners != self._owners or now_s >= self._look_at_s:
            self._look(range(ROWS) if owners != self._owners else self._neighbours)
            self._look_at_s, self._owners = now_s + _LOOK_S, owners
        for row in self._neighbours:
            start = row * ROW_BYTES
            number, length = HEAD.unpack_from(memory, start)
            if number != self._numbers.get(row) and number % 2 == 0:
                data = memory[start + HEAD.size : start + HEAD.size + length]
                if HEAD.unpack_from(memory, start)[0] == number:
                    self._numbers[row] = number
                    self._rows = {**self._rows, f"{row:02}": decode(data)}
        return self._rows

    def end(self, mine: Row) -> None:
        """See `sharing.Board`."""
        if not self._is_our_turn:
            return
        self._is_our_turn = False
        if self._row is not None and self._memory is not None:
            data = b"" if mine is EMPTY else encode(mine, ROW_BYTES - HEAD.size)
            if data != self._mine:
                self._write(self._memory, self._row, data)
        self._unlock(_TURN)

    def close(self) -> None:
        """See `sharing.Board`."""
        memory, self._memory = self._memory, None
        if memory is not None:
            if self._row is not None:
                self._write(memory, self._row, b"")
            memory.close()
            os.close(self._fd)  # and with it all locks

    def _look(self, rows: Iterable[int]) -> None:
        """Find out which of these rows have an owner; a row that has none is empty."""
        held = {row for row in rows if row != self._row and not self._is_free(row)}
        gone = [row for row in self._numbers if row not in held]
        for row in gone:
            del self._numbers[row]
        if gone:
            names = {f"{row:02}" for row in gone}
            self._rows = {name: told for name, told in self._rows.items() if name not in names}
        self._neighbours = tuple(held)

    def _take_turn(self) -> None:
        if not self._lock(_TURN):
            until_s = self._clock() + _PATIENCE_S
            while not self._lock(_TURN) and self._clock() < until_s:
                os.sched_yield()

    def _owners_now(self, memory: mmap.mmap) -> int:
        owners: int = _OWNERS.unpack_from(memory, _OWNERS_AT)[0]
        return owners

    def _is_free(self, row: int) -> bool:
        if not self._lock(row):
            return False
        self._unlock(row)
        return True

    def _lock(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(self, byte: int) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def _write(self, memory: mmap.mmap, row: int, data: bytes) -> None:
        start = row * ROW_BYTES
        self._number += 2
        HEAD.pack_into(memory, start, self._number - 1, len(data))
        memory[start + HEAD.size : start + HEAD.size + len(data)] = data
        HEAD.pack_into(memory, start, self._number, len(data))
        self._mine = data


def _reserve(fd: int, size: int) -> None:
    """Give the file its size and its blocks: a full disk is met here, not when memory is
    written."""
    os.ftruncate(fd, size)
    with suppress(AttributeError):  # not on every system
        os.posix_fallocate(fd, 0, size)
