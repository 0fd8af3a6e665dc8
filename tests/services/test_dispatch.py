"""Tickets and slots: who runs, who waits, who is refused."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import replace

from gateway.errors import Unavailable
from tests.services.fleets import ALICE, BOB, Bench, model, server


def test_a_free_slot_is_given_at_once():
    bench = Bench(server(1, slots=1))

    slot = bench.ask().wait(0)

    assert slot is not None
    assert (slot.server.name, slot.queued_ms) == ("s1", 0)
    assert slot.choice.reason == "idle, must load, 1/1 slots free"


def test_a_call_beyond_the_slots_waits_until_one_is_given_back():
    bench = Bench(server(1, slots=1))
    first = bench.run()
    second = bench.ask()

    assert second.wait(0) is None
    assert bench.scheduler.position(second)[0] == 1

    bench.clock.tick(2)
    first.release()
    slot = second.wait(0)
    assert slot is not None
    assert slot.queued_ms == 2000
    assert bench.scheduler.position(second)[0] == 0


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


def test_whoever_leaves_frees_the_place_at_once():
    bench = Bench(server(1, slots=1))
    slot = bench.run()
    tickets = [bench.ask() for _ in range(3)]

    tickets[0].close()

    assert [bench.scheduler.position(ticket)[0] for ticket in tickets] == [0, 1, 2]
    slot.release()
    assert tickets[1].wait(0) is not None


def test_a_slot_nobody_took_goes_to_the_next_when_its_ticket_is_closed():
    bench = Bench(server(1, slots=1))
    ticket, following = bench.ask(), bench.ask()

    ticket.close()

    assert following.wait(0) is not None


# Slots that are learned


def capacity(bench: Bench) -> int:
    """Run calls until one has to wait; give how many ran."""
    count = 0
    while True:
        ticket = bench.ask()
        if ticket.wait(0) is None:
            ticket.close()
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
        with suppress(Unavailable):
            victim.wait(0)
        victim.close()
    for ticket in live:
        ticket.close()

    gc.collect()
    assert bench.scheduler.in_flight() == {}
    assert bench.scheduler.waiting() == {}
    assert capacity(bench) == 6
