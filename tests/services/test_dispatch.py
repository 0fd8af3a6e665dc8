"""Tickets and slots: who runs, who waits, who is refused."""

from __future__ import annotations

import gc
import statistics
import threading
from dataclasses import replace

import pytest

from gateway.errors import (
    ClientGone,
    GatewayError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tests.services.fleets import ALICE, BOB, Bench, model, server


def test_a_free_slot_is_given_at_once():
    bench = Bench(server(1, slots=1))

    slot = bench.ask().wait(0)

    assert slot is not None
    assert (slot.server.name, slot.queued_ms) == ("s1", 0)
    assert slot.reason == "idle, must load, 1/1 slots free"


def test_a_call_beyond_the_slots_waits_until_one_is_given_back():
    bench = Bench(server(1, slots=1))
    first = bench.run()
    second = bench.ask()

    assert second.wait(0) is None
    assert second.ahead[0] == 1

    bench.clock.tick(2)
    first.release()
    slot = second.wait(0)
    assert slot is not None
    assert slot.queued_ms == 2000
    assert second.ahead[0] == 0


def test_a_slot_given_back_twice_is_given_back_once():
    bench = Bench(server(1, slots=1))
    slot = bench.run()
    slot.release()
    slot.release()

    bench.run()

    assert bench.ask().wait(0) is None


def test_models_have_slots_of_their_own():
    bench = Bench(server(1, slots=1))
    bench.run()

    assert bench.ask(model(1, name="heron:latest")).wait(0) is not None


def test_waiting_ends_when_the_slot_comes():
    bench = Bench(server(1, slots=1))
    slot, ticket = bench.run(), bench.ask()
    got = []
    waiter = threading.Thread(target=lambda: got.append(ticket.wait(10)))
    waiter.start()

    slot.release()
    waiter.join(10)

    assert got[0] is not None
    assert got[0].server.name == "s1"


def test_whoever_cancels_frees_the_place_at_once():
    bench = Bench(server(1, slots=1))
    slot = bench.run()
    tickets = [bench.ask() for _ in range(3)]

    tickets[0].cancel()

    assert [ticket.ahead[0] for ticket in tickets] == [0, 1, 2]
    slot.release()
    assert tickets[1].wait(0) is not None


def test_waiting_for_a_cancelled_ticket_raises():
    bench = Bench(server(1, slots=1))
    bench.run()
    ticket = bench.ask()
    ticket.cancel()
    ticket.cancel()

    with pytest.raises(ClientGone):
        ticket.wait(10)


def test_cancel_wakes_whoever_waits():
    bench = Bench(server(1, slots=1))
    bench.run()
    ticket = bench.ask()
    raised = []

    def wait() -> None:
        try:
            ticket.wait(10)
        except ClientGone as error:
            raised.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    ticket.cancel()
    waiter.join(10)

    assert len(raised) == 1


def test_a_slot_nobody_took_goes_to_the_next_when_its_ticket_is_cancelled():
    bench = Bench(server(1, slots=1))
    ticket, following = bench.ask(), bench.ask()

    ticket.cancel()

    assert following.wait(0) is not None


def test_cancelling_after_the_slot_was_taken_leaves_it_to_its_owner():
    bench = Bench(server(1, slots=1))
    ticket = bench.ask()
    slot = ticket.wait(0)
    ticket.cancel()

    following = bench.ask()

    assert following.wait(0) is None
    slot.release()
    assert following.wait(0) is not None


def test_the_line_is_bounded():
    bench = Bench(server(1, slots=1), queue_max_waiting=2)
    bench.run()
    kept = [bench.ask(), bench.ask()]

    with pytest.raises(Unavailable) as caught:
        bench.ask()

    assert (caught.value.code, caught.value.retry_after_s) == ("upstream_busy", 5)
    assert [ticket.ahead[0] for ticket in kept] == [1, 2]


def test_a_full_line_has_room_for_another_key():
    bench = Bench(server(1, slots=1), queue_max_waiting=3)
    bench.run()
    flood = [bench.ask(key=ALICE) for _ in range(3)]

    ticket = bench.ask(key=BOB)

    assert ticket.ahead[0] in {1, 2}
    with pytest.raises(Unavailable):
        flood[2].wait(0)
    assert flood[1].wait(0) is None


def test_a_refusal_tells_how_long_it_may_take():
    bench = Bench(server(1, slots=1), queue_max_waiting=2)
    slot = bench.run()
    slot.on_first_token()
    bench.clock.tick(10)
    slot.release()
    bench.run()
    bench.ask()
    bench.ask()

    with pytest.raises(Unavailable) as caught:
        bench.ask()

    assert caught.value.retry_after_s == 20


def test_a_wait_too_long_to_tell_clients_is_in_the_message():
    bench = Bench(server(1, slots=1), queue_max_waiting=1)
    slot = bench.run()
    slot.on_first_token()
    bench.clock.tick(90)
    slot.release()
    bench.run()
    bench.ask()

    with pytest.raises(Unavailable, match="90 seconds") as caught:
        bench.ask()

    assert (caught.value.retry_after_s, caught.value.should_retry) == (60, False)


def test_waiting_has_an_end():
    bench = Bench(server(1, slots=1), queue_max_wait_s=30)
    slot, ticket = bench.run(), bench.ask()
    bench.clock.tick(30)

    with pytest.raises(Unavailable, match="waited 30 seconds"):
        ticket.wait(5)

    slot.release()
    assert bench.ask().wait(0) is not None


def test_the_estimate_of_a_full_queue_grows_with_its_length():
    bench = Bench(server(1, slots=2), queue_max_waiting=2)
    slot = bench.run()
    slot.on_first_token()
    bench.clock.tick(8)
    slot.release()
    bench.run(), bench.run()
    bench.ask(), bench.ask()

    with pytest.raises(Unavailable) as caught:
        bench.ask()

    assert caught.value.retry_after_s == 8


# Fairness, on logical order


def test_a_flood_of_one_key_delays_another_by_no_more_than_its_own_turn():
    bench = Bench(server(1, slots=1))
    running = bench.run(key=ALICE)
    flood = [bench.ask(key=ALICE) for _ in range(100)]
    others = [bench.ask(key=BOB) for _ in range(9)]
    order: list[str] = []
    waiting = {**dict.fromkeys(flood, "alice"), **dict.fromkeys(others, "bob")}
    for _ in range(30):
        running.release()
        ticket = next(one for one in waiting if one.slot is not None)
        order.append(waiting.pop(ticket))
        running = ticket.wait(0)

    turns = [place for place, name in enumerate(order, 1) if name == "bob"]
    assert len(turns) == 9
    waits = [turn - 2 * number for number, turn in enumerate(turns)]
    assert statistics.median(waits) <= 2


def test_interactive_keys_go_first_and_batch_keys_last():
    bench = Bench(server(1, slots=1))
    slot = bench.run()
    batch = bench.ask(key=replace(ALICE, priority="batch"))
    normal = bench.ask(key=ALICE)
    urgent = bench.ask(key=replace(BOB, priority="interactive"))

    assert [t.ahead[0] for t in (urgent, normal, batch)] == [1, 2, 3]
    slot.release()
    assert urgent.wait(0) is not None


# Which server


def test_the_server_that_has_the_model_loaded_is_chosen():
    bench = Bench(server(1, slots=1), server(2, slots=1))
    bench.well(1)
    bench.well(2, "tern:latest")

    assert bench.run().server.name == "s2"


def test_a_model_of_the_same_weights_counts_as_loaded():
    """Ollama lists a runner under the name that started it, and uses it for the others too."""
    bench = Bench()
    weights = {"tern:latest": "a b", "tern-tools:latest": "a b", "heron:latest": "", "gull:1": ""}
    bench.know(server(1), server(2), names=tuple(weights), weights=weights)
    bench.well(1, "gull:1")
    bench.well(2, "tern-tools:latest")

    routes = bench.scheduler.routes(model(1, 2))
    unknown = bench.scheduler.routes(model(1, 2, name="heron:latest"))

    assert [(route.is_chosen, route.context_tokens) for route in routes] == [
        (False, 0),
        (True, 8192),
    ]
    assert [route.context_tokens for route in unknown] == [0, 0]
    assert bench.run().server.name == "s2"
    bench.well(2)
    assert [route.context_tokens for route in bench.scheduler.routes(model(1, 2))] == [0, 0]


def test_after_a_call_the_model_counts_as_loaded_there():
    bench = Bench(server(1), server(2, weight=5))
    first = bench.run(exclude=frozenset({2}))
    first.on_first_token()
    first.release()

    assert bench.run().server.name == "s1"


def test_a_model_that_was_just_loaded_is_looked_at():
    bench = Bench(server(1, slots=2))
    probed: list[int] = []
    bench.scheduler.probe_now = probed.append  # type: ignore[method-assign]
    for _ in range(3):
        slot = bench.run()
        slot.on_first_token()
        slot.release()

    assert probed == [1]


def test_a_waiting_call_takes_the_first_slot_of_any_server():
    bench = Bench(server(1, slots=1), server(2, slots=1))
    slots = [bench.run(), bench.run()]
    ticket = bench.ask()
    late = next(slot for slot in slots if slot.server.name == "s2")

    late.release()

    slot = ticket.wait(0)
    assert slot is not None
    assert slot.server.name == "s2"


def test_an_excluded_server_is_not_waited_for():
    bench = Bench(server(1, slots=1), server(2, slots=1))
    slots = {slot.server.name: slot for slot in (bench.run(), bench.run())}
    ticket = bench.ask(exclude=frozenset({1}))

    slots["s1"].release()
    assert ticket.wait(0) is None

    slots["s2"].release()
    assert ticket.wait(0).server.name == "s2"


def test_conversations_stay_on_their_server():
    bench = Bench(server(1, slots=4), server(2, slots=4), server(3, slots=4))
    chosen = {}
    for number in range(12):
        slot = bench.run(prefix=f"talk {number % 3}")
        chosen.setdefault(number % 3, set()).add(slot.server.id)
        slot.release()

    assert all(len(servers) == 1 for servers in chosen.values())


def test_affinity_can_be_switched_off():
    bench = Bench(server(1, slots=4), server(2, slots=4), prefix_affinity=False)
    slots = [bench.run(prefix="talk") for _ in range(4)]

    assert sorted(slot.server.id for slot in slots) == [1, 1, 2, 2]


def test_the_way_of_a_call_is_explained_without_making_one():
    bench = Bench(server(1, slots=1), server(2, slots=1), server(3), server(4, draining=True))
    bench.well(1, "tern:latest")
    bench.run(exclude=frozenset({2, 3}))
    bench.dead(3)

    routes = bench.scheduler.routes(model(1, 2, 3, 4))

    assert [(route.server.name, route.is_usable, route.is_chosen) for route in routes] == [
        ("s1", True, False),
        ("s2", True, True),
        ("s3", False, False),
        ("s4", False, False),
    ]
    assert [route.reason for route in routes] == [
        "every slot taken",
        "idle, must load, 1/1 slots free",
        "Nothing listens there.",
        "It takes no new calls; 0 calls still running.",
    ]
    assert [(route.in_flight, route.slots, route.context_tokens) for route in routes] == [
        (1, 1, 8192),
        (0, 1, 0),
        (0, 2, 0),
        (0, 2, 0),
    ]
    assert bench.scheduler.in_flight() == {(1, "tern:latest"): 1}


@pytest.mark.parametrize("affinity", [True, False])
def test_the_way_of_a_conversation_is_the_one_it_takes(affinity: bool):
    bench = Bench(server(1, slots=4), server(2, slots=4), prefix_affinity=affinity)
    for number in range(8):
        routes = bench.scheduler.routes(model(1, 2), prefix=f"talk {number}")
        slot = bench.run(prefix=f"talk {number}")
        taken = slot.server.id
        slot.release()

        assert [route.server.id for route in routes if route.is_chosen] == [taken]


NOBODY = {
    "no server has it": (lambda bench: bench.ask(model())),
    "its server is unknown": (lambda bench: bench.ask(model(9))),
    "all were tried": (lambda bench: bench.ask(exclude=frozenset({1, 2}))),
}


@pytest.mark.parametrize("ask", NOBODY.values(), ids=NOBODY)
def test_a_call_nobody_can_serve_is_refused(ask):
    bench = Bench(server(1), server(2))

    with pytest.raises(Unavailable) as caught:
        ask(bench)

    assert caught.value.code == "no_upstream_available"


@pytest.mark.parametrize("change", [{"enabled": False}, {"draining": True}])
def test_a_server_that_is_off_or_drained_gets_no_calls(change):
    bench = Bench(server(1, **change), server(2, slots=4))

    assert {bench.run().server.name for _ in range(3)} == {"s2"}


def test_calls_on_a_drained_server_go_on():
    bench = Bench(server(1, slots=1))
    slot = bench.run()
    bench.know(server(1, slots=1, draining=True))

    assert bench.state(1) == ("draining", "It takes no new calls; 1 call still running.")
    slot.release()
    assert bench.state(1)[1] == "It takes no new calls; 0 calls still running."


def test_states_are_told_in_words():
    bench = Bench(server(1, slots=1), server(2, enabled=False))
    assert bench.state(1) == ("unknown", "It has not been asked yet.")
    assert bench.state(2) == ("draining", "It is switched off.")
    bench.well(1)
    assert bench.state(1) == ("ready", "It answers.")
    slot = bench.run()
    assert bench.state(1) == ("loading", "It is loading tern:latest.")
    slot.on_first_token()
    assert bench.state(1) == ("ready", "1 call running.")
    bench.ask()
    assert bench.state(1) == ("busy", "1 call running, 1 waiting.")


# Learning from calls


def test_a_dead_server_is_left_out_and_comes_back():
    bench = Bench(server(1), server(2, slots=9))
    bench.dead(1)

    assert {bench.run().server.name for _ in range(3)} == {"s2"}
    assert bench.state(1) == ("down", "Nothing listens there.")

    bench.well(1, "tern:latest")
    assert bench.run().server.name == "s1"


def test_one_unanswered_probe_does_not_make_a_server_dead():
    bench = Bench(server(1))
    bench.dead(1, certain=False)

    assert bench.state(1) == ("degraded", "Nothing listens there.")
    bench.run().release()

    bench.dead(1, certain=False)
    assert bench.state(1)[0] == "down"


def test_waiting_calls_fail_when_the_last_server_dies():
    bench = Bench(server(1, slots=1))
    bench.run()
    ticket = bench.ask()

    bench.dead(1)

    with pytest.raises(Unavailable) as caught:
        ticket.wait(0)
    assert caught.value.code == "no_upstream_available"


def test_waiting_calls_move_to_a_server_that_comes_back():
    bench = Bench(server(1, slots=1), server(2, slots=1))
    bench.dead(2)
    bench.run()
    ticket = bench.ask()

    bench.well(2)

    assert ticket.wait(0).server.name == "s2"


def test_calls_that_wait_for_an_answer_learn_that_their_server_died():
    bench = Bench(server(1, slots=3))
    silent, answering, deaf = bench.run(), bench.run(), bench.run()
    lost: list[tuple[str, GatewayError]] = []
    silent.on_server_down = lambda error: lost.append(("silent", error))
    answering.on_server_down = lambda error: lost.append(("answering", error))
    answering.on_first_token()

    bench.dead(1)
    bench.dead(1)

    assert [(name, type(error)) for name, error in lost] == [("silent", UpstreamUnreachable)]
    deaf.release()


def test_failures_to_connect_open_the_circuit_and_ask_for_a_probe():
    bench = Bench(server(1), server(2, slots=99))
    probed: list[int] = []
    bench.scheduler.probe_now = probed.append  # type: ignore[method-assign]
    for _ in range(5):
        slot = bench.run(exclude=frozenset({2}))
        slot.report(UpstreamUnreachable("no"))
        slot.release()

    assert probed == [1] * 5
    assert {bench.run().server.name for _ in range(5)} == {"s2"}
    assert bench.state(1)[0] == "down"


def test_the_half_open_circuit_lets_one_call_try():
    bench = Bench(server(1, slots=9))
    for _ in range(5):
        slot = bench.run()
        slot.report(UpstreamUnreachable("no"))
        slot.release()
    bench.clock.tick(1)
    bench.scheduler.on_time_passed()

    trial = bench.run()
    assert bench.state(1) == ("degraded", "It failed and is on trial with one call.")
    with pytest.raises(Unavailable):
        bench.run()

    trial.on_first_token()
    assert bench.run() is not None


def test_a_model_that_fails_on_one_server_goes_elsewhere():
    bench = Bench(server(1, weight=9), server(2, slots=99))
    bench.well(1)
    for _ in range(3):
        slot = bench.run(exclude=frozenset({2}))
        slot.report(UpstreamError("out of memory"))
        slot.release()

    assert bench.run().server.name == "s2"
    assert bench.run(model(1, name="heron:latest")).server.name == "s1"
    assert bench.state(1) == ("degraded", "Calls of tern:latest fail here.")


def test_a_model_that_is_gone_is_not_asked_for_again_and_is_looked_for():
    bench = Bench(server(1), server(2))
    slot = bench.run(exclude=frozenset({2}))
    slot.report(ModelNotFound("no"))
    slot.release()

    assert bench.missing == [(1, "tern:latest")]
    assert bench.run().server.name == "s2"


def test_a_busy_server_is_left_alone_for_a_moment():
    bench = Bench(server(1, weight=9), server(2))
    slot = bench.run()
    slot.report(Unavailable("busy"))
    slot.release()

    assert bench.run().server.name == "s2"
    bench.clock.tick(1)
    bench.scheduler.on_time_passed()
    assert bench.run().server.name == "s1"


RESTING = {
    "busy": Unavailable("busy"),
    "failing": UpstreamError("out of memory"),
    "without the model": ModelNotFound("no"),
}


@pytest.mark.parametrize("error", RESTING.values(), ids=RESTING)
def test_the_only_server_is_asked_again_whatever_it_answered(error):
    bench = Bench(server(1))
    for _ in range(9):
        slot = bench.run()
        slot.report(error)
        slot.release()

    assert bench.run().server.name == "s1"


HARMLESS = {
    "a bad request": GatewayError("bad", status=400),
    "a client that left": ClientGone("left"),
    "an unreadable tool call": UpstreamError("x", code="tool_call_parse_error"),
    "a missing sign-in": UpstreamError("x", code="upstream_unauthorized"),
}


@pytest.mark.parametrize("error", HARMLESS.values(), ids=HARMLESS)
def test_what_says_nothing_of_the_server_changes_nothing(error):
    bench = Bench(server(1, slots=1))
    bench.well(1)
    for _ in range(20):
        slot = bench.run()
        slot.report(error)
        slot.release()

    assert bench.state(1) == ("ready", "It answers.")


def test_stalls_count_against_the_model_and_ask_for_a_probe():
    bench = Bench(server(1))
    probed: list[int] = []
    bench.scheduler.probe_now = probed.append  # type: ignore[method-assign]
    for _ in range(3):
        slot = bench.run()
        slot.report(UpstreamTimeout("slow"))
        slot.release()

    assert probed == [1, 1, 1]
    with pytest.raises(Unavailable):
        bench.ask()


# Slots that are learned


def capacity(bench: Bench) -> int:
    """Run calls until one has to wait; give how many ran."""
    count = 0
    while True:
        ticket = bench.ask()
        if ticket.wait(0) is None:
            ticket.cancel()
            return count
        count += 1


def test_an_unknown_server_is_tried_with_one_call_more_than_it_surely_takes():
    assert capacity(Bench(server(1))) == 2


def test_slots_are_proven_by_calls_that_answer_at_once():
    bench = Bench(server(1))
    slots = [bench.run(), bench.run()]
    for slot in slots:
        slot.on_first_token()

    assert bench.scheduler.views()[0].slots == 2
    assert capacity(bench) == 2  # two run already, and up to four may now


def test_a_trial_that_proves_nothing_is_not_repeated_at_once():
    bench = Bench(server(1))
    first, _second = bench.run(), bench.run()
    first.on_first_token()
    first.release()

    ticket = bench.ask()
    assert ticket.wait(0) is None

    bench.clock.tick(5)
    bench.scheduler.on_time_passed()
    assert ticket.wait(0) is not None


def test_failed_trials_become_rare():
    bench = Bench(server(1))
    pauses = []
    for _ in range(9):
        first, second = bench.run(), bench.run()
        first.on_first_token()
        first.release()
        second.on_first_token()
        second.release()
        deployment = bench.scheduler.servers[1].deployments["tern:latest"]
        pauses.append(deployment.next_slot_probe_s - bench.clock())
        bench.clock.tick(pauses[-1])
        bench.scheduler.on_time_passed()

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def test_many_slots_are_found_quickly():
    bench = Bench(server(1))
    running = []
    rounds = 0
    while bench.scheduler.views()[0].slots < 64:
        rounds += 1
        while (slot := bench.ask().wait(0)) is not None:
            slot.on_first_token()
            running.append(slot)
            if len(running) >= 64:
                break

    assert rounds <= 8


def test_a_restarted_server_is_learned_anew():
    bench = Bench(server(1))
    bench.well(1)
    slots = [bench.run(), bench.run()]
    for slot in slots:
        slot.on_first_token()
        slot.release()
    bench.dead(1)
    bench.well(1)

    assert bench.scheduler.views()[0].slots == 1


def test_embedding_models_start_with_a_short_queue_in_ollama():
    bench = Bench(server(1))
    embedder = model(1, name="nomic:latest", capabilities=frozenset({"embedding"}))
    slots = [bench.ask(embedder).wait(0) for _ in range(8)]

    assert all(slots)
    assert bench.ask(embedder).wait(0) is None


def test_an_admins_number_of_slots_is_kept():
    assert capacity(Bench(server(1, slots=3))) == 3


# Changes of the servers


def test_an_edited_server_keeps_its_calls_and_its_health():
    bench = Bench(server(1, slots=1))
    slot = bench.run()
    bench.know(server(1, slots=2, weight=3))

    assert bench.run() is not None
    assert bench.ask().wait(0) is None
    slot.release()


def test_a_server_that_moves_starts_anew():
    bench = Bench(server(1, slots=1))
    old = bench.run()
    bench.know(replace(server(1, slots=1), url="http://127.0.0.1:99"))

    new = bench.run()

    assert new.client is not old.client
    old.release()
    assert bench.ask().wait(0) is None


def test_waiting_calls_are_served_by_a_server_that_is_added():
    bench = Bench(server(1, slots=1))
    bench.run()
    ticket = bench.ask()

    bench.know(server(1, slots=1), server(2, slots=1))

    assert ticket.wait(0).server.name == "s2"


def test_a_removed_server_gets_no_calls():
    bench = Bench(server(1), server(2))
    running = bench.run(exclude=frozenset({2}))
    bench.know(server(2, slots=9))

    assert {bench.run(model(1, 2)).server.name for _ in range(3)} == {"s2"}
    running.release()


# Nothing is left behind


def test_ten_thousand_calls_leave_nothing_behind():
    bench = Bench(server(1, slots=3), server(2, slots=3), queue_max_waiting=50)
    live: list = []
    for number in range(10_000):
        key = ALICE if number % 3 else BOB
        try:
            ticket = bench.ask(key=key, prefix=str(number % 7))
        except Unavailable:
            ticket = None
        if ticket is not None:
            live.append(ticket)
        victim = live.pop((number * 7919) % len(live)) if live else None
        if victim is None:
            continue
        if number % 2:
            victim.cancel()
        try:
            slot = victim.wait(0)
        except (ClientGone, Unavailable):
            continue
        if slot is None:
            victim.cancel()
            continue
        slot.release()
    for ticket in live:
        ticket.cancel()
        try:
            slot = ticket.wait(0)
        except (ClientGone, Unavailable):
            continue
        slot.release()

    gc.collect()
    scheduler = bench.scheduler
    assert bench.scheduler.in_flight() == {}
    assert bench.scheduler.waiting() == {}
    assert scheduler.running_count() == 0
    assert capacity(bench) == 6


def test_threads_never_hold_more_slots_than_there_are():
    bench = Bench(server(1, slots=2), server(2, slots=3))
    lock, running, most, done = threading.Lock(), [0, 0, 0], [0, 0, 0], []

    def work(number: int) -> None:
        for _ in range(40):
            slot = bench.ask(key=ALICE if number % 2 else BOB).wait(20)
            assert slot is not None
            with lock:
                running[slot.server.id] += 1
                most[slot.server.id] = max(most[slot.server.id], running[slot.server.id])
            with lock:
                running[slot.server.id] -= 1
            slot.release()
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(done) == 16
    assert most[1] <= 2
    assert most[2] <= 3
    assert bench.scheduler.in_flight() == {}
