"""Looking back at the requests, and waiting for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fake_ollama.board import Board, Recorded


class Witness:
    """What tests ask about the requests. Waits raise TimeoutError saying what was awaited."""

    def __init__(self, board: Board) -> None:
        self.board = board

    @property
    def requests(self) -> list[Recorded]:
        """Every request so far, oldest first, the control requests left out."""
        with self.board.changed:
            return list(self.board.requests)

    def calls(self, path: str) -> list[Recorded]:
        """The requests for one path."""
        return [one for one in self.requests if one.path == path]

    def wait_for(
        self, predicate: Callable[[Recorded], Any], timeout: float = 5.0, what: str = "a request"
    ) -> Recorded:
        """Give the first request the predicate holds for, now or soon. Raises TimeoutError."""

        def found() -> Recorded | None:
            return next((one for one in self.board.requests if predicate(one)), None)

        recorded: Recorded = self.board.wait_for(found, timeout, what)
        return recorded

    def wait_requests(
        self,
        count: int,
        path: str | None = None,
        timeout: float = 5.0,
        *,
        where: Callable[[Recorded], Any] = lambda _: True,
    ) -> None:
        """Wait until so many requests have come, counting only those of a path or a condition."""

        def enough() -> bool:
            fitting = (one for one in self.board.requests if path in (None, one.path))
            return sum(1 for one in fitting if where(one)) >= count

        self.board.wait_for(enough, timeout, f"{count} requests for {path or 'anything'}")

    def wait_disconnect(self, count: int = 1, timeout: float = 5.0) -> list[Recorded]:
        """Wait until so many clients have left before their answer ended; give those requests."""

        def left() -> list[Recorded]:
            gone = [one for one in self.board.requests if one.disconnected]
            return gone if len(gone) >= count else []

        gone: list[Recorded] = self.board.wait_for(left, timeout, f"{count} clients to leave")
        return gone

    def wait_idle(self, timeout: float = 5.0) -> None:
        """Wait until every request is over."""
        self.board.wait_for(
            lambda: all(one.over for one in self.board.requests), timeout, "all requests to end"
        )
