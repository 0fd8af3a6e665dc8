"""Slots over several processes: never more than there are, nobody starves, nothing stays held."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from gateway.runtime import tasks
from gateway.runtime.shared_counts import SharedCounts, slot_name
from gateway.scheduling.shared_slots import POLL_S
from tests.services.fleets import ALICE, BOB, Bench, server
from tests.support.process import ROOT
from tests.support.servers import Redis, running_redis

SLOT = slot_name(1, "tern:latest")
redis_only = pytest.mark.services


@pytest.fixture
def redis() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


Join = Callable[..., Bench]


@pytest.fixture
def join(redis: Redis) -> Iterator[Join]:
    """Make what one process has: a scheduler with counts of its own on the same Redis."""
    made: list[SharedCounts] = []

    def join(slots: int = 0, **behaviour: int) -> Bench:
        counts = SharedCounts(redis.url, lease_s=1.0)
        made.append(counts)
        bench = Bench(server(1, slots=slots), counts=counts, **behaviour)
        assert bench.scheduler.shared is not None
        counts.start()
        tasks.Every(POLL_S, bench.scheduler.shared.poll, "polling").start()
        return bench

    yield join
    for counts in made:
        counts.stop()


def counts_of(bench: Bench) -> SharedCounts:
    assert bench.scheduler.shared is not None
    return bench.scheduler.shared.counts


def until(claim: Callable[[], bool]) -> None:
    """Wait for a claim to hold; the test's own time limit ends it."""
    while not claim():
        time.sleep(0.001)


def held(counts: SharedCounts, name: str = SLOT) -> int:
    """Return how many leases Redis counts."""
    counted: int = counts.redis.client.zcard(f"ollama2openai:leases:{name}")
    return counted


@redis_only
def test_a_slot_is_given_once_over_two_processes(join: Join) -> None:
    one, two = join(1), join(1)
    with one.ask():
        waiting = two.ask()
        until(lambda: two.scheduler.servers[1].deployments["tern:latest"].remote_in_flight == 1)
        assert waiting.wait(0) is None
        assert two.scheduler.views()[0].in_flight == {"tern:latest": 1}

    with waiting as slot:
        assert slot.server.name == "s1"


@redis_only
def test_a_flood_of_one_process_does_not_starve_the_other(join: Join) -> None:
    flooding, modest = join(1), join(1)
    running, most, served = 0, 0, Counter[str]()
    is_over = False

    def call(bench: Bench, name: str) -> None:
        nonlocal running, most
        with bench.ask(key=ALICE):
            running += 1
            most = max(most, running)
            time.sleep(0.002)
            running -= 1
        served[name] += 1

    def flood() -> None:
        while not is_over:
            call(flooding, "flooding")

    floods = [tasks.spawn(flood) for _ in range(8)]
    until(lambda: served["flooding"] > 10)
    for _ in range(3):
        call(modest, "modest")
    is_over = True
    for task in floods:
        task.wait(None)
        task.result()

    assert most == 1
    assert served["modest"] == 3


@redis_only
def test_the_slots_of_a_killed_process_return(join: Join, redis: Redis) -> None:
    bench = join(1)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, redis.url, SLOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"True\n"
    ticket = bench.ask()
    until(lambda: bench.scheduler.servers[1].deployments["tern:latest"].remote_in_flight == 1)
    assert ticket.wait(0) is None
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=10)

    with ticket as slot:
        assert slot.queued_ms > 0


_HOLDER = """
from gevent import monkey
monkey.patch_all()
import sys
from gateway.runtime.shared_counts import SharedCounts
counts = SharedCounts(sys.argv[1], lease_s=1.0)
print(counts.try_acquire(sys.argv[2], counts.new_lease(), 1).granted, flush=True)
sys.stdin.readline()
"""


@redis_only
def test_leases_are_renewed_as_long_as_calls_run(join: Join) -> None:
    bench = join(1)
    counts = counts_of(bench)
    with bench.ask():
        expires = counts.redis.client.zscore(
            f"ollama2openai:leases:{SLOT}", next(iter(counts._held))
        )
        until(
            lambda: (
                counts.redis.client.zscore(f"ollama2openai:leases:{SLOT}", next(iter(counts._held)))
                > expires
            )
        )

        assert counts.lapsed == 0


@redis_only
def test_without_redis_each_process_counts_for_itself_and_then_together_again(
    join: Join, redis: Redis
) -> None:
    one, two = join(1), join(1)
    first = one.ask()
    first_slot = first.wait(10)
    second = two.ask()
    until(lambda: two.scheduler.servers[1].deployments["tern:latest"].remote_in_flight == 1)
    redis.stop(signal.SIGKILL)
    second_slot = second.wait(10)
    states = [counts_of(bench).state()["degraded"] for bench in (one, two)]
    until(lambda: bool(counts_of(one).state()["degraded"]) or _try(one))

    redis.start(redis.port)
    until(lambda: not counts_of(one).redis.is_away and not counts_of(two).redis.is_away)
    until(lambda: held(counts_of(one)) == 2)
    third = one.ask()
    until(lambda: one.scheduler.servers[1].deployments["tern:latest"].remote_in_flight == 1)
    assert third.wait(0) is None
    assert first_slot is not None
    assert second_slot is not None
    first_slot.release()
    assert counts_of(one).flush(10)
    assert third.wait(0) is None  # the other one still runs

    second_slot.release()
    with third as slot:
        assert slot.server.name == "s1"
    assert states[1] is True


def _try(bench: Bench) -> bool:
    """Make a process notice that Redis is away."""
    assert bench.scheduler.shared is not None
    bench.scheduler.shared.wake("tern:latest")
    bench.ask().close()
    return False


@redis_only
def test_a_frozen_redis_stops_nobody(join: Join, redis: Redis) -> None:
    bench = join(4)
    with bench.ask():
        redis.send(signal.SIGSTOP)
        for _ in range(3):
            bench.ask().__enter__()
        state = counts_of(bench).state()
        redis.send(signal.SIGCONT)

    assert (state["degraded"], state["failures"]) == (True, 1)


@redis_only
def test_a_lease_that_was_given_back_cannot_be_taken(join: Join) -> None:
    counts = counts_of(join(1))
    lease_id = counts.new_lease()
    counts._send_releases(SLOT, [lease_id])

    assert not counts.try_acquire(SLOT, lease_id, 1).granted
    assert counts.try_acquire(SLOT, counts.new_lease(), 1).granted
    assert held(counts) == 1


@redis_only
def test_a_younger_process_leaves_a_free_slot_once(join: Join) -> None:
    older, younger = counts_of(join(1)), counts_of(join(1))
    older.observe({SLOT: 5.0}, {"tern:latest": 3})

    refused = younger.try_acquire(SLOT, younger.new_lease(), 1, wait_s=0.5)
    taken = younger.try_acquire(SLOT, younger.new_lease(), 1, wait_s=0.5)

    assert (refused.granted, refused.has_older, taken.granted) == (False, True, True)
    assert younger.remote_waiting() == {"tern:latest": 3}
    assert not older.remote_waiting()


@redis_only
def test_slots_are_learned_over_all_processes(join: Join) -> None:
    one, two = join(), join()
    first, second = one.ask().wait(10), two.ask().wait(10)
    assert first is not None
    assert second is not None
    first.on_first_token()
    assert counts_of(one).flush(10)
    second.on_first_token()
    until(lambda: two.scheduler.views()[0].slots == 2)

    third = one.ask().wait(10)  # its process learns with the next slot

    assert third is not None
    assert one.scheduler.views()[0].slots == 2


@pytest.mark.parametrize("kind", ["memory", pytest.param("redis", marks=redis_only)])
def test_a_thousand_cancelled_calls_leave_nothing_held(
    kind: str, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(7)
    if kind == "redis":
        make: Join = request.getfixturevalue("join")
        benches = [make(3, queue_max_waiting=400), make(3, queue_max_waiting=400)]
    else:
        benches = [Bench(server(1, slots=3), queue_max_waiting=400)]
    ended: Counter[str] = Counter()
    running: set[tasks.Task[None] | None] = set()

    def call(bench: Bench) -> None:
        where = "waiting"
        try:
            with bench.ask(key=chance.choice((ALICE, BOB))):
                where = "running"
                running.add(tasks.current())
                time.sleep(chance.random() * 0.004)
                where = "done"
        finally:
            running.discard(tasks.current())
            ended[where] += 1

    for _ in range(10):
        calls = [tasks.spawn(call, chance.choice(benches)) for _ in range(100)]
        while not all(task.ended for task in calls):
            time.sleep(0.0005)
            victims = [task for task in running if task is not None] or calls
            chance.choice(victims if chance.random() < 0.3 else calls).interrupt("over")

    assert ended["waiting"] >= 30
    assert ended["running"] >= 30
    for bench in benches:
        assert bench.scheduler.in_flight() == {}
        assert bench.scheduler.waiting() == {}
    if kind == "redis":
        for bench in benches:
            assert counts_of(bench).flush(10)
        assert held(counts_of(benches[0])) == 0
        assert not counts_of(benches[0])._held
    slots = [bench.ask().wait(10) for bench in benches for _ in range(3 // len(benches))]
    assert all(slots)


def test_a_grant_to_a_cancelled_call_goes_to_the_next() -> None:
    bench = Bench(server(1, slots=1))
    running = bench.run()
    order: list[str] = []

    def call(name: str) -> None:
        with bench.ask():
            order.append(name)

    first = tasks.spawn(call, "first")
    second = tasks.spawn(call, "second")
    until(lambda: bench.scheduler.waiting() == {"tern:latest": 2})
    first.reason = "gone"
    first._loop.run_callback(first._deliver)
    running.release()  # the slot is the first call's, which is cancelled before it can run
    second.wait(None)
    second.result()

    assert order == ["second"]
