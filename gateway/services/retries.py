"""Which failures of an upstream call are tried again, and where (D50).

    unreachable, busy   on another server that has the model
    the runner died     on another server; where none is left, once more on the same one, since
                        Ollama starts a new runner by itself

Only while the upstream has sent nothing of the answer, and at most `MAX_TRIES` calls in all.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import GatewayError, RunnerDied, Unavailable, UpstreamUnreachable

MAX_TRIES: Final = 3


class Retries:
    """The tries of one upstream call; `excluded` are the servers the next one must not use."""

    __slots__ = ("_first", "_left", "excluded")

    def __init__(self) -> None:
        self.excluded: frozenset[int] = frozenset()
        self._first: GatewayError | None = None
        self._left = MAX_TRIES - 1

    def after(self, error: GatewayError, server_id: int | None) -> GatewayError | None:
        """Give the error to tell the caller, or None where the call may be tried again."""
        first = self._first = self._first or error
        is_nobody_left = error is not first and error.code == "no_upstream_available"
        if is_nobody_left:
            error = first  # what happened says more than that nobody else is left
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


def _may_repeat(error: GatewayError) -> bool:
    """Whether another try can succeed without costing a second whole answer."""
    return isinstance(error, UpstreamUnreachable | RunnerDied) or (
        isinstance(error, Unavailable) and error.code == "upstream_busy"
    )
