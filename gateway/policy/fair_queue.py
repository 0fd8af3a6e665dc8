"""The order in which waiting calls are served: by priority, then fairly between keys.

Every entry gets a number when it joins: one more than the last number of its key, and never less
than the number served last. Lower numbers go first, so a key that floods a hundred calls stands at
1 to 100, and the first call of another key stands at 1, beside the flood's first (start-time fair
queueing with equal shares). Equal numbers are served in order of arrival.

Priorities are classes: all of `interactive` before all of `normal` before all of `batch`. An
entry that has waited `ageing_s` moves up one class with its number, so nobody starves.

A full queue makes room for a newcomer only at the expense of the key that holds most of it.

Pure data: no lock and no clock; `now_s` is monotonic seconds.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from gateway.schemas.key import Priority

CLASSES: tuple[Priority, ...] = ("interactive", "normal", "batch")
T = TypeVar("T")
_REMEMBERED = 64


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """A place in the queue. `item` is what waits."""

    item: T
    key_id: int | None
    priority_class: int
    number: int
    arrival: int
    joined_s: float
    moved_s: float


def _order(entry: Entry[T]) -> tuple[int, int]:
    return entry.number, entry.arrival


class FairQueue(Generic[T]):
    """A queue of waiting items; whoever adds to it bounds its length."""

    def __init__(self, ageing_s: float = 30.0) -> None:
        self._ageing_s = ageing_s
        self._classes: tuple[list[Entry[T]], ...] = ([], [], [])
        self._next_number: dict[int | None, int] = {}
        self._after_served: dict[int | None, int] = {}
        self._waiting: dict[int | None, int] = {}
        self._served = 0
        self._arrivals = 0
        self._ages_at_s = inf

    def __len__(self) -> int:
        return sum(map(len, self._classes))

    def __iter__(self) -> Iterator[Entry[T]]:
        for entries in self._classes:
            yield from entries

    def record_served(self, key_id: int | None) -> None:
        """Count a call that was served without waiting as one of its key."""
        self._note(key_id, self._number(key_id))

    def join(self, item: T, key_id: int | None, priority: Priority, now_s: float) -> Entry[T]:
        """Add `item` and return its place."""
        self._arrivals += 1
        priority_class = CLASSES.index(priority)
        number = self._number(key_id)
        entry = Entry(item, key_id, priority_class, number, self._arrivals, now_s, now_s)
        insort(self._classes[priority_class], entry, key=_order)
        self._waiting[key_id] = self._waiting.get(key_id, 0) + 1
        if priority_class:
            self._ages_at_s = min(self._ages_at_s, now_s + self._ageing_s)
        return entry

    def leave(self, entry: Entry[T]) -> bool:
        """Remove `entry` unserved; False when it is no longer waiting."""
        if not self._remove(entry):
            return False
        if entry.key_id not in self._waiting:  # calls taken back are not held against the key
            self._next_number[entry.key_id] = self._after_served.get(entry.key_id, 0)
        return True

    def first(
        self, now_s: float, fits: Callable[[Entry[T]], bool] = lambda _: True
    ) -> Entry[T] | None:
        """Return the first entry that `fits`, which stays where it is; None when there is none."""
        self._age(now_s)
        for entries in self._classes:
            for entry in entries:
                if fits(entry):
                    return entry
        return None

    def take(self, entry: Entry[T]) -> bool:
        """Remove `entry` as served; False when it is no longer waiting."""
        if not self._remove(entry):
            return False
        self._note(entry.key_id, entry.number)
        return True

    def position(self, entry: Entry[T], now_s: float) -> int:
        """Return the 1-based place of `entry`; 0 when it is no longer waiting."""
        self._age(now_s)
        at = self._index(entry)
        if at is None:
            return 0
        return sum(len(before) for before in self._classes[: entry.priority_class]) + at + 1

    def has_room_for(self, key_id: int | None) -> bool:
        """Whether a full queue makes room for a call of `key_id`: the key that holds most of it
        must still hold at least as much as `key_id` afterwards."""
        most = max(self._waiting.values(), default=0)
        return most - 1 >= self._waiting.get(key_id, 0) + 1

    def evict_one(self) -> Entry[T] | None:
        """Make room: remove and return the last entry of the key that holds most of the queue; None
        when nothing waits."""
        if not self._waiting:
            return None
        greedy = max(self._waiting, key=lambda key_id: self._waiting[key_id])
        last = next(
            entry
            for entries in reversed(self._classes)
            for entry in reversed(entries)
            if entry.key_id == greedy
        )
        self.leave(last)
        return last

    def _index(self, entry: Entry[T]) -> int | None:
        """Return where in its class `entry` waits."""
        entries = self._classes[entry.priority_class]
        at = bisect_left(entries, _order(entry), key=_order)
        return at if at < len(entries) and entries[at] is entry else None

    def _remove(self, entry: Entry[T]) -> bool:
        at = self._index(entry)
        if at is None:
            return False
        del self._classes[entry.priority_class][at]
        self._waiting[entry.key_id] -= 1
        if not self._waiting[entry.key_id]:
            del self._waiting[entry.key_id]
        return True

    def _number(self, key_id: int | None) -> int:
        number = max(self._served, self._next_number.get(key_id, 0))
        self._next_number[key_id] = number + 1
        return number

    def _note(self, key_id: int | None, number: int) -> None:
        """Note that `number` was served."""
        self._served = max(self._served, number)
        self._after_served[key_id] = number + 1
        if len(self._next_number) > _REMEMBERED * 2 + len(self._waiting):
            self._next_number = self._worth_remembering(self._next_number)
            self._after_served = self._worth_remembering(self._after_served)

    def _worth_remembering(self, numbers: Mapping[int | None, int]) -> dict[int | None, int]:
        """Return the numbers of keys that wait, and of those that had the most; the next number of
        all others is the current one, or might as well be."""
        most = sorted(numbers, key=lambda key_id: -numbers[key_id])[:_REMEMBERED]
        kept = {key_id: numbers[key_id] for key_id in most if numbers[key_id] > self._served}
        return kept | {key_id: numbers[key_id] for key_id in self._waiting if key_id in numbers}

    def _age(self, now_s: float) -> None:
        if now_s < self._ages_at_s:
            return
        bound_s = now_s - self._ageing_s
        for index in range(1, len(self._classes)):
            entries = self._classes[index]
            old = [entry for entry in entries if entry.moved_s <= bound_s]
            if old:
                entries[:] = [entry for entry in entries if entry.moved_s > bound_s]
            for entry in old:
                entry.priority_class, entry.moved_s = index - 1, now_s
                insort(self._classes[index - 1], entry, key=_order)
        moved_s = [entry.moved_s for entries in self._classes[1:] for entry in entries]
        self._ages_at_s = min(moved_s, default=inf) + self._ageing_s
