"""Makes one line of the lines of several processes: they take turns at giving slots.

Without Redis the workers of one machine share a small file in memory (`local_board`); with
`REDIS_URL` all instances share a hash (`redis_board`). During its turn a process knows what all
others run and who waits there, gives the slots that are its to give, and tells the result. So no
two of them give the same slot, and the order is that of one line (`policy.elsewhere`).

The file is so quick that `InPassing` takes the turn wherever slots are given. Redis is `OnRequest`,
in the background: a call then waits for the turn, about two round trips, but for models with many
free slots (`dispatch.AMPLE`). Between turns everybody listens: often while calls wait or run,
seldom while none do or nobody else is there. Whoever cannot reach the board goes on alone, and
nothing waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gateway.scheduling.neighbours import EMPTY, Neighbours, Row
from gateway.scheduling.scheduler import ALONE
from gateway.scheduling.servers import Fleet

log = logging.getLogger(__name__)

WAITING_S: Final = 0.02
BUSY_S: Final = 0.05
ALONE_S: Final = 0.2
IDLE_S: Final = 0.5


class Board(Protocol):
    """Where processes leave their rows. One caller at a time."""

    def open(self) -> str:
        """Make ready, after the fork; give our name among the processes. Raises OSError."""
        ...

    def begin(self) -> Mapping[str, Row] | None:
        """Take the turn, and give the rows of the others by name; the same object as before when
        nothing changed, None when the turn is not to be had now. Raises OSError."""
        ...

    def end(self, mine: Row) -> None:
        """Leave our row, and give the turn back. Raises OSError."""
        ...

    def close(self) -> None:
        """Take our row away. Raises OSError."""
        ...


class OpenBoard(Board, Protocol):
    """A board that others may use meanwhile: it takes its time."""

    def exchange(self, mine: Row) -> Mapping[str, Row]:
        """Leave our row and give those of the others, whoever's turn it is. Raises OSError."""
        ...


class _Sharing:
    """What both ways have in common: a job of the fleet."""

    def __init__(
        self, fleet: Fleet, board: Board, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._dispatcher = fleet.dispatcher
        self._neighbours = Neighbours(fleet.dispatcher)
        self._clock = clock
        self._at_board = board
        self._heard: Mapping[str, Row] = {}
        self._is_away = False
        self._is_ended = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to take turns."""
        with self._dispatcher.lock:
            try:
                self._dispatcher.lines.me = self._at_board.open()
            except OSError as error:
                self._lost(error)
            self._meet()
        self._thread = threading.Thread(target=self._run, name="sharing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take our row away and stop."""
        self._is_ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1)

    def turn(self) -> None:
        """Listen, and give what is ours to give. Never raises."""
        raise NotImplementedError

    def _meet(self) -> None:
        """Let the dispatcher take turns."""

    def _hear(self, rows: Mapping[str, Row]) -> None:
        if self._is_away:
            self._is_away = False
            self._meet()
        if rows is not self._heard:
            self._heard = rows
            self._neighbours.hear(rows, self._clock())

    def _lost(self, error: OSError) -> None:
        """Go on alone until the board is there again."""
        self._dispatcher.ask = None
        if not self._is_away:
            log.warning("calls of other processes are unknown: %s", type(error).__name__)
            self._is_away = True
            self._heard = {}
            self._neighbours.hear({}, self._clock())

    def _serve(self) -> None:
        now_s = self._clock()
        for name in self._dispatcher.lines.waiting():
            self._dispatcher.serve_in_turn(name, now_s)

    def _pause_s(self) -> float:
        """Return how long to do without listening."""
        if not self._dispatcher.busy and not self._dispatcher.lines.waiting():
            return IDLE_S
        if not self._heard:  # nobody is there who could want anything
            return ALONE_S
        return WAITING_S if self._dispatcher.lines.waiting() else BUSY_S

    def _run(self) -> None:
        pause_s = IDLE_S
        while not self._is_ended:
            self._wake.wait(pause_s)
            self._wake.clear()
            self.turn()
            with self._dispatcher.lock:
                pause_s = self._pause_s()
        with self._dispatcher.lock:
            self._dispatcher.turns, self._dispatcher.ask = ALONE, None
        try:
            self._at_board.close()
        except OSError:
            log.debug("our calls could not be taken off the board")


class InPassing(_Sharing):
    """Takes the turn wherever slots are given: as a context manager, under the dispatcher's
    lock. It may be entered again meanwhile."""

    _depth = 0
    _is_ours = False

    def turn(self) -> None:
        """See `_Sharing`."""
        with self._dispatcher.lock, self:
            self._serve()

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            try:
                found = self._at_board.begin()
            except OSError as error:
                self._lost(error)
            else:
                self._is_ours = True
                if found is not None:
                    self._hear(found)

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth and self._is_ours:
            self._is_ours = False
            try:  # nobody else, nothing to tell: whoever comes is told at our next turn
                self._at_board.end(self._neighbours.ours() if self._heard else EMPTY)
            except OSError as lost:
                self._lost(lost)

    def _meet(self) -> None:
        self._dispatcher.turns = self


class OnRequest(_Sharing):
    """Takes the turn in the background when asked to; no lock is held while the board is used."""

    def __init__(
        self, fleet: Fleet, board: OpenBoard, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(fleet, board, clock)
        self._board = board

    def turn(self) -> None:
        """See `_Sharing`."""
        dispatcher, board = self._dispatcher, self._board
        try:
            with dispatcher.lock:
                wants = dispatcher.wants_turn()
                mine = EMPTY if wants else self._neighbours.ours()
            if not wants:
                rows = board.exchange(mine)
                with dispatcher.lock:
                    self._hear(rows)
                    wants = dispatcher.wants_turn()
            if wants and (found := board.begin()) is not None:
                with dispatcher.lock:
                    self._hear(found)
                    self._serve()
                    mine = self._neighbours.ours()
                board.end(mine)
        except OSError as error:
            with dispatcher.lock:
                self._lost(error)
                self._serve()

    def _meet(self) -> None:
        self._dispatcher.ask = self._wake.set
