"""Who is next in line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.fair_queue import FairLine


def line_of(*entries: tuple[int | None, str, float]) -> FairLine[str]:
    """Give a line of (key, priority, time); items are called key/number."""
    line: FairLine[str] = FairLine(ageing_s=30)
    counts: dict[int | None, int] = {}
    for key, priority, at in entries:
        counts[key] = counts.get(key, 0) + 1
        line.join(f"{key}/{counts[key]}", key, priority, at)
    return line


def served(line: FairLine[str], now: float = 0) -> list[str]:
    order = []
    while (entry := line.serve(now)) is not None:
        order.append(entry.item)
    return order


def test_one_key_is_served_in_order_of_arrival():
    line = line_of((1, "normal", 0), (1, "normal", 0), (1, "normal", 0))

    assert served(line) == ["1/1", "1/2", "1/3"]


def test_keys_take_turns_however_many_calls_each_has():
    line = line_of(*[(1, "normal", 0)] * 4, (2, "normal", 1), (3, "normal", 2), (2, "normal", 3))

    assert served(line) == ["1/1", "2/1", "3/1", "1/2", "2/2", "1/3", "1/4"]


def test_a_newcomer_stands_beside_the_next_of_a_flood_not_behind_it():
    line = line_of(*[(1, "normal", 0)] * 100)
    for _ in range(40):
        line.serve(0)

    newcomer = line.join("2/1", 2, "normal", 1)

    assert line.position(newcomer, 1) <= 2


def test_calls_served_without_waiting_count_as_turns():
    line: FairLine[str] = FairLine()
    for _ in range(5):
        line.charge(1)
    line.join("1/6", 1, "normal", 0)
    line.join("2/1", 2, "normal", 0)

    assert served(line) == ["2/1", "1/6"]


def test_interactive_goes_before_normal_before_batch():
    line = line_of((1, "batch", 0), (2, "normal", 0), (3, "interactive", 0))

    assert served(line) == ["3/1", "2/1", "1/1"]


def test_an_entry_that_waited_long_moves_up_one_class():
    line = line_of((1, "batch", 0), (2, "normal", 20))

    assert served(line, now=29) == ["2/1", "1/1"]

    line = line_of((1, "batch", 0), (2, "normal", 20))

    assert served(line, now=30) == ["1/1", "2/1"]


def test_nobody_starves_under_a_flood_of_higher_priority():
    line = line_of((1, "batch", 0))
    order: list[str] = []
    for second in range(120):
        line.join(f"2/{second}", 2, "interactive", second)
        line.join(f"2/{second}b", 2, "interactive", second)
        entry = line.serve(second)
        assert entry is not None
        order.append(entry.item)

    assert "1/1" in order
    assert order.index("1/1") <= 62


def test_an_entry_that_fits_nowhere_lets_others_pass_and_keeps_its_place():
    line = line_of((1, "normal", 0), (2, "normal", 0))

    entry = line.serve(0, lambda entry: entry.item != "1/1")

    assert entry is not None
    assert entry.item == "2/1"
    assert served(line) == ["1/1"]


def test_positions_count_from_one_and_end_at_zero():
    line: FairLine[str] = FairLine()
    first = line.join("a", 1, "normal", 0)
    second = line.join("b", 2, "normal", 0)
    urgent = line.join("c", 3, "interactive", 0)

    assert [line.position(entry, 0) for entry in (urgent, first, second)] == [1, 2, 3]

    line.serve(0)
    assert [line.position(entry, 0) for entry in (urgent, first, second)] == [0, 1, 2]


def test_leaving_frees_the_place_at_once():
    line: FairLine[str] = FairLine()
    first = line.join("a", 1, "normal", 0)
    second = line.join("b", 1, "normal", 0)

    assert line.leave(first)
    assert not line.leave(first)
    assert line.position(second, 0) == 1
    assert len(line) == 1


def test_a_key_is_not_punished_for_calls_it_took_back():
    line: FairLine[str] = FairLine()
    flood = [line.join(f"1/{n}", 1, "normal", 0) for n in range(50)]
    for entry in flood:
        line.leave(entry)
    line.join("1/again", 1, "normal", 1)
    line.join("2/1", 2, "normal", 1)

    assert served(line)[0] == "1/again"


def test_a_full_line_makes_room_at_the_expense_of_the_greediest():
    line = line_of(*[(1, "normal", 0)] * 5, (2, "normal", 0))

    pushed = line.displace()

    assert pushed is not None
    assert pushed.item == "1/5"
    assert len(line) == 5


def test_a_key_cannot_push_itself_out_or_its_equals():
    line = line_of(*[(1, "normal", 0)] * 3, *[(2, "normal", 0)] * 3)

    assert not line.has_room_for(1)
    assert not line.has_room_for(2)
    assert len(line) == 6


def test_thousands_of_keys_are_forgotten_when_nothing_is_owed_to_them():
    line: FairLine[str] = FairLine()
    for key in range(5000):
        line.charge(key)

    assert len(line._next_turn) < 200
    assert len(line._after) < 200


def test_an_entry_that_left_has_no_place():
    line: FairLine[str] = FairLine()
    entry = line.join("a", 1, "normal", 0)
    line.join("b", 2, "normal", 0)
    line.serve(0)

    assert not line.leave(entry)
    assert line.position(entry, 0) == 0


def test_an_empty_line_serves_and_displaces_nobody():
    line: FairLine[str] = FairLine()

    assert line.serve(0) is None
    assert not line.has_room_for(1)


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
    line: FairLine[int] = FairLine(ageing_s=7)
    now, waiting, gone = 0.0, {}, set()
    for number, (step, key, priority, passed) in enumerate(script):
        now += passed
        if step == "join":
            waiting[number] = line.join(number, key, priority, now)
        elif step == "charge":
            line.charge(key)
        elif step == "serve" and waiting:
            entry = line.serve(now)
            assert entry is not None
            gone.add(entry.item)
            del waiting[entry.item]
        elif step == "leave" and waiting:
            number, entry = next(iter(waiting.items()))
            assert line.leave(entry)
            del waiting[number]
        assert len(line) == len(waiting)
        places = sorted(line.position(entry, now) for entry in waiting.values())
        assert places == list(range(1, len(waiting) + 1))

    rest = [line.serve(now).item for _ in range(len(waiting))]
    assert sorted(rest) == sorted(waiting)
    assert gone.isdisjoint(rest)


@given(st.integers(2, 6), st.integers(1, 30), st.data())
def test_no_key_is_served_twice_more_than_another_that_waits(keys, flood, data):
    line: FairLine[int] = FairLine()
    for key in range(keys):
        for _ in range(data.draw(st.integers(1, flood))):
            line.join(key, key, "normal", 0)
    counts = dict.fromkeys(range(keys), 0)
    while True:
        left = {entry.item for entry in line}
        if len(left) < keys:
            return
        entry = line.serve(0)
        assert entry is not None
        counts[entry.item] += 1

        assert max(counts.values()) - min(counts.values()) <= 1
