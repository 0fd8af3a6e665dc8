"""Which server gets a call, and why."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import pytest

from gateway.policy.server_choice import Rank, choose


@dataclass(frozen=True)
class At:
    """A place, by default a well server with one free slot and nothing in memory."""

    server_id: int
    weight: int = 1
    open: bool = True
    cooling_down: bool = False
    slots: int = 1
    in_flight: int = 0
    other_models_in_flight: int = 0
    context_tokens: int = 0


WARM = 8192

CASES = {
    "one loaded beats one idle": ([At(1), At(2, context_tokens=WARM)], {}, 2),
    "one loaded beats a heavier one": ([At(1, weight=9), At(2, context_tokens=WARM)], {}, 2),
    "too small a window is not loaded": (
        [At(1, context_tokens=4096, other_models_in_flight=0), At(2, context_tokens=WARM)],
        {"num_ctx": 8192},
        2,
    ),
    "any window will do when none is asked for": (
        [At(1, other_models_in_flight=1), At(2, context_tokens=1)],
        {},
        2,
    ),
    "loaded but full gives way to an idle one": (
        [At(1, context_tokens=WARM, in_flight=1), At(2)],
        {},
        2,
    ),
    "an idle server beats one at work on others": ([At(1, other_models_in_flight=2), At(2)], {}, 2),
    "one at work on others beats waiting": (
        [At(1, context_tokens=WARM, in_flight=1), At(2, other_models_in_flight=3)],
        {},
        2,
    ),
    "among loaded ones the least busy": (
        [
            At(1, context_tokens=WARM, slots=4, in_flight=3),
            At(2, context_tokens=WARM, slots=4, in_flight=1),
        ],
        {},
        2,
    ),
    "a weight of two carries twice as much": (
        [
            At(1, weight=2, context_tokens=WARM, slots=4, in_flight=2),
            At(2, weight=1, context_tokens=WARM, slots=4, in_flight=1),
        ],
        {},
        1,
    ),
    "equal in all, the heavier": ([At(1), At(2, weight=2)], {}, 2),
    "equal in all, the lower id": ([At(3), At(1), At(2)], {}, 1),
    "a cooling_down one is better than none": (
        [At(1, open=False), At(2, open=False, cooling_down=True)],
        {},
        2,
    ),
    "a cooling_down one gives way to a full one": (
        [At(1, open=False, cooling_down=True), At(2, in_flight=1)],
        {},
        2,
    ),
    "closed ones are left out": ([At(1, open=False, context_tokens=WARM), At(2)], {}, 2),
    "excluded ones are left out": (
        [At(1, context_tokens=WARM), At(2)],
        {"exclude": frozenset({1})},
        2,
    ),
    "all full, the least busy for its weight": (
        [At(1, slots=2, in_flight=2), At(2, in_flight=1)],
        {},
        2,
    ),
}


@pytest.mark.parametrize(("places", "wish", "expected"), CASES.values(), ids=CASES)
def test_the_best_place_is_chosen_whatever_the_order(places, wish, expected):
    chosen = {choose(order, **wish)[0].server_id for order in itertools.permutations(places)}

    assert chosen == {expected}


@pytest.mark.parametrize(
    ("places", "exclude"),
    [
        ([], frozenset()),
        ([At(1, open=False)], frozenset()),
        ([At(1), At(2)], frozenset({1, 2})),
        ([At(1), At(2, open=False)], frozenset({1})),
    ],
    ids=["none", "closed", "all excluded", "closed or excluded"],
)
def test_nobody_is_chosen_where_nobody_may_be(places, exclude):
    assert choose(places, exclude=exclude) is None


RANKS = {
    "loaded": (At(1, context_tokens=WARM), None, Rank.WARM),
    "loaded with exactly enough": (At(1, context_tokens=WARM), WARM, Rank.WARM),
    "loaded with too little, alone": (At(1, context_tokens=4096), WARM, Rank.IDLE),
    "loaded with too little, others running": (
        At(1, context_tokens=4096, other_models_in_flight=1),
        WARM,
        Rank.CONTENDED,
    ),
    "not loaded, alone": (At(1), None, Rank.IDLE),
    "not loaded, others running": (At(1, other_models_in_flight=1), None, Rank.CONTENDED),
    "no slot, though loaded": (At(1, context_tokens=WARM, in_flight=1), None, Rank.FULL),
    "no slots at all": (At(1, slots=0), None, Rank.FULL),
}


@pytest.mark.parametrize(("place", "num_ctx", "expected"), RANKS.values(), ids=RANKS)
def test_a_place_is_ranked(place, num_ctx, expected):
    assert choose([place], num_ctx=num_ctx)[1].rank is expected


def warm(*ids: int, **more: int) -> list[At]:
    return [At(server_id, slots=4, context_tokens=WARM, **more) for server_id in ids]


def by_prefix(places: list[At], count: int = 2000) -> dict[str, int]:
    return {
        f"conversation {n}": choose(places, prefix=f"conversation {n}")[0].server_id
        for n in range(count)
    }


def test_a_conversation_stays_on_its_server():
    first = by_prefix(warm(1, 2, 3))

    assert by_prefix(warm(3, 1, 2)) == first


def test_conversations_spread_over_the_servers():
    shares = Counter(by_prefix(warm(1, 2, 3, 4)).values())

    assert set(shares) == {1, 2, 3, 4}
    assert all(400 < share < 600 for share in shares.values())


def test_conversations_spread_by_weight():
    places = [At(1, weight=3, slots=4, context_tokens=WARM), *warm(2)]

    shares = Counter(by_prefix(places).values())

    assert 1400 < shares[1] < 1600


def test_a_server_that_leaves_moves_only_its_own_conversations():
    before = by_prefix(warm(1, 2, 3))
    after = by_prefix(warm(1, 3))

    moved = {name for name in before if before[name] != after[name]}

    assert moved == {name for name, server in before.items() if server == 2}


def test_the_conversations_of_a_server_that_leaves_spread_over_all_others():
    before = by_prefix(warm(1, 2, 3, 4), 4000)
    after = by_prefix(warm(1, 3, 4), 4000)

    heirs = Counter(after[name] for name, server in before.items() if server == 2)

    assert set(heirs) == {1, 3, 4}
    assert all(270 < share < 400 for share in heirs.values())


def test_a_conversation_leaves_a_server_that_is_much_busier():
    own, _ = choose(warm(1, 2), prefix="talk")
    other = 3 - own.server_id
    places = [
        At(own.server_id, slots=4, in_flight=3, context_tokens=WARM),
        At(other, slots=4, context_tokens=WARM),
    ]

    assert choose(places, prefix="talk")[0].server_id == other


def test_a_conversation_does_not_wait_for_its_own_server():
    own, _ = choose(warm(1, 2), prefix="talk")
    other = 3 - own.server_id
    places = [At(own.server_id, in_flight=1, context_tokens=WARM), At(other)]

    assert choose(places, prefix="talk")[0].server_id == other


def test_places_that_draw_the_same_are_told_apart_by_id(monkeypatch):
    monkeypatch.setattr("gateway.policy.server_choice._PRIME", 1)

    assert {choose(order, prefix="talk")[0].server_id for order in ORDERS} == {1}


ORDERS = list(itertools.permutations(warm(1, 2, 3)))
REASONS = {
    "alone": (warm(1), "", "model loaded, 4/4 slots free"),
    "sticky": (warm(1, 2), "talk", "model loaded, 4/4 slots free; conversation of 2"),
    "least busy": ([At(1), At(2)], "", "idle, must load, 1/1 slots free; least busy of 2"),
    "full": ([At(1, in_flight=1)], "", "every slot taken"),
    "beside others": (
        [At(1, other_models_in_flight=1)],
        "",
        "must load beside others, 1/1 slots free",
    ),
    "cooling_down": (
        [At(1, open=False, cooling_down=True)],
        "",
        "failed just now, no other left, 1/1 slots free",
    ),
}


@pytest.mark.parametrize(("places", "prefix", "expected"), REASONS.values(), ids=REASONS)
def test_the_reason_is_told_in_words(places, prefix, expected):
    assert choose(places, prefix=prefix)[1].reason == expected
