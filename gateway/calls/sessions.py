"""The conversations that run in this process, so that background calls let them go first.

Ollama keeps few prompts: a small call between two turns of an agent evicts the conversation's
beginning, which is then evaluated again. So a background call (`policy/background.py`) waits while
a main call of its session runs on the same model, and a moment longer, in which the next turn may
come. It never waits longer than the bound, and not at all where nothing of its session runs.

What is kept is bounded by the calls in flight: a session is forgotten with its last call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.runtime.tasks import Event

Session: TypeAlias = tuple[int, str, str]
"""Whose conversation with what: the key, what its client calls the session (or where it calls
from), and the weights or name of the model, as models with the same weights share a cache."""


@dataclass(eq=False)
class Sessions:
    """Counts the main calls of each session. `bound_s` is how long a background call waits at
    most, `pause_s` how long nothing may have run before it goes."""

    bound_s: float = 5.0
    pause_s: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _running: dict[Session, int] = field(default_factory=dict)
    _waiting: dict[Session, set[Event]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._running.keys() | self._waiting.keys())

    def begin(self, session: Session) -> None:
        """Count a main call, until `end`."""
        self._running[session] = self._running.get(session, 0) + 1
        for changed in self._waiting.get(session, ()):
            changed.set()

    def end(self, session: Session) -> None:
        """Count a main call no more, which `begin` counted."""
        running = self._running.pop(session) - 1
        if running:
            self._running[session] = running
        for changed in self._waiting.get(session, ()):
            changed.set()

    def wait(self, session: Session) -> float:
        """Wait until no main call of the session has run for a moment, or the bound has passed.
        Returns the seconds it took: 0 where none runs. May be cancelled at any time."""
        if session not in self._running:
            return 0.0
        began_s = self.clock()
        changed = Event()
        waiting = self._waiting.setdefault(session, set())
        waiting.add(changed)
        try:
            while (left_s := began_s + self.bound_s - self.clock()) > 0:
                changed.clear()
                is_quiet = session not in self._running
                if is_quiet:
                    left_s = min(left_s, self.pause_s)
                if not changed.wait(left_s) and is_quiet:
                    break
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(session, None)
        return self.clock() - began_s
