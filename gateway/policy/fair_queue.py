"""The order in which waiting calls are served: by priority, then fairly between keys.

Every entry gets a turn when it joins: one more than the last turn of its key, and never less than
the turn served last. Lower turns go first, so a key that floods a hundred calls stands at turns
1 to 100, and the first call of another key stands at turn 1, beside the flood's first
(start-time fair queueing with equal shares). Equal turns are served in order of arrival.

Priorities are classes: all of `interactive` before all of `normal` before all of `batch`. An
entry that has waited `ageing_s` moves up one class with its turn, so nobody starves.

A full line makes room for a newcomer only at the expense of the key that holds most of it.

Where several processes serve the same model, each has a line and `elsewhere` says what stands in
the others: turns go on after theirs, places and lengths count theirs too. Whether a slot is ours
to give is asked there.

Pure data: no lock and no clock; `now_s` is monotonic seconds.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import inf
from typing import Generic, TypeVar

from gateway.core.keys import Priority
from gateway.policy.elsewhere import Elsewhere, Run, Told

CLASSES: tuple[Priority, ...] = ("interactive", "normal", "batch")
T = TypeVar("T")
_REMEMBERED = 64


class Entry(Generic[T]):
    """A place in the line. `item` is what waits."""

    __slots__ = ("arrival", "entered_s", "item", "key_id", "moved_s", "row", "turn")

    def __init__(
        self, item: T, key_id: int | None, row: int, turn: int, arrival: int, now_s: float
    ) -> None:
        self.item = item
        self.key_id = key_id
        self.row = row
        self.turn = turn
        self.arrival = arrival
        self.entered_s = now_s
        self.moved_s = now_s


def _place(entry: Entry[T]) -> tuple[int, int]:
    return entry.turn, entry.arrival


class FairLine(Generic[T]):
    """A bounded line of waiting items. `me` is this process's name among others."""

    def __init__(self, ageing_s: float = 30.0, me: str = "") -> None:
        self._ageing_s = ageing_s
        self.elsewhere = Elsewhere(me)
        self._rows: tuple[list[Entry[T]], ...] = tuple([] for _ in CLASSES)
        self._next_turn: dict[int | None, int] = {}
        self._after: dict[int | None, int] = {}
        self._waiting: dict[int | None, int] = {}
        self._served = 0
        self._arrivals = 0
        self._told = 0
        self._given = 0
        self._ages_at_s = inf

    def __len__(self) -> int:
        return sum(map(len, self._rows))

    def __iter__(self) -> Iterator[Entry[T]]:
        for row in self._rows:
            yield from row

    def charge(self, key_id: int | None) -> None:
        """Count a call that was served without waiting as its key's turn."""
        self._note(key_id, self._turn(key_id))

    def join(self, item: T, key_id: int | None, priority: Priority, now_s: float) -> Entry[T]:
        """Put `item` in line and give its place."""
        self._arrivals += 1
        row = CLASSES.index(priority)
        entry = Entry(item, key_id, row, self._turn(key_id), self._arrivals, now_s)
        insort(self._rows[row], entry, key=_place)
        self._waiting[key_id] = self._waiting.get(key_id, 0) + 1
        if row:
            self._ages_at_s = min(self._ages_at_s, now_s + self._ageing_s)
        return entry

    def leave(self, entry: Entry[T]) -> bool:
        """Take `entry` out of the line unserved; False when it is no longer in it."""
        if not self._remove(entry):
            return False
        if entry.key_id not in self._waiting:  # turns taken back are not held against the key
            self._next_turn[entry.key_id] = self._after.get(entry.key_id, 0)
        return True

    def serve(
        self, now_s: float, fits: Callable[[Entry[T]], bool] = lambda _: True
    ) -> Entry[T] | None:
        """Take out the first entry that `fits`; None when there is none."""
        self._age(now_s)
        for row in self._rows:
            for entry in row:
                if fits(entry):
                    self._remove(entry)
                    self._note(entry.key_id, entry.turn)
                    self.elsewhere.was_given()
                    return entry
        return None

    def goes_elsewhere(self, entry: Entry[T], server_id: int, now_s: float) -> bool:
        """Whether a free slot of a server belongs to a call elsewhere rather than to `entry`."""
        elsewhere = self.elsewhere
        return elsewhere.count > 0 and elsewhere.goes_first(entry.row, entry.turn, server_id, now_s)

    def position(self, entry: Entry[T], now_s: float) -> int:
        """Return the 1-based place of `entry`; 0 when it is no longer in line."""
        self._age(now_s)
        row = self._rows[entry.row]
        at = bisect_left(row, _place(entry), key=_place)
        if at == len(row) or row[at] is not entry:
            return 0
        before = sum(len(row) for row in self._rows[: entry.row]) + at
        return before + self.elsewhere.ahead(entry.row, entry.turn) + 1

    @property
    def total(self) -> int:
        """How many wait, here and elsewhere."""
        return len(self) + self.elsewhere.count

    def has_room_for(self, key_id: int | None) -> bool:
        """Whether a full line makes room for a call of `key_id`: the key that holds most of it must
        still hold at least as much as `key_id` afterwards."""
        most = max(self._held().values(), default=0)
        return most - 1 >= self._held().get(key_id, 0) + 1

    def displace(self) -> Entry[T] | None:
        """Make room: take out and give the last entry of the key that holds most of the line; None
        where its calls wait elsewhere."""
        held = self._held()
        greedy = max(held, key=lambda key: held[key], default=None)
        if greedy not in self._waiting:
            return None
        last = next(
            entry
            for row in reversed(self._rows)
            for entry in reversed(row)
            if entry.key_id == greedy
        )
        self.leave(last)
        return last

    def shed(self, limit: int) -> list[Entry[T]]:
        """Take out our share of what `limit` is exceeded by: newcomers elsewhere may have a better
        right to the place of a key that holds most of the line."""
        gone = []
        excess = self.total - limit
        while excess > 0 and (last := self.displace()) is not None:
            gone.append(last)
            excess -= 1 + self.elsewhere.holders(last.key_id)
        return gone

    def told(self, exclude_of: Callable[[T], tuple[int, ...]]) -> Told:
        """Return what other processes should know of this line."""
        self._told = self._arrivals
        runs: dict[tuple[int, int | None, tuple[int, ...]], list[int]] = {}
        for row in self._rows:
            for entry in row:
                run = runs.setdefault(
                    (entry.row, entry.key_id, exclude_of(entry.item)), [entry.turn, 0, 0]
                )
                run[1] = entry.turn
                run[2] += 1
        return Told(
            self._served,
            tuple(
                Run(row, key_id, first, last, calls, exclude)
                for (row, key_id, exclude), (first, last, calls) in runs.items()
            ),
            tuple(self._owed()),
            self._given,
        )

    def _owed(self) -> Iterator[tuple[int | None, int]]:
        """Return the next turns of keys that do not wait and have had one more than others."""
        ahead = (
            (key_id, turn)
            for key_id, turn in self._next_turn.items()
            if turn > self._served and key_id not in self._waiting
        )
        return islice(ahead, _REMEMBERED)

    def hear(self, told: Mapping[str, Told]) -> None:
        """Take in what other processes tell of their lines.

        Calls that nobody was told of yet stand behind those that we hear of now.
        """
        self.elsewhere.hear(told)
        self._served = max(self._served, self.elsewhere.served)
        if self.has_news:
            news = [entry for entry in self if entry.arrival > self._told]
            news.sort(key=lambda entry: entry.arrival)
            for entry in reversed(news):
                self._take_out(entry)
                self._next_turn[entry.key_id] = entry.turn
            for entry in news:
                entry.turn = self._turn(entry.key_id)
                insort(self._rows[entry.row], entry, key=_place)

    @property
    def has_news(self) -> bool:
        """Whether somebody waits whom nobody was told of yet."""
        return self._arrivals > self._told and len(self) > 0

    def _held(self) -> Mapping[int | None, int]:
        """Return how many calls each key has in line, here and elsewhere."""
        return (
            self.elsewhere.held + Counter(self._waiting) if self.elsewhere.count else self._waiting
        )

    def _take_out(self, entry: Entry[T]) -> bool:
        row = self._rows[entry.row]
        at = bisect_left(row, _place(entry), key=_place)
        if at == len(row) or row[at] is not entry:
            return False
        del row[at]
        return True

    def _remove(self, entry: Entry[T]) -> bool:
        if not self._take_out(entry):
            return False
        left = self._waiting[entry.key_id] - 1
        if left:
            self._waiting[entry.key_id] = left
        else:
            del self._waiting[entry.key_id]
        return True

    def _turn(self, key_id: int | None) -> int:
        turn = max(self._served, self._next_turn.get(key_id, 0))
        if self.elsewhere.turns:
            turn = max(turn, self.elsewhere.turns.get(key_id, 0))
        self._next_turn[key_id] = turn + 1
        return turn

    def _note(self, key_id: int | None, turn: int) -> None:
        """Note that `turn` was served."""
        self._given += 1
        self._served = max(self._served, turn)
        self._after[key_id] = turn + 1
        if len(self._next_turn) > _REMEMBERED * 2 + len(self._waiting):
            self._next_turn = self._worth_remembering(self._next_turn)
            self._after = self._worth_remembering(self._after)

    def _worth_remembering(self, turns: Mapping[int | None, int]) -> dict[int | None, int]:
        """Return the turns of keys that wait, and of those that had the most; the next turn of all
        others is the current one, or might as well be."""
        most = sorted(turns, key=lambda key: -turns[key])[:_REMEMBERED]
        kept = {key: turns[key] for key in most if turns[key] > self._served}
        return kept | {key: turns[key] for key in self._waiting if key in turns}

    def _age(self, now_s: float) -> None:
        if now_s < self._ages_at_s:
            return
        bound_s = now_s - self._ageing_s
        for index in range(1, len(self._rows)):
            row = self._rows[index]
            old = [entry for entry in row if entry.moved_s <= bound_s]
            if old:
                row[:] = [entry for entry in row if entry.moved_s > bound_s]
            for entry in old:
                entry.row, entry.moved_s = index - 1, now_s
                insort(self._rows[index - 1], entry, key=_place)
        moved_s = [entry.moved_s for row in self._rows[1:] for entry in row]
        self._ages_at_s = min(moved_s, default=inf) + self._ageing_s
