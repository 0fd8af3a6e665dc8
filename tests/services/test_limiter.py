"""Limits: exact at the edge, shared by workers, told in headers, given back by the dead."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, make_url, select

from gateway.core.admin import SYSTEM
from gateway.errors import QuotaExhausted, RateLimited
from gateway.limits.limiter import Limiter
from gateway.management.keys import Keys
from gateway.policy import rate_window
from gateway.runtime import tasks
from gateway.runtime.database import PAUSE_S, Store, StoreUnavailable
from gateway.runtime.shared_counts import SharedCounts
from gateway.runtime.versions import ChangeVersions
from gateway.schemas.key import Budget, Key
from gateway.schemas.settings import RuntimeSettings
from gateway.store.tables import CounterLeaseRow, KeyCounterRow
from gateway.store.usage import counters
from tests.services.conftest import FakeClock
from tests.soak import times
from tests.support.servers import Redis, running_redis


def key(number: int = 1, *, budgets: tuple[Budget, ...] = (), **limits: int) -> Key:
    return Key(id=number, name="k", prefix="sk", budgets=budgets, **limits)


@pytest.fixture
def limiter(any_store: Store, clock: FakeClock) -> Limiter:
    return Limiter(any_store, worker="here:1", now=clock.now, clock=clock.seconds)


@pytest.fixture
def local(store: Store, clock: FakeClock) -> Limiter:
    """A limiter of what is counted in this process, without budgets: it asks no database."""
    return Limiter(store, worker="here:1", now=clock.now, clock=clock.seconds)


def admitted(limiter: Limiter, key: Key, tries: int, tokens: int = 1) -> int:
    count = 0
    for _ in range(tries):
        try:
            limiter.admit(key, tokens).settle(tokens)
        except RateLimited:
            continue
        count += 1
    return count


def test_requests_per_minute_pass_up_to_the_limit_and_again_a_minute_later(
    local: Limiter, clock: FakeClock
) -> None:
    first = admitted(local, key(requests_per_minute=5), 20)
    clock.tick(120)
    second = admitted(local, key(requests_per_minute=5), 20)

    assert (first, second) == (5, 5)


def test_a_refusal_tells_how_long_to_wait_and_waiting_helps(
    local: Limiter, clock: FakeClock
) -> None:
    mine = key(requests_per_minute=3)
    admitted(local, mine, 3)
    with pytest.raises(RateLimited) as caught:
        local.admit(mine, 1)
    wait_s = caught.value.retry_after_s or 0
    clock.tick(wait_s)

    assert (caught.value.type, caught.value.code) == ("requests", "rate_limit_exceeded")
    assert 1 <= wait_s <= 120
    assert admitted(local, mine, 1) == 1


def test_tokens_per_minute_count_what_calls_took(local: Limiter, clock: FakeClock) -> None:
    mine = key(tokens_per_minute=1000)
    local.admit(mine, 100).settle(900)
    with pytest.raises(RateLimited) as caught:
        local.admit(mine, 200)

    assert caught.value.type == "tokens"
    assert caught.value.headers["x-ratelimit-remaining-tokens"] == "100"
    local.admit(mine, 100).settle(100)
    with pytest.raises(RateLimited):
        local.admit(mine, 1)


def test_running_calls_hold_the_tokens_they_expect(local: Limiter) -> None:
    mine = key(tokens_per_minute=1000)
    running = local.admit(mine, 800)
    with pytest.raises(RateLimited):
        local.admit(mine, 300)
    running.settle(0, counted=False)

    assert local.admit(mine, 300)


def test_a_call_larger_than_the_limit_itself_may_pass_alone(local: Limiter) -> None:
    assert local.admit(key(tokens_per_minute=1000), 5000)


def test_calls_at_once_are_bounded_and_come_back(limiter: Limiter) -> None:
    mine = key(concurrent=2)
    first, second = limiter.admit(mine, 1), limiter.admit(mine, 1)
    with pytest.raises(RateLimited) as caught:
        limiter.admit(mine, 1)
    first.settle(5)
    first.settle(0, counted=False)
    third = limiter.admit(mine, 1)

    assert (caught.value.code, caught.value.retry_after_s) == ("concurrency_limit_exceeded", 1)
    for lease in (second, third):
        lease.settle(0, counted=False)
    assert limiter.admit(mine, 1)


def test_keys_without_a_bound_of_their_own_have_the_common_one(
    any_store: Store, clock: FakeClock
) -> None:
    common = RuntimeSettings(default_key_concurrency=1)
    limiter = Limiter(any_store, behaviour=lambda: common, clock=clock.seconds)
    lease = limiter.admit(key(), 1)
    with pytest.raises(RateLimited):
        limiter.admit(key(), 1)
    lease.settle(0, counted=False)

    assert limiter.admit(key(), 1)


def test_setting_the_clock_back_changes_nothing(local: Limiter, clock: FakeClock) -> None:
    mine = key(requests_per_minute=5)
    admitted(local, mine, 5)
    clock.at = clock.at.replace(year=2029)

    assert admitted(local, mine, 5) == 0


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            "openai",
            {
                "x-ratelimit-limit-requests": "10",
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "1m20s",
            },
        ),
        (
            "anthropic",
            {
                "anthropic-ratelimit-requests-limit": "10",
                "anthropic-ratelimit-requests-remaining": "9",
                "anthropic-ratelimit-requests-reset": "2030-05-15T12:01:20Z",
            },
        ),
    ],
)
def test_headers_are_in_the_vendors_own_form(
    limiter: Limiter, form: rate_window.Form, expected: dict[str, str]
) -> None:
    lease = limiter.admit(key(requests_per_minute=10), 1)

    assert lease.headers_for(form) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0124, "12ms"), (1, "1s"), (59.2, "1m0s"), (360, "6m0s"), (5, "5s")],
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert rate_window.duration(seconds) == text


def test_a_request_budget_ends_exactly_and_says_so_in_words(
    limiter: Limiter, any_store: Store
) -> None:
    mine = key(budgets=(Budget("requests", "day", 25),))

    assert admitted(limiter, mine, 60) == 25
    with pytest.raises(QuotaExhausted) as caught:
        limiter.admit(mine, 1)
    assert caught.value.should_retry is False
    assert caught.value.message == (
        "This key has used up its budget of 25 requests per day; it starts again at"
        " 2030-05-16 00:00 UTC."
    )


def test_a_budget_held_by_running_calls_refuses_for_a_moment_only(
    limiter: Limiter, any_store: Store
) -> None:
    """SDKs repeat such a refusal, and not the one for a budget that is used up."""
    mine = key(budgets=(Budget("tokens", "month", 100),))
    running = limiter.admit(mine, 60, prompt=60)

    with pytest.raises(RateLimited) as caught:
        limiter.admit(mine, 60, prompt=60)
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limit_exceeded", 1)
    assert caught.value.should_retry is None
    running.settle(70)
    limiter.admit(mine, 20, prompt=20).settle(20)
    with pytest.raises(QuotaExhausted):
        limiter.admit(mine, 60, prompt=60)


def test_a_budget_held_by_another_worker_refuses_for_a_moment_only(any_store: Store) -> None:
    one, two = (Limiter(any_store, worker=f"here:{number}") for number in (1, 2))
    mine = key(budgets=(Budget("tokens", "total", 100),))
    running = one.admit(mine, 60, prompt=60)

    with pytest.raises(RateLimited) as caught:
        two.admit(mine, 60, prompt=60)
    assert caught.value.code == "rate_limit_exceeded"
    running.settle(100)


def test_bodies_that_are_read_count_against_their_key(local: Limiter) -> None:
    mine, other = key(concurrent=2), key(2, concurrent=2)
    with local.reading(mine), local.reading(mine):
        with pytest.raises(RateLimited) as caught, local.reading(mine):
            pass
        with local.reading(other):
            pass
    assert caught.value.code == "concurrency_limit_exceeded"
    with local.reading(mine):
        pass


def test_failed_calls_are_given_back(limiter: Limiter) -> None:
    mine = key(budgets=(Budget("requests", "total", 3),))
    for _ in range(10):
        limiter.admit(mine, 1).settle(0, counted=False)

    assert admitted(limiter, mine, 10) == 3


def test_a_token_budget_near_its_end_bounds_the_answer(limiter: Limiter) -> None:
    mine = key(budgets=(Budget("tokens", "month", 1000),))
    lease = limiter.admit(mine, 400, prompt=400)
    first_room = lease.holds.room
    lease.settle(950)
    last = limiter.admit(mine, 500, prompt=20)

    assert first_room == 1000
    assert last.holds.room == 50
    last.settle(50)
    with pytest.raises(QuotaExhausted):
        limiter.admit(mine, 1)


def test_a_roomy_token_budget_does_not_bound_answers(limiter: Limiter) -> None:
    lease = limiter.admit(key(budgets=(Budget("tokens", "month", 10_000_000),)), 400, prompt=400)

    assert lease.holds.room is None


def test_a_new_period_brings_a_new_budget_in_the_keys_own_zone(
    limiter: Limiter, clock: FakeClock
) -> None:
    mine = replace(key(budgets=(Budget("requests", "day", 2),)), zone="Asia/Shanghai")
    before = admitted(limiter, mine, 5)
    clock.at = datetime(2030, 5, 15, 15, 59, 59, tzinfo=UTC)
    still = admitted(limiter, mine, 5)
    clock.at = datetime(2030, 5, 15, 16, 0, 0, tzinfo=UTC)

    assert (before, still, admitted(limiter, mine, 5)) == (2, 0, 2)


def test_a_rotated_key_goes_on_with_the_same_budget(limiter: Limiter) -> None:
    old = key(1, budgets=(Budget("requests", "total", 4),))
    new = replace(old, id=2, lineage_id=1, rotated_from=1)

    assert admitted(limiter, old, 3) + admitted(limiter, new, 3) == 4


def test_idle_leases_go_back(limiter: Limiter, any_store: Store, clock: FakeClock) -> None:
    mine = key(budgets=(Budget("requests", "day", 5000),))
    limiter.admit(mine, 1).settle(1)
    held = any_store.read(lambda s: s.scalars(select(KeyCounterRow.reserved)).one())
    clock.tick(2)
    limiter.return_idle()
    left = any_store.read(lambda s: s.scalars(select(KeyCounterRow.reserved)).one())

    assert held > 1
    assert left == 1  # the spent one, until the writer has counted it


def test_leases_may_be_spent_while_the_store_is_away(
    limiter: Limiter, any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = key(budgets=(Budget("requests", "day", 5000),))
    limiter.admit(mine, 1).settle(1)

    def away(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(any_store, "write_fast", away)
    spent = 0
    with contextlib.suppress(StoreUnavailable):
        for spent in range(1000):  # noqa: B007 - how far it came is the result
            limiter.admit(mine, 1).settle(1)

    assert 1 <= spent <= 50
    with pytest.raises(StoreUnavailable):
        limiter.admit(mine, 1)


_HAMMER = """
import os, sys
url = sys.argv[1]
gate, opened = os.pipe()
for _ in range(8):
    if os.fork():
        continue
    from gevent import monkey
    monkey.patch_all()
    from gateway.schemas.key import Budget, Key
    from gateway.errors import RateLimited
    from gateway.limits.limiter import Limiter
    from gateway.runtime.database import Store, StoreUnavailable
    from gateway.store.database.engine import Database
    key = Key(id=1, name="k", prefix="sk", budgets=(Budget("requests", "total", 400),))
    limiter = Limiter(Store(Database.open(url)))
    os.close(opened)
    os.read(gate, 1)
    count = refused = 0
    while refused < 3:
        try:
            limiter.admit(key, 1).settle(1)
            count += 1
        except RateLimited:
            refused += 1
        except StoreUnavailable:
            continue  # SQLite's lock was not had in time: nothing was taken, the call comes again
    os.write(1, f"{count}\\n".encode())
    os._exit(0)
os.close(opened)
for _ in range(8):
    os.wait()
"""


def hammer(url: str) -> list[int]:
    """Let eight processes ask for as much as they get; give what each was granted."""
    done = subprocess.run(
        [sys.executable, "-c", _HAMMER, url],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return [int(line) for line in done.stdout.split()]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROUNDS = range(times(1, 15))


@pytest.mark.process
@pytest.mark.parametrize("round_", ROUNDS)
def test_eight_processes_share_a_budget_exactly(
    any_url: str, any_store: Store, round_: int
) -> None:
    granted = hammer(any_url)

    assert len(granted) == 8
    assert sum(granted) == 400, granted
    row = any_store.read(lambda s: s.scalars(select(KeyCounterRow)).one())
    assert row.reserved == 400


def test_keys_that_are_not_used_are_forgotten(local: Limiter, clock: FakeClock) -> None:
    for number in range(5000):
        local.admit(key(number, requests_per_minute=1), 1).settle(1)
    running = local.admit(key(6000, concurrent=1), 1)
    clock.tick(240)
    local.return_idle()

    with pytest.raises(RateLimited):
        local.admit(key(6000, concurrent=1), 1)
    running.settle(0, counted=False)
    assert len(local._windows._counts) == 1  # type: ignore[attr-defined]


def test_settling_never_waits_for_the_database(limiter: Limiter, any_store: Store) -> None:
    """A call may settle while another of the same budget asks the database for more."""
    mine = key(budgets=(Budget("requests", "total", 100),))
    lease = limiter.admit(mine, 1)
    asked, answered = tasks.Event(), tasks.Event()
    write_fast = any_store.write_fast

    def slowly(*args: Any, **more: Any) -> Any:
        asked.set()
        answered.wait()
        return write_fast(*args, **more)

    any_store.write_fast = slowly  # type: ignore[method-assign]
    other = tasks.spawn(limiter.admit, key(2, budgets=mine.budgets), 1)
    asked.wait()
    account = limiter._budgets._accounts[2, "requests", "total", EPOCH]
    is_leasing = account.leasing.locked()
    lease.settle(1)
    is_settled = not other.ended
    answered.set()
    other.wait(None)

    assert (is_leasing, is_settled) == (True, True)
    other.result().settle(0, counted=False)


def test_leases_of_a_killed_worker_go_back(any_store: Store) -> None:
    Keys(any_store, ChangeVersions(any_store)).issue({"name": "k"}, SYSTEM)
    name = (1, "requests", "total", datetime(1970, 1, 1, tzinfo=UTC))
    units, free, _ = any_store.write(
        counters.lease, name, worker="gone:1", want=60, least=1, limit=100
    )
    none, _, elsewhere = any_store.write(
        counters.lease, name, worker="here:1", want=50, least=50, limit=100
    )
    released = any_store.write(counters.release_worker, "gone:1")
    again, _, _ = any_store.write(
        counters.lease, name, worker="here:1", want=100, least=100, limit=100
    )

    assert (units, free, none, elsewhere, released, again) == (60, 40, 0, 60, 1, 100)
    assert any_store.read(lambda s: [row.worker for row in s.scalars(select(CounterLeaseRow))]) == [
        "here:1"
    ]


@pytest.fixture
def redis() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


@pytest.mark.services
def test_two_machines_share_limits_on_redis(store: Store, redis: Redis, clock: FakeClock) -> None:
    counts = [SharedCounts(redis.url) for _ in range(2)]
    machines = [Limiter(store, one) for one in counts]
    mine = key(requests_per_minute=20)
    granted = [admitted(machine, mine, 15) for machine in machines]
    at_once = key(2, concurrent=2)
    leases = [machines[0].admit(at_once, 1), machines[1].admit(at_once, 1)]
    with pytest.raises(RateLimited) as caught:
        machines[0].admit(at_once, 1)
    leases[0].settle(0, counted=False)
    assert counts[0].flush(10)
    third = machines[1].admit(at_once, 1)
    tokens = key(3, tokens_per_minute=1000)
    machines[0].admit(tokens, 10).settle(5000)
    assert counts[0].flush(10)
    with pytest.raises(RateLimited) as tired:
        machines[1].admit(tokens, 10)
    for one in counts:
        one.stop()

    assert granted == [15, 5]
    assert caught.value.code == "concurrency_limit_exceeded"
    assert third is not None
    assert tired.value.type == "tokens"
    assert tired.value.headers["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.services
def test_without_redis_limits_hold_locally_at_once_and_it_is_shown(
    store: Store, redis: Redis
) -> None:
    counts = SharedCounts(redis.url)
    limiter = Limiter(store, counts)
    mine = key(requests_per_minute=10)
    lease = limiter.admit(mine, 1)
    redis.stop(signal.SIGKILL)
    granted = admitted(limiter, mine, 30)
    lease.settle(10)
    state = limiter.state()
    counts.stop()

    assert granted == 10
    assert state["degraded"] is True
    assert state["failures"] == 1


@pytest.mark.services
def test_a_frozen_redis_delays_one_call_only(store: Store, redis: Redis) -> None:
    counts = SharedCounts(redis.url)
    limiter = Limiter(store, counts)
    limiter.admit(key(requests_per_minute=10), 1)
    redis.send(signal.SIGSTOP)
    granted = admitted(limiter, key(requests_per_minute=1000), 500)
    state = limiter.state()
    redis.send(signal.SIGCONT)
    counts.stop()

    assert granted == 500
    assert (state["degraded"], state["failures"]) == (True, 1)


def test_looking_at_what_is_left_takes_nothing(local: Limiter) -> None:
    mine = key(requests_per_minute=5, tokens_per_minute=100)
    local.admit(mine, 10).settle(30)

    seen = [local.left(mine, "openai") for _ in range(20)]

    assert {headers["x-ratelimit-remaining-requests"] for headers in seen} == {"4"}
    assert {headers["x-ratelimit-remaining-tokens"] for headers in seen} == {"70"}
    assert local.left(key(2), "openai") == {}


@pytest.mark.services
def test_looking_works_with_redis_and_without(store: Store, redis: Redis) -> None:
    counts = SharedCounts(redis.url)
    limiter = Limiter(store, counts)
    mine = key(requests_per_minute=5)
    limiter.admit(mine, 1).settle(1)
    with_redis = [limiter.left(mine, "openai")["x-ratelimit-remaining-requests"] for _ in "ab"]
    redis.stop(signal.SIGKILL)
    without = limiter.left(mine, "openai")["x-ratelimit-remaining-requests"]
    counts.stop()

    assert (with_redis, without) == (["4", "4"], "5")


def test_a_locked_database_is_waited_for_once_and_then_not_at_all(
    store: Store, url: str, clock: FakeClock
) -> None:
    """Another program holds SQLite's lock: calls of keys with budgets must not queue up behind it,
    each with a thread of its own (P10)."""
    soon = Store(store.database, clock.seconds)
    limiter = Limiter(soon, worker="here:1", now=clock.now, clock=clock.seconds)
    mine = key(budgets=(Budget("requests", "total", 3),))
    asked: list[str] = []
    event.listen(
        store.database.engine, "before_cursor_execute", lambda c, cur, sql, *_: asked.append(sql)
    )
    holder = sqlite3.connect(make_url(url).database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    refused = []
    for _ in range(20):
        with pytest.raises(StoreUnavailable) as caught:
            limiter.admit(mine, 1)
        refused.append(caught.value.status)
    tries = asked.count("BEGIN IMMEDIATE")
    holder.execute("ROLLBACK")
    holder.close()
    clock.tick(PAUSE_S)
    limiter.admit(mine, 1).settle(1)

    assert refused == [503] * 20
    assert tries == 1
