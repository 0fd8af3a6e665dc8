"""What the threads share: the record of requests, the gates, and one condition to wait on.

Every wait of the fake is a wait on ``Board.changed``: for a gate to open, a slot to fall free, a
pause to pass, a client to leave. One condition is enough, and it lets a test wait for any of it
without sleeping.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from fake_ollama.refusals import Gone
from fake_ollama.scripts import target_key

Point: TypeAlias = int | Literal["load"]


class Headers(dict[str, str]):
    """Request headers looked up whatever their case; repeated ones are joined by a comma."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        self.pairs = tuple(pairs)
        for name, value in pairs:
            key = name.lower()
            dict.__setitem__(self, key, f"{self[key]}, {value}" if key in self else value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


@dataclass(slots=True)
class Recorded:
    """One request as it arrived, and what became of it.

    ``at`` is ``time.monotonic()``. ``lines`` counts what was sent of a stream. Exactly one of
    ``finished`` (the fake said all it meant to say, faults included; true from just before the last
    bytes on) and ``disconnected`` (the client left first) becomes true in the end. ``running`` is
    true while the request holds a slot of its model.
    """

    number: int
    connection: int
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    at: float
    json: Any = None
    model: str = ""
    status: int | None = None
    lines: int = 0
    running: bool = False
    finished: bool = False
    disconnected: bool = False

    @property
    def over(self) -> bool:
        return self.finished or self.disconnected


@dataclass(slots=True, eq=False)
class Hold:
    """A gate: requests for the target stop at the point until it is released.

    ``at`` is ``"load"``, 0 (before the headers), or the number of lines after which to stop.
    """

    board: Board = field(repr=False)
    target: str
    at: Point
    waiting: int = 0
    arrived: int = 0
    released: bool = False

    def wait_reached(self, timeout: float = 5.0, count: int = 1) -> None:
        """Wait until so many requests have come to the gate. Raises TimeoutError."""
        self.board.wait_for(lambda: self.arrived >= count, timeout, f"{count} requests at {self}")

    def release(self) -> None:
        with self.board.changed:
            self.released = True
            if self in self.board.holds:
                self.board.holds.remove(self)
            self.board.changed.notify_all()

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


class Board:
    """The shared state. ``changed`` guards all of it."""

    _KEPT = 20_000

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.requests: list[Recorded] = []
        self.holds: list[Hold] = []
        self.stopping = False
        self.frozen = False
        self.watched = 0
        self._numbers = 0

    def record(self, make: Callable[[int], Recorded]) -> Recorded:
        with self.changed:
            recorded = make(self._numbers)
            self._numbers += 1
            self.requests.append(recorded)
            del self.requests[: -self._KEPT]
            self.changed.notify_all()
        return recorded

    def update(self, recorded: Recorded, **values: Any) -> None:
        with self.changed:
            for name, value in values.items():
                setattr(recorded, name, value)
            self.changed.notify_all()

    def notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, predicate: Callable[[], Any], timeout: float, what: str) -> Any:
        """Give the first true value of the predicate. Raises TimeoutError naming what was due."""
        with self.changed:
            self.watched += 1
            try:
                value = self.changed.wait_for(predicate, timeout)
            finally:
                self.watched -= 1
        if not value:
            raise TimeoutError(f"waited {timeout} s for {what}")
        return value

    def hold(self, target: str, at: Point) -> Hold:
        hold = Hold(self, target_key(target), at)
        with self.changed:
            self.holds.append(hold)
        return hold

    def release(self, target: str | None) -> int:
        """Open the gates of a target, or all. Gives how many were closed."""
        key = None if target is None else target_key(target)
        with self.changed:
            chosen = [hold for hold in self.holds if key is None or hold.target == key]
        for hold in chosen:
            hold.release()
        return len(chosen)

    def clear(self) -> None:
        with self.changed:
            self.requests.clear()
        self.release(None)


class Waiter:
    """The waits of one request; each raises Gone once the client has left or the fake stops."""

    def __init__(self, board: Board, targets: tuple[str, ...]) -> None:
        self.board = board
        self.targets = targets
        self.gone = False

    def leave(self) -> None:
        """Called by the watcher when the client hangs up."""
        with self.board.changed:
            self.gone = True
            self.board.changed.notify_all()

    def check(self) -> None:
        if self.gone or self.board.stopping:
            raise Gone

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait for the predicate; give False when the time ran out."""
        with self.board.changed:
            met = self.board.changed.wait_for(
                lambda: self.gone or self.board.stopping or predicate(), timeout
            )
            self.check()
        return bool(met)

    def pause(self, seconds: float) -> None:
        if seconds <= 0:
            self.check()
            return
        ends = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= ends, seconds)

    def stay(self) -> None:
        """Wait until the client leaves."""
        self.wait_until(lambda: False)

    def reach(self, point: Point) -> None:
        """Stop at the gates that stand at this point."""
        with self.board.changed:
            hold = self._closed(point)
            while hold is not None:
                self._stand(hold)
                hold = self._closed(point)
        self.check()

    def _closed(self, point: Point) -> Hold | None:
        for hold in self.board.holds:
            if hold.at == point and hold.target in self.targets:
                return hold
        return None

    def _stand(self, hold: Hold) -> None:
        hold.waiting += 1
        hold.arrived += 1
        self.board.changed.notify_all()
        try:
            self.wait_until(lambda: hold.released)
        finally:
            hold.waiting -= 1
