"""Chooses the server for a call: a pure function over what is known this moment.

    1. only candidates that are open or cooling down, have the model, and were not tried before
    2. among those the best class
         WARM       the model is in memory with enough context, and a slot is free
         IDLE       a slot is free, and nothing of ours runs there: loading disturbs nobody
         CONTENDED  a slot is free, but other models are at work there
         FULL       no slot is free: the call must wait in the queue
         COOLDOWN   closed only because it just said busy or answered errors; where no other is
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
_EXCLUDE_NONE: frozenset[int] = frozenset()


class Rank(IntEnum):
    """How well a place suits a call; lower is better."""

    WARM = 0
    IDLE = 1
    CONTENDED = 2
    FULL = 3
    COOLDOWN = 4


_WARM, _IDLE, _CONTENDED, _FULL, _COOLDOWN = (int(rank) for rank in Rank)
_NO_RANK = _COOLDOWN + 1


class Candidate(Protocol):
    """One model on one server, as the scheduler knows it right now.

    `cooling_down`: closed only because it said busy or answered errors. `context_tokens` is the
    window it is loaded with, 0 while it is not in memory; `in_flight` the calls of this model
    there, `other_models_in_flight` those of other models; `slots` how many calls of the model may
    run at once.
    """

    @property
    def server_id(self) -> int: ...
    @property
    def weight(self) -> int: ...
    @property
    def open(self) -> bool: ...
    @property
    def cooling_down(self) -> bool: ...
    @property
    def slots(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def other_models_in_flight(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...


P = TypeVar("P", bound=Candidate)


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome in numbers: `reason` puts it in words."""

    rank: Rank
    sticky: bool
    candidates: int
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
        if self.candidates == 1:
            return state
        return f"{state}; {'conversation' if self.sticky else 'least busy'} of {self.candidates}"


_WORDS = {
    Rank.WARM: "model loaded",
    Rank.IDLE: "idle, must load",
    Rank.CONTENDED: "must load beside others",
    Rank.FULL: "every slot taken",
    Rank.COOLDOWN: "failed just now, no other left",
}


def choose(
    places: Sequence[P],
    *,
    num_ctx: int | None = None,
    prefix: str = "",
    exclude: Collection[int] = _EXCLUDE_NONE,
) -> tuple[P, Choice] | None:
    """Return the best place and why; None when no place can be used. Order of `places` never
    matters.

    Runs at every call, over every server that has the model: hence plain numbers and one loop.
    """
    best = _NO_RANK
    members: list[P] = []
    for place in places:
        if exclude and place.server_id in exclude:
            continue
        if not place.open:
            found = _COOLDOWN if place.cooling_down else _NO_RANK
        elif place.in_flight >= place.slots:
            found = _FULL
        elif (context := place.context_tokens) and (num_ctx is None or context >= num_ctx):
            found = _WARM
        else:
            found = _CONTENDED if place.other_models_in_flight else _IDLE
        if found < best:
            best, members = found, [place]
        elif found == best:
            members.append(place)
    if best == _NO_RANK:
        return None
    candidates = len(members)
    if candidates == 1:
        chosen = members[0]
    elif prefix:
        chosen = _own_server(members, prefix)
    else:
        chosen = min(members, key=_load)
    free = max(chosen.slots - chosen.in_flight, 0)
    return chosen, Choice(
        Rank(best), bool(prefix) and candidates > 1, candidates, free, chosen.slots
    )


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


def _load(place: Candidate) -> tuple[float, int, int]:
    weight = place.weight or 1
    return (place.in_flight + place.other_models_in_flight + 1) / weight, -weight, place.server_id
