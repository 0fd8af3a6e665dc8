"""Which models are in memory, who may run, and when a model leaves.

A request for a loaded model waits, without bound, for one of its slots, first come first served.
Any other waits for a load; loads are serial, and only their queue can be full. Models of one blob
share one runner, and a request that resolves to other load-time options throws the runner out once
it is idle. Source: ``server/sched.go``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from fake_ollama.bending import QUEUE_FULL
from fake_ollama.board import Board, Waiter
from fake_ollama.models import FakeModel
from fake_ollama.options import LoadKey
from fake_ollama.refusals import Refused

Reason = Literal["cold", "options"]


@dataclass(frozen=True, slots=True)
class Load:
    """One load of a model; its reason is *options* when new options threw it out of memory."""

    model: str
    num_ctx: int
    reason: Reason


@dataclass(slots=True, eq=False)
class Runner:
    """A model in memory."""

    model: FakeModel
    key: LoadKey
    keep_alive_s: float
    expires_at: float
    loaded_at: float
    in_use: int = 0
    most_in_use: int = 0
    retired: bool = False
    line: deque[object] = field(default_factory=deque)
    last_prompt: list[str] = field(default_factory=list)


class Scheduler:
    """The models in memory. All state is guarded by the board's condition."""

    def __init__(
        self,
        board: Board,
        clock: Callable[[], float],
        *,
        keep_alive_s: float,
        max_queue: int,
        max_loaded: int,
    ) -> None:
        self._board = board
        self._clock = clock
        self._keep_alive_s = keep_alive_s
        self._max_queue = max_queue
        self._max_loaded = max_loaded
        self._runners: dict[str, Runner] = {}
        self._pending: deque[object] = deque()
        self._loading: object | None = None
        self.loads: list[Load] = []
        self.busiest: dict[str, int] = {}

    def acquire(
        self,
        model: FakeModel,
        key: LoadKey,
        keep_alive_s: float | None,
        waiter: Waiter,
        load_delay_s: float,
    ) -> Runner:
        """Give the model's runner with one of its slots taken, loading it first if need be.

        Raises Refused (503) when too many wait for a load, Gone when the client leaves; a load is
        then given up.
        """
        while True:
            runner = self._find(model, key)
            if runner is None:
                runner = self._load(model, key, waiter, load_delay_s)
            if self._take_slot(runner, waiter):
                break
        with self._board.changed:
            if keep_alive_s is not None:
                runner.keep_alive_s = keep_alive_s
            self._touch(runner)
        return runner

    def release(self, runner: Runner) -> None:
        """Give the slot back; an idle runner whose time is zero leaves at once."""
        with self._board.changed:
            runner.in_use -= 1
            self._touch(runner)
            self._expire()
            self._board.changed.notify_all()

    def unload(self, model: FakeModel) -> None:
        """Let the model leave memory: now, or when its last request ends."""
        with self._board.changed:
            runner = self._runners.get(model.blob)
            if runner is not None:
                runner.keep_alive_s = 0.0
                self._touch(runner)
                self._expire()
                self._board.changed.notify_all()

    def kill(self, runner: Runner) -> None:
        """End the runner's process: the next request loads the model again."""
        with self._board.changed:
            self._drop(runner)
            self._board.changed.notify_all()

    def running(self) -> list[Runner]:
        """Give the loaded models, longest remaining life first."""
        with self._board.changed:
            self._expire()
            return sorted(self._runners.values(), key=lambda runner: -runner.expires_at)

    def unload_all(self) -> None:
        """Empty the memory. A running request keeps its runner to its end."""
        with self._board.changed:
            for runner in self._runners.values():
                runner.retired = True
            self._runners.clear()
            self._board.changed.notify_all()

    def clear(self) -> None:
        """Empty the memory and forget what was ever loaded."""
        with self._board.changed:
            self.unload_all()
            self.loads.clear()
            self.busiest.clear()
            self._board.changed.notify_all()

    def _find(self, model: FakeModel, key: LoadKey) -> Runner | None:
        with self._board.changed:
            self._expire()
            runner = self._runners.get(model.blob)
            return runner if runner is not None and key.is_served_by(runner.key) else None

    def _load(self, model: FakeModel, key: LoadKey, waiter: Waiter, delay_s: float) -> Runner:
        turn = object()
        self._queue_up(turn, waiter)
        try:
            found = self._find(model, key)
            return found or self._start(model, key, waiter, delay_s)
        finally:
            with self._board.changed:
                self._loading = None
                self._board.changed.notify_all()

    def _queue_up(self, turn: object, waiter: Waiter) -> None:
        with self._board.changed:
            if self._loading is not None and len(self._pending) >= self._max_queue:
                raise Refused(503, QUEUE_FULL)
            self._pending.append(turn)
            try:
                waiter.wait_until(lambda: self._loading is None and self._pending[0] is turn)
            except BaseException:
                self._pending.remove(turn)
                self._board.changed.notify_all()
                raise
            self._pending.popleft()
            self._loading = turn

    def _start(self, model: FakeModel, key: LoadKey, waiter: Waiter, delay_s: float) -> Runner:
        with self._board.changed:
            old = self._runners.get(model.blob)
            reason: Reason = "cold" if old is None else "options"
            if old is not None:
                self._evict(old, waiter)
            while len(self._runners) >= self._max_loaded:
                soonest = min(self._runners.values(), key=lambda runner: runner.expires_at)
                self._evict(soonest, waiter)
        waiter.reach("load")
        waiter.pause(delay_s)
        grace_s = max(1.0, self._keep_alive_s)
        now = self._clock()
        runner = Runner(model, key, self._keep_alive_s, now + grace_s, loaded_at=now)
        with self._board.changed:
            self._runners[model.blob] = runner
            self.loads.append(Load(model.short, key.num_ctx, reason))
            self._board.changed.notify_all()
        return runner

    def _evict(self, runner: Runner, waiter: Waiter) -> None:
        with self._board.changed:
            waiter.wait_until(lambda: runner.in_use == 0)
            self._drop(runner)

    def _take_slot(self, runner: Runner, waiter: Waiter) -> bool:
        """Wait for a slot; False when the runner left memory meanwhile."""
        turn = object()
        with self._board.changed:
            runner.line.append(turn)
            try:
                waiter.wait_until(
                    lambda: (
                        runner.retired
                        or (runner.in_use < runner.model.parallel and runner.line[0] is turn)
                    )
                )
            finally:
                runner.line.remove(turn)
                self._board.changed.notify_all()
            if runner.retired:
                return False
            runner.in_use += 1
            name = runner.model.short
            self.busiest[name] = max(self.busiest.get(name, 0), runner.in_use)
        return True

    def _touch(self, runner: Runner) -> None:
        runner.expires_at = self._clock() + runner.keep_alive_s

    def _expire(self) -> None:
        now = self._clock()
        for runner in list(self._runners.values()):
            if runner.in_use == 0 and not runner.line and runner.expires_at <= now:
                self._drop(runner)

    def _drop(self, runner: Runner) -> None:
        runner.retired = True
        if self._runners.get(runner.model.blob) is runner:
            del self._runners[runner.model.blob]


def load_counts(loads: list[Load], name: str, reason: Any = None) -> int:
    """Count the loads of a model, of one reason if given."""
    return sum(
        1 for load in loads if load.model.lower() == name.lower() and reason in (None, load.reason)
    )
