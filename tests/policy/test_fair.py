"""Who is next in the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.fair_queue import Entry, FairQueue

T = TypeVar("T")


def queue_of(*entries: tuple[int | None, str, float]) -> FairQueue[str]:
    """Return a queue of (key, priority, time); items are called key/number."""
    queue: FairQueue[str] = FairQueue(ageing_s=30)
    counts: dict[int | None, int] = {}
    for key, priority, at in entries:
        counts[key] = counts.get(key, 0) + 1
        queue.join(f"{key}/{counts[key]}", key, priority, at)
    return queue


def serve(
    queue: FairQueue[T], now: float, fits: Callable[[Entry[T]], bool] = lambda _: True
) -> Entry[T] | None:
    entry = queue.first(now, fits)
    if entry is not None:
        assert queue.take(entry)
    return entry


def served(queue: FairQueue[str], now: float = 0) -> list[str]:
    order = []
    while (entry := serve(queue, now)) is not None:
        order.append(entry.item)
    return order


def test_one_key_is_served_in_order_of_arrival():
    queue = queue_of((1, "normal", 0), (1, "normal", 0), (1, "normal", 0))

    assert served(queue) == ["1/1", "1/2", "1/3"]


def test_keys_take_turns_however_many_calls_each_has():
    queue = queue_of(*[(1, "normal", 0)] * 4, (2, "normal", 1), (3, "normal", 2), (2, "normal", 3))

    assert served(queue) == ["1/1", "2/1", "3/1", "1/2", "2/2", "1/3", "1/4"]


def test_a_newcomer_stands_beside_the_next_of_a_flood_not_behind_it():
    queue = queue_of(*[(1, "normal", 0)] * 100)
    for _ in range(40):
        serve(queue, 0)

    newcomer = queue.join("2/1", 2, "normal", 1)

    assert queue.position(newcomer, 1) <= 2


def test_calls_served_without_waiting_count_as_turns():
    queue: FairQueue[str] = FairQueue()
    for _ in range(5):
        queue.record_served(1)
    queue.join("1/6", 1, "normal", 0)
    queue.join("2/1", 2, "normal", 0)

    assert served(queue) == ["2/1", "1/6"]


def test_interactive_goes_before_normal_before_batch():
    queue = queue_of((1, "batch", 0), (2, "normal", 0), (3, "interactive", 0))

    assert served(queue) == ["3/1", "2/1", "1/1"]


def test_an_entry_that_waited_long_moves_up_one_class():
    queue = queue_of((1, "batch", 0), (2, "normal", 20))

    assert served(queue, now=29) == ["2/1", "1/1"]

    queue = queue_of((1, "batch", 0), (2, "normal", 20))

    assert served(queue, now=30) == ["1/1", "2/1"]


def test_nobody_starves_under_a_flood_of_higher_priority():
    queue = queue_of((1, "batch", 0))
    order: list[str] = []
    for second in range(120):
        queue.join(f"2/{second}", 2, "interactive", second)
        queue.join(f"2/{second}b", 2, "interactive", second)
        entry = serve(queue, second)
        assert entry is not None
        order.append(entry.item)

    assert "1/1" in order
    assert order.index("1/1") <= 62


def test_an_entry_that_fits_nowhere_lets_others_pass_and_keeps_its_place():
    queue = queue_of((1, "normal", 0), (2, "normal", 0))

    entry = serve(queue, 0, lambda entry: entry.item != "1/1")

    assert entry is not None
    assert entry.item == "2/1"
    assert served(queue) == ["1/1"]


def test_positions_count_from_one_and_end_at_zero():
    queue: FairQueue[str] = FairQueue()
    first = queue.join("a", 1, "normal", 0)
    second = queue.join("b", 2, "normal", 0)
    urgent = queue.join("c", 3, "interactive", 0)

    assert [queue.position(entry, 0) for entry in (urgent, first, second)] == [1, 2, 3]

    serve(queue, 0)
    assert [queue.position(entry, 0) for entry in (urgent, first, second)] == [0, 1, 2]


def test_leaving_frees_the_place_at_once():
    queue: FairQueue[str] = FairQueue()
    first = queue.join("a", 1, "normal", 0)
    second = queue.join("b", 1, "normal", 0)

    assert queue.leave(first)
    assert not queue.leave(first)
    assert queue.position(second, 0) == 1
    assert len(queue) == 1


def test_a_key_is_not_punished_for_calls_it_took_back():
    queue: FairQueue[str] = FairQueue()
    flood = [queue.join(f"1/{n}", 1, "normal", 0) for n in range(50)]
    for entry in flood:
        queue.leave(entry)
    queue.join("1/again", 1, "normal", 1)
    queue.join("2/1", 2, "normal", 1)

    assert served(queue)[0] == "1/again"


def test_a_full_line_makes_room_at_the_expense_of_the_greediest():
    queue = queue_of(*[(1, "normal", 0)] * 5, (2, "normal", 0))

    pushed = queue.evict_one()

    assert pushed is not None
    assert pushed.item == "1/5"
    assert len(queue) == 5


def test_a_key_cannot_push_itself_out_or_its_equals():
    queue = queue_of(*[(1, "normal", 0)] * 3, *[(2, "normal", 0)] * 3)

    assert not queue.has_room_for(1)
    assert not queue.has_room_for(2)
    assert len(queue) == 6


def test_thousands_of_keys_are_forgotten_when_nothing_is_owed_to_them():
    queue: FairQueue[str] = FairQueue()
    for key in range(5000):
        queue.record_served(key)

    assert len(queue._next_number) < 200
    assert len(queue._after_served) < 200


def test_an_entry_that_left_has_no_place():
    queue: FairQueue[str] = FairQueue()
    entry = queue.join("a", 1, "normal", 0)
    queue.join("b", 2, "normal", 0)
    serve(queue, 0)

    assert not queue.leave(entry)
    assert queue.position(entry, 0) == 0


def test_an_empty_line_serves_and_displaces_nobody():
    queue: FairQueue[str] = FairQueue()

    assert serve(queue, 0) is None
    assert not queue.has_room_for(1)


steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "serve", "leave", "charge"]),
        st.integers(1, 4),
        st.sampled_from(["interactive", "normal", "batch"]),
        st.floats(0, 5),
    ),
    max_size=80,
)


@given(steps)
def test_every_entry_is_served_or_leaves_exactly_once(script):
    queue: FairQueue[int] = FairQueue(ageing_s=7)
    now, waiting, gone = 0.0, {}, set()
    for number, (step, key, priority, passed) in enumerate(script):
        now += passed
        if step == "join":
            waiting[number] = queue.join(number, key, priority, now)
        elif step == "charge":
            queue.record_served(key)
        elif step == "serve" and waiting:
            entry = serve(queue, now)
            assert entry is not None
            gone.add(entry.item)
            del waiting[entry.item]
        elif step == "leave" and waiting:
            number, entry = next(iter(waiting.items()))
            assert queue.leave(entry)
            del waiting[number]
        assert len(queue) == len(waiting)
        places = sorted(queue.position(entry, now) for entry in waiting.values())
        assert places == list(range(1, len(waiting) + 1))

    rest = [serve(queue, now).item for _ in range(len(waiting))]
    assert sorted(rest) == sorted(waiting)
    assert gone.isdisjoint(rest)


@given(st.integers(2, 6), st.integers(1, 30), st.data())
def test_no_key_is_served_twice_more_than_another_that_waits(keys, flood, data):
    queue: FairQueue[int] = FairQueue()
    for key in range(keys):
        for _ in range(data.draw(st.integers(1, flood))):
            queue.join(key, key, "normal", 0)
    counts = dict.fromkeys(range(keys), 0)
    while True:
        left = {entry.item for entry in queue}
        if len(left) < keys:
            return
        entry = serve(queue, 0)
        assert entry is not None
        counts[entry.item] += 1

        assert max(counts.values()) - min(counts.values()) <= 1
