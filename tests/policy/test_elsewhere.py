"""Lines of several processes are served like one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.elsewhere import PATIENCE_S, Elsewhere, Run, Told
from gateway.policy.fair_queue import Entry, FairLine

NORMAL = 1


class Processes:
    """Lines of several processes that tell each other everything at once."""

    def __init__(self, *names: str) -> None:
        self.lines: dict[str, FairLine[str]] = {name: FairLine(me=name) for name in names}
        self.exclude: dict[str, tuple[int, ...]] = {}
        self.joined = 0

    def meet(self) -> None:
        told = {
            name: line.told(lambda item: self.exclude.get(item, ()))
            for name, line in self.lines.items()
        }
        for name, line in self.lines.items():
            line.hear({other: one for other, one in told.items() if other != name})

    def join(self, name: str, key: int, priority: str = "normal", item: str = "") -> Entry[str]:
        self.joined += 1
        line = self.lines[name]
        entry = line.join(item or f"{key}/{self.joined}", key, priority, 0)  # type: ignore[arg-type]
        self.meet()
        return entry

    def charge(self, name: str, key: int) -> None:
        self.lines[name].charge(key)
        self.meet()

    def serve(self, server_id: int = 1, now_s: float = 0) -> tuple[str, str] | None:
        """Give a slot to whoever it belongs to; give the process and what was served."""
        for name, line in self.lines.items():
            entry = line.serve(
                now_s,
                lambda entry, line=line: (
                    server_id not in self.exclude.get(entry.item, ())
                    and not line.goes_elsewhere(entry, server_id, now_s)
                ),
            )
            if entry is not None:
                self.meet()
                return name, entry.item
        return None

    def order(self) -> list[str]:
        found = []
        while (served := self.serve()) is not None:
            found.append(served[1])
        return found


def keys_of(items: list[str]) -> list[int]:
    return [int(item.partition("/")[0]) for item in items]


def test_two_floods_in_two_processes_take_turns():
    both = Processes("a", "b")
    for _ in range(3):
        both.join("a", 1)
    for _ in range(3):
        both.join("b", 2)

    assert keys_of(both.order()) == [1, 2, 1, 2, 1, 2]


def test_a_key_gains_nothing_by_calling_several_processes():
    several = Processes("a", "b", "c")
    for number in range(9):
        several.join("abc"[number % 3], 1)
    for _ in range(3):
        several.join("a", 2)

    order = keys_of(several.order())
    assert [sorted(order[at : at + 2]) for at in (0, 2, 4)] == [[1, 2]] * 3
    assert order[6:] == [1] * 6


def test_calls_of_one_key_keep_their_order_across_processes():
    both = Processes("b", "a")
    for number in range(6):
        both.join("ab"[number % 2], 1, item=f"1/{number}")

    assert both.order() == [f"1/{number}" for number in range(6)]


def test_a_newcomer_elsewhere_stands_beside_the_next_of_a_flood():
    both = Processes("a", "b")
    for _ in range(100):
        both.join("a", 1)
    for _ in range(40):
        both.serve()

    newcomer = both.join("b", 2)

    assert both.lines["b"].position(newcomer, 0) <= 2
    assert 2 in keys_of(both.order()[:2])


def test_a_higher_class_elsewhere_goes_first():
    both = Processes("a", "b")
    both.join("a", 1)
    both.join("b", 2, "batch")
    both.join("b", 3, "interactive")

    assert keys_of(both.order()) == [3, 1, 2]


def test_calls_served_without_waiting_elsewhere_count_as_turns():
    both = Processes("a", "b")
    for _ in range(5):
        both.charge("a", 1)
    both.join("a", 1)
    both.join("b", 2)

    assert keys_of(both.order()) == [2, 1]


def test_a_key_that_has_its_turn_elsewhere_is_not_first_here():
    both = Processes("a", "b")
    both.charge("b", 1)  # and runs there
    both.join("a", 1)
    both.join("a", 2)

    assert keys_of(both.order()) == [2, 1]


def test_calls_nobody_was_told_of_stand_behind_those_heard_of_meanwhile():
    both = Processes("a", "b")
    a, b = both.lines["a"], both.lines["b"]
    for number in range(2):
        a.join(f"1/{number}", 1, "normal", 0)
    b.join("1/2", 1, "normal", 0)
    b.join("2/0", 2, "normal", 0)
    gone = b.join("1/gone", 1, "normal", 0)
    b.join("1/3", 1, "normal", 0)
    b.leave(gone)
    assert a.has_news
    told = a.told(lambda item: ())
    assert not a.has_news

    b.hear({"a": told})
    both.meet()

    assert both.order() == ["1/0", "2/0", "1/1", "1/2", "1/3"]


def test_places_and_lengths_count_all_processes():
    both = Processes("a", "b")
    first = both.join("a", 1)
    both.join("b", 3, "interactive")
    last = both.join("a", 1)
    second = both.join("b", 2)

    a, b = both.lines["a"], both.lines["b"]
    assert [a.position(first, 0), b.position(second, 0), a.position(last, 0)] == [2, 2, 4]
    assert a.total == b.total == 4


def test_a_slot_is_not_kept_for_a_call_that_may_not_go_there():
    both = Processes("a", "b")
    both.exclude["1/first"] = (1,)
    both.join("a", 1, item="1/first")
    both.join("b", 2, item="2/second")

    assert both.serve(server_id=1) == ("b", "2/second")
    assert both.serve(server_id=1) is None
    assert both.serve(server_id=2) == ("a", "1/first")


def waits(elsewhere: Elsewhere, now_s: float, server_id: int = 1) -> bool:
    return elsewhere.goes_first(NORMAL, 5, server_id, now_s)


def test_who_does_not_come_for_a_free_slot_is_passed_over_until_its_first_place_changes():
    elsewhere = Elsewhere("b")
    hung = {"a": Told(0, (Run(NORMAL, 1, 2, 4, 3),))}
    elsewhere.hear(hung)

    assert waits(elsewhere, 10)
    assert waits(elsewhere, 10 + PATIENCE_S / 2)
    assert not waits(elsewhere, 10 + PATIENCE_S)
    elsewhere.hear(hung)
    assert not waits(elsewhere, 11)

    elsewhere.hear({"a": Told(0, (Run(NORMAL, 1, 3, 4, 2),))})
    assert waits(elsewhere, 11)


def test_nobody_is_blamed_while_no_slot_is_free():
    elsewhere = Elsewhere("b")
    elsewhere.hear({"a": Told(0, (Run(NORMAL, 1, 2, 2, 1),))})
    assert waits(elsewhere, 10)
    elsewhere.was_given()

    assert waits(elsewhere, 20)


def test_a_slot_that_another_took_in_the_meantime_was_not_left_empty():
    elsewhere = Elsewhere("b")
    runs = (Run(NORMAL, 1, 2, 2, 1),)
    elsewhere.hear({"a": Told(0, runs), "c": Told(0, given=1)})
    assert waits(elsewhere, 10)
    elsewhere.hear({"a": Told(0, runs), "c": Told(0, given=2)})

    assert waits(elsewhere, 10 + PATIENCE_S)


def test_two_that_do_not_come_are_passed_over_one_after_the_other():
    elsewhere = Elsewhere("c")
    elsewhere.hear(
        {"a": Told(0, (Run(NORMAL, 1, 2, 2, 1),)), "b": Told(0, (Run(NORMAL, 2, 3, 3, 1),))}
    )

    seen = [waits(elsewhere, 10 + step * PATIENCE_S) for step in range(3)]

    assert seen == [True, True, False]


def test_of_equal_turns_exactly_one_process_goes_first():
    both = Processes("a", "b")
    first, second = both.join("a", 1), both.join("b", 2)

    assert first.turn == second.turn
    assert not both.lines["a"].goes_elsewhere(first, 1, 0)
    assert both.lines["b"].goes_elsewhere(second, 1, 0)


def test_a_full_line_makes_room_where_the_greediest_waits():
    both = Processes("a", "b")
    for _ in range(6):
        both.join("a", 1)

    b = both.lines["b"]
    assert b.has_room_for(2)
    assert b.displace() is None  # the calls of the greediest are not here
    both.join("b", 2)

    assert [entry.item for entry in both.lines["a"].shed(6)] == ["1/6"]
    both.meet()
    assert both.lines["a"].total == 6
    assert both.lines["b"].shed(6) == []


def test_two_holders_of_the_greediest_share_what_is_too_much():
    both = Processes("a", "b", "c")
    for number in range(8):
        both.join("ab"[number % 2], 1)
    for _ in range(2):
        both.join("c", 2)

    gone = [entry for line in both.lines.values() for entry in line.shed(8)]

    assert Counter(entry.key_id for entry in gone) == {1: 2}


def test_a_key_that_holds_as_much_elsewhere_has_no_room():
    both = Processes("a", "b")
    for _ in range(3):
        both.join("a", 1)
        both.join("b", 2)

    assert not both.lines["a"].has_room_for(2)
    assert both.lines["a"].has_room_for(3)


calls = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.booleans()), min_size=1, max_size=60
)


@given(calls)
def test_whatever_comes_where_each_round_serves_every_waiting_key_once(steps):
    """Joining and serving in any order: nobody is lost, and among keys that all wait from the
    beginning of a stretch none is served twice more often than another."""
    several = Processes("a", "b", "c")
    joined: list[str] = []
    served: list[str] = []
    for process, key, is_served in steps:
        joined.append(several.join(process, key).item)
        if is_served:
            found = several.serve()
            assert found is not None
            served.append(found[1])
    left = Counter(keys_of([item for item in joined if item not in served]))
    rest = several.order()

    assert sorted(served + rest) == sorted(joined)
    assert [item for item in rest if item.startswith("1/")] == sorted(
        (item for item in rest if item.startswith("1/")), key=lambda item: int(item[2:])
    )
    got: Counter[int] = Counter()
    for key in keys_of(rest):
        got[key] += 1
        waiting = [got[other] for other in left if got[other] < left[other]]
        assert not waiting or got[key] - min(waiting) <= 2
