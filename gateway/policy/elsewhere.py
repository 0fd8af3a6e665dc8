"""The lines of other processes for the same model: who of them goes before whom of ours.

Each process keeps the line of the calls that came to it (`policy.fair_queue`) and tells
the others what stands there, as `Told`. As all count turns on one clock, the highest turn anybody
has served, a place here can be compared with a place there, and together the lines are served like
one.

A free slot belongs to whoever stands first, wherever that is. A process that does not come for its
slot, because it hangs or because it cannot reach that server, is passed over after `PATIENCE_S`
until its first place changes: a slot never stays empty for somebody who does not want it.

Pure data: no lock and no clock; `now_s` is monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

PATIENCE_S: Final = 0.25


class Run(NamedTuple):
    """Calls of one key in one class: the turns of the first and the last, how many wait, and the
    servers that none of them may go to."""

    row: int
    key_id: int | None
    first: int
    last: int
    calls: int
    exclude: tuple[int, ...] = ()


class Told(NamedTuple):
    """What a process tells of its line for a model: the highest turn it has served or heard of,
    who waits, the first first, which keys have had a turn that others have not, by their next,
    and how many calls it has served."""

    served: int
    runs: tuple[Run, ...] = ()
    turns: tuple[tuple[int | None, int], ...] = ()
    given: int = 0


_Head = tuple[int, int, int | None]


class Elsewhere:
    """What the others told of their lines for one model. `me` breaks ties between processes."""

    __slots__ = (
        "_free_for",
        "_given",
        "_me",
        "_passed_over",
        "_told",
        "count",
        "held",
        "served",
        "turns",
    )

    def __init__(self, me: str = "") -> None:
        self._me = me
        self._told: Mapping[str, Told] = {}
        self._given = 0
        self._passed_over: set[tuple[str, _Head]] = set()
        self._free_for: dict[tuple[str, _Head], float] = {}
        self.served = 0
        self.count = 0
        self.held: Counter[int | None] = Counter()
        self.turns: dict[int | None, int] = {}
        """The next turn of each key, as far as others know better."""

    def hear(self, told: Mapping[str, Told]) -> None:
        """Take in what all other processes say, by name; it replaces what they said before."""
        self._told = told
        given = sum(one.given for one in told.values())
        if given != self._given:
            self._given = given
            self.was_given()
        self.served = max((one.served for one in told.values()), default=0)
        self.held = Counter()
        for run in self._runs():
            self.held[run.key_id] += run.calls
        self.count = self.held.total()
        self.turns = {}
        for one in told.values():
            for key_id, turn in one.turns + tuple((run.key_id, run.last + 1) for run in one.runs):
                self.turns[key_id] = max(turn, self.turns.get(key_id, 0))
        if self._free_for or self._passed_over:
            heads = {(name, _head(run)) for name, one in told.items() for run in one.runs}
            self._free_for = {at: since for at, since in self._free_for.items() if at in heads}
            self._passed_over &= heads

    def ahead(self, row: int, turn: int) -> int:
        """Estimate how many calls elsewhere go before a place here."""
        return sum(
            run.calls if (run.row, run.last) < (row, turn) else min(run.calls, turn - run.first)
            for run in self._runs()
            if (run.row, run.first) < (row, turn)
        )

    def holders(self, key_id: int | None) -> int:
        """Return how many other processes have calls of a key in line."""
        return sum(any(run.key_id == key_id for run in one.runs) for one in self._told.values())

    def goes_first(self, row: int, turn: int, server_id: int, now_s: float) -> bool:
        """Whether a free slot of a server belongs to a call elsewhere rather than to a place here.

        To be asked again and again while the slot is free: that is how patience ends.
        """
        for process, one in self._told.items():
            run = next((run for run in one.runs if server_id not in run.exclude), None)
            if run is None or (run.row, run.first, process) > (row, turn, self._me):
                continue
            at = (process, _head(run))
            if at in self._passed_over:
                continue
            if now_s - self._free_for.setdefault(at, now_s) < PATIENCE_S:
                return True
            self._passed_over.add(at)
        return False

    def was_given(self) -> None:
        """Note that somebody took a slot, or that none is free: nobody keeps one empty."""
        self._free_for.clear()

    def _runs(self) -> Iterator[Run]:
        for one in self._told.values():
            yield from one.runs


def _head(run: Run) -> _Head:
    return run.row, run.first, run.key_id
