"""Chooses the server for a call: a pure function over what is known this moment.

    1. only places that are open or resting, have the model, and were not tried before
    2. among those the best class
         WARM    the model is in memory with enough context, and a slot is free
         IDLE    a slot is free, and nothing of ours runs there: loading disturbs nobody
         COLD    a slot is free, but other models are at work there
         FULL    no slot is free: the call must wait in line
         RESTING closed only because it just said busy or answered errors; where nobody else is
                 left, an answer of Ollama's own says more than our refusal
    3. within the class those about as busy as the least busy one (half their slots apart, at most)
    4. among these the conversation's own server, by weighted rendezvous hash of its prefix, so that
       Ollama finds the prompt in its cache; without a prefix the least busy for its weight
    5. what is still equal is decided by the server's id

Rendezvous hashing moves only the conversations of a server that comes or goes.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import log
from typing import Protocol, TypeVar

_SLACK = 0.5
_DIGIT = 0x3FFFFFFF
_SPREAD = 0x9E37
_PRIME = 1073741789
"""The largest below 2**30."""
_NOBODY: frozenset[int] = frozenset()


class Rank(IntEnum):
    """How well a place suits a call; lower is better."""

    WARM = 0
    IDLE = 1
    COLD = 2
    FULL = 3
    RESTING = 4


_WARM, _IDLE, _COLD, _FULL, _RESTING = (int(rank) for rank in Rank)
_NOBODY_RANK = _RESTING + 1


class Place(Protocol):
    """One model on one server, as the fleet knows it right now.

    `resting`: closed only because it said busy or answered errors.
    `context_tokens` is the window it is loaded with, 0 while it is not in memory; `in_flight` our
    calls of this model there, `others` our calls of other models there; `slots` how many calls of
    the model may run at once.
    """

    @property
    def server_id(self) -> int: ...
    @property
    def weight(self) -> int: ...
    @property
    def open(self) -> bool: ...
    @property
    def resting(self) -> bool: ...
    @property
    def slots(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def others(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...


P = TypeVar("P", bound=Place)


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome in numbers: `reason` puts it in words."""

    rank: Rank
    sticky: bool
    rivals: int
    free: int
    slots: int

    @property
    def is_free(self) -> bool:
        """Whether the call can run at once."""
        return self.free > 0

    @property
    def reason(self) -> str:
        """Why this server, for the usage record and the console; at most about 64 characters."""
        state = _WORDS[self.rank]
        if self.free:
            state = f"{state}, {self.free}/{self.slots} slots free"
        if self.rivals == 1:
            return state
        return f"{state}; {'conversation' if self.sticky else 'least busy'} of {self.rivals}"


_WORDS = {
    Rank.WARM: "model loaded",
    Rank.IDLE: "idle, must load",
    Rank.COLD: "must load beside others",
    Rank.FULL: "every slot taken",
    Rank.RESTING: "failed just now, no other left",
}


def choose(
    places: Sequence[P],
    *,
    num_ctx: int | None = None,
    prefix: str = "",
    exclude: Collection[int] = _NOBODY,
) -> tuple[P, Choice] | None:
    """Return the best place and why; None when no place can be used. Order of `places` never
    matters.

    Runs at every call, over every server that has the model: hence plain numbers and one loop.
    """
    best = _NOBODY_RANK
    members: list[P] = []
    for place in places:
        if exclude and place.server_id in exclude:
            continue
        if not place.open:
            found = _RESTING if place.resting else _NOBODY_RANK
        elif place.in_flight >= place.slots:
            found = _FULL
        elif (context := place.context_tokens) and (num_ctx is None or context >= num_ctx):
            found = _WARM
        else:
            found = _COLD if place.others else _IDLE
        if found < best:
            best, members = found, [place]
        elif found == best:
            members.append(place)
    if best == _NOBODY_RANK:
        return None
    rivals = len(members)
    if rivals == 1:
        chosen = members[0]
    elif prefix:
        chosen = _own_server(members, prefix)
    else:
        chosen = min(members, key=_burden)
    free = max(chosen.slots - chosen.in_flight, 0)
    return chosen, Choice(Rank(best), bool(prefix) and rivals > 1, rivals, free, chosen.slots)


def _own_server(members: Sequence[P], prefix: str) -> P:
    """Return the place a conversation belongs to, among those not much busier than the rest.

    Each place draws a number that depends on it and on the prefix only, and the lowest wins;
    exponentially distributed numbers may be divided by weights. Cubes modulo this prime hit every
    number once (it is 2 modulo 3) in an order without a pattern, and are quick as they fit one
    digit of Python's integers.
    """
    calls = [place.in_flight for place in members]
    if any(calls):
        shares = [place.in_flight / (place.slots or 1) for place in members]
        limit = min(shares) + _SLACK
        members = [place for place, share in zip(members, shares, strict=True) if share <= limit]
    digest = zlib.crc32(prefix.encode()) & _DIGIT
    draws: list[float] = [(digest ^ place.server_id * _SPREAD) ** 3 % _PRIME for place in members]
    weights = [place.weight for place in members]
    if weights.count(weights[0]) != len(weights):
        draws = [
            -log((draw + 1) / (_PRIME + 1)) / (weight or 1)
            for draw, weight in zip(draws, weights, strict=True)
        ]
    least = min(draws)
    if draws.count(least) == 1:
        return members[draws.index(least)]
    tied = [place for place, draw in zip(members, draws, strict=True) if draw == least]
    return min(tied, key=lambda place: place.server_id)


def _burden(place: Place) -> tuple[float, int, int]:
    weight = place.weight or 1
    return (place.in_flight + place.others + 1) / weight, -weight, place.server_id
