"""Reads what tabs show live: each topic once for all tabs, and only while a tab shows it.

A topic has a version, which grows when what was read differs. One task reads the topics; it begins
with the first listener and ends with the last. A listener is only told that something changed and
looks for itself, so a tab that takes its time leaves versions out and keeps nothing waiting. What a
topic looks like (`drawn`) is made once for all tabs that see it alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TypeVar, cast

from gateway.errors import Unavailable
from gateway.runtime.tasks import note_failure

T = TypeVar("T")

TICK_S: Final = 1.0
MOST_DRAWN: Final = 200
"""How many drawn pieces are kept; more of them are made again for each tab."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Something tabs show. `read` is called each `every_s` seconds at most, in a task of its own;
    where `after` names a topic that stands before this one, only once that has changed."""

    name: str
    read: Callable[[], object]
    every_s: float = TICK_S
    after: str = ""


@dataclass(slots=True)
class _State:
    """What is known of a topic; `source` is the version of the topic it comes after."""

    value: object = None
    version: int = 0
    is_known: bool = False
    due_s: float = 0.0
    source: int = 0


def _spawn(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="live topics", daemon=True).start()


class Board:
    """The topics of a worker as they were last read."""

    def __init__(
        self,
        topics: Sequence[Topic],
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], object] = _spawn,
    ) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._clock = clock
        self._spawn = spawn
        self._states = {topic.name: _State() for topic in topics}
        self._listeners: set[Listener] = set()
        self._drawn: dict[Hashable, tuple[tuple[int, ...], object]] = {}
        self._drawing = threading.Lock()
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._is_running = False

    def listen(self, topics: Iterable[str]) -> Listener:
        """Return a listener for these topics, which are read while it is entered. Raises KeyError
        for a topic that does not exist."""
        names = frozenset(topics)
        return Listener(self, names | {self._topics[name].after for name in names} - {""})

    def versions(self, topics: Sequence[str]) -> tuple[int, ...]:
        """Return the versions of topics; 0 where one was not read yet."""
        states = [self._states[name] for name in topics]
        return tuple(state.version if state.is_known else 0 for state in states)

    def value(self, topic: str) -> object:
        """Return what was last read of a topic; None before."""
        return self._states[topic].value

    def drawn(self, key: Hashable, topics: Sequence[str], draw: Callable[..., T]) -> T:
        """Return what `draw` makes of the values of `topics`: made once for each `key` until one of
        them changes."""
        with self._drawing:
            versions = self.versions(topics)
            known = self._drawn.get(key)
            if known is not None and known[0] == versions:
                return cast(T, known[1])
            made = draw(*(self.value(name) for name in topics))
            self._drawn.pop(key, None)
            if len(self._drawn) >= MOST_DRAWN:
                del self._drawn[next(iter(self._drawn))]
            self._drawn[key] = (versions, made)
            return made

    def look(self) -> None:
        """Read the topics that are due, and tell those who listen what changed."""
        now_s = self._clock()
        wanted = {name for listener in tuple(self._listeners) for name in listener.topics}
        for name in self._topics:
            if name not in wanted:
                self._forget(name)
            elif self._read(name, now_s):
                for listener in tuple(self._listeners):
                    listener.tell(name)

    def _read(self, name: str, now_s: float) -> bool:
        """Read a topic if that is due; return whether it changed."""
        topic, state = self._topics[name], self._states[name]
        source = self._states[topic.after].version if topic.after else 0
        if now_s < state.due_s or (topic.after and source == state.source):
            return False
        state.due_s = now_s + topic.every_s
        try:
            value = topic.read()
        except Unavailable:  # what was known stays
            return False
        except Exception as error:
            note_failure(f"reading {name} for the console", error)
            return False
        state.source = source
        if state.is_known and value == state.value:
            return False
        state.value, state.version, state.is_known = value, state.version + 1, True
        return True

    def _forget(self, name: str) -> None:
        """Forget a topic that no tab shows: it would be old when one does again."""
        state = self._states[name]
        state.value, state.is_known, state.due_s, state.source = None, False, 0.0, 0

    def _enter(self, listener: Listener) -> None:
        with self._guard:
            self._listeners.add(listener)
            self._wake.set()
            if not self._is_running:
                self._is_running = True
                self._spawn(self._run)

    def _leave(self, listener: Listener) -> None:
        with self._guard:
            self._listeners.discard(listener)
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self.look()
            with self._guard:
                if not self._listeners:
                    self._is_running = False
                    self._drawn.clear()
                    return
            self._wake.wait(TICK_S)


class Listener:
    """Waits for changes of some topics. A context manager: the topics are read inside."""

    def __init__(self, board: Board, topics: frozenset[str]) -> None:
        self.topics = topics
        self._board = board
        self._changed = threading.Event()

    def __enter__(self) -> Listener:
        self._board._enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._board._leave(self)

    def tell(self, topic: str) -> None:
        """Wake whoever waits, if it is one of the topics."""
        if topic in self.topics:
            self._changed.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until a topic has changed since the last wait, for `timeout_s` seconds at most."""
        self._changed.wait(timeout_s)
        self._changed.clear()
