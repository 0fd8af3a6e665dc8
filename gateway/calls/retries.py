"""Which failures of an upstream call are tried again, and where (D50).

    unreachable, busy   on another server that has the model
    the runner died     on another server; where none is left, once more on the same one, since
                        Ollama starts a new runner by itself
    its queue is full   on another server; where none is left, on all of them again and again, as
                        long as a call may wait in line

Only while the upstream has sent nothing of the answer, and at most `MAX_TRIES` calls in all; a full
queue, which has computed nothing, does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.errors import GatewayError, RunnerDied, Unavailable, UpstreamUnreachable
from gateway.ollama import faults

MAX_TRIES: Final = 3
PAUSE_S: Final = 1.0
"""So long a server whose queue is full is left alone."""


class Retries:
    """The tries of one upstream call.

    `excluded` are the servers the next try must not use, `pause_s` is how long it must wait.
    `patience_s` is how long a full queue is waited for.
    """

    __slots__ = ("_clock", "_first", "_left", "_until_s", "excluded", "pause_s")

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.excluded: frozenset[int] = frozenset()
        self.pause_s = 0.0
        self._first: GatewayError | None = None
        self._left = MAX_TRIES - 1
        self._clock = clock
        self._until_s = clock() + patience_s

    def after(self, error: GatewayError, server_id: int | None) -> GatewayError | None:
        """Return the error to tell the caller, or None where the call may be tried again."""
        self.pause_s = 0.0
        first = self._first = self._first or error
        is_nobody_left = error is not first and error.code == "no_upstream_available"
        if is_nobody_left:
            error = first  # what happened says more than that nobody else is left
        if faults.is_full_queue(error) and (is_nobody_left or not self._left):
            return self._begin_anew(error)
        if not self._left:
            return error
        self._left -= 1
        if is_nobody_left:
            self.excluded = frozenset()
            return None if isinstance(first, RunnerDied) else error
        if server_id is None or server_id in self.excluded or not _may_repeat(error):
            return error
        self.excluded |= {server_id}
        return None

    def _begin_anew(self, error: GatewayError) -> GatewayError | None:
        """Forget the tries and wait a moment, unless the time is over; then return the error."""
        if self._clock() + PAUSE_S > self._until_s:
            return error
        self.excluded, self._first, self._left = frozenset(), None, MAX_TRIES - 1
        self.pause_s = PAUSE_S
        return None


def _may_repeat(error: GatewayError) -> bool:
    """Whether another try can succeed without costing a second whole answer."""
    return isinstance(error, UpstreamUnreachable | RunnerDied) or (
        isinstance(error, Unavailable) and error.code == "upstream_busy"
    )
