"""What an active call guarantees, whatever order its ends come in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.calls.active_call import ActiveCall
from gateway.calls.produce import produce
from gateway.core.events import Finish, Usage, fold
from gateway.core.usage import Settlement
from gateway.errors import ClientGone, GatewayError, RateLimited, UpstreamUnreachable
from gateway.policy.estimate import START
from gateway.runtime import tasks
from gateway.runtime.tasks import Task
from tests.api.apps import application
from tests.calls.bench import Bench, read, start
from tests.calls.maze import MODELS, Maze
from tests.calls.places import is_inside, place_of, until

GONE = ClientGone("gone")
OVER = GatewayError("over", code="cancelled")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    maze = Maze(*MODELS)
    with application(tmp_path, maze) as app:
        yield Bench(app.services, concurrent=2)
        monitor = app.services.calls.monitor
        for task in (monitor._task, monitor.loop):
            if task is not None:
                task.interrupt("the tests are over")
                assert task.wait(10)
    maze.close()


class Reader:
    """A call, and the greenlet that reads it."""

    def __init__(self, bench: Bench, model: str, **more: Any) -> None:
        self._bench = bench
        self._prepared = bench.chat(model, **more)
        self.active: ActiveCall
        self.task: Task[None] = tasks.spawn(self._run)
        until(lambda: hasattr(self, "active"), "the call to be admitted")

    def _run(self) -> None:
        active = self._bench.call(self._prepared)
        with active:
            self.active = active
            start(active)
            read(active)

    def wait_at(self, place: str) -> Reader:
        """Wait until a producer waits at a place."""
        until(lambda: any(place_of(task) == place for task in self.active.tasks), place)
        return self

    def settlement(self) -> Settlement:
        """Wait for the end; give the only record."""
        assert self.task.wait(10)
        request_id = self.active.caller.request_id
        (found,) = [one for one in self._bench.records.settled if one.request_id == request_id]
        return found


def is_free(bench: Bench) -> bool:
    """Whether nothing is held any more."""
    parts, services = bench.parts, bench.services
    return not (len(parts.registry) + len(parts.monitor) + len(services.scheduler.in_flight()))


@pytest.mark.parametrize(
    ("reason", "finish", "status"),
    [(GONE, "client_closed", 499), (OVER, "cancelled", 500)],
    ids=["gone", "cancelled"],
)
def test_a_cancelled_call_is_recorded_once_with_its_reason(
    bench: Bench, reason: GatewayError, finish: str, status: int
) -> None:
    call = Reader(bench, "silent").wait_at("head")

    call.active.cancel(reason)
    call.active.cancel(GatewayError("too late"))
    call.active.close()

    settlement = call.settlement()
    assert (settlement.finish, settlement.status) == (finish, status)
    assert is_free(bench)


def test_a_call_that_is_cancelled_before_its_producers_start_asks_nobody(bench: Bench) -> None:
    with bench.call(bench.chat("silent")) as active:
        active.cancel(OVER)
        start(active)
        (task,) = active.tasks

        assert task.wait(10)
        assert active.stats.upstream_calls == 0
        with pytest.raises(GatewayError) as caught:
            read(active)

    assert caught.value is OVER
    assert is_free(bench)


def test_a_client_that_leaves_after_one_of_two_answers_is_recorded_as_gone(bench: Bench) -> None:
    with bench.call(bench.chat("silent", n=2, stream=True)) as active:
        start(active)
        active.put(0, [Finish("stop")])
        active.cancel(GONE)
        with pytest.raises(ClientGone):  # the stream ends without a word: nobody listens
            read(active)

    assert bench.records.settled[-1].finish == "client_closed"
    assert is_free(bench)


@pytest.mark.parametrize(("concurrent", "most"), [(1, 1), (3, 3), (0, 8)])
def test_choices_run_as_many_at_once_as_the_key_may(
    bench: Bench, concurrent: int, most: int
) -> None:
    prepared = bench.chat("quick", n=8)
    prepared = replace(prepared, key=replace(prepared.key, concurrent=concurrent))
    running: list[int] = []
    seen: list[int] = []

    def work(choice: int) -> None:
        running.append(choice)
        seen.append(len(running))
        tasks.pause()
        produce(active, choice)
        running.remove(choice)

    with bench.call(prepared) as active:
        active.start(work, 8)
        replies = fold(active.batches(), 8)

    assert max(seen) == most
    assert [reply.finish.reason for reply in replies] == ["stop"] * 8
    assert is_free(bench)


def test_a_cancel_after_the_end_changes_nothing(bench: Bench) -> None:
    with bench.call(bench.chat("quick", stream=True)) as active:
        start(active)
        until(lambda: active.channel.ended, "the end")
        active.cancel(GONE)

        read(active)

    assert bench.records.settled[-1].finish == "stop"
    assert is_free(bench)


def test_who_reacts_to_the_end_finds_everything_given_back(bench: Bench) -> None:
    with bench.call(bench.chat("quick", stream=True)) as active:
        start(active)
        batches = active.first()
        while batches is not None and not isinstance(batches[-1][1][-1], Finish):
            batches = active.channel.get()

        assert batches is not None
        assert bench.services.scheduler.in_flight() == {}
        leases = [bench.services.limiter.admit(bench.key, 1) for _ in range(2)]
        for lease in leases:
            lease.settle(0, counted=False)


def test_what_a_call_held_is_given_back_though_it_is_cancelled_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tasks.Event()
    limiter = bench.services.limiter
    leave = limiter._windows.leave

    def slowly(*given: Any) -> None:
        go.wait()
        leave(*given)

    call = Reader(bench, "quick", stream=True)
    monkeypatch.setattr(limiter._windows, "leave", slowly)
    (task,) = call.active.tasks
    until(lambda: is_inside(task, "slowly"), "the lease to be given back")

    call.active.cancel(OVER)
    task.kick()
    go.set()

    assert task.wait(10)
    assert call.task.wait(10)
    leases = [limiter.admit(bench.key, 1) for _ in range(2)]
    for lease in leases:
        lease.settle(0, counted=False)


def test_a_call_whose_consumer_is_killed_while_it_ends_is_settled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tasks.Event()

    def shielded(*_: object) -> None:
        with tasks.shield():
            go.wait()

    call = Reader(bench, "silent").wait_at("head")
    monkeypatch.setattr(ActiveCall, "_produce", shielded)
    second = Reader(bench, "silent")
    until(lambda: is_inside(second.active.tasks[0], "shielded"), "the shield")

    second.task.interrupt("killed")
    until(lambda: is_inside(second.task, "close"), "the end to wait for the producer")
    second.task.kick()

    assert second.settlement().finish == "client_closed"
    go.set()
    assert second.active.tasks[0].wait(10)
    call.active.cancel(OVER)
    assert call.settlement().finish == "cancelled"


def test_a_call_is_recorded_though_its_consumer_is_killed_while_it_gives_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def for_ever(*_: Any) -> None:
        tasks.Event().wait()

    call = Reader(bench, "silent").wait_at("head")
    monkeypatch.setattr(bench.services.limiter._windows, "leave", for_ever)
    call.active.cancel(OVER)
    until(lambda: is_inside(call.task, "for_ever"), "the lease to be given back")

    call.task.interrupt("killed")

    assert call.settlement().finish == "cancelled"


def test_a_call_that_is_not_admitted_holds_nothing(bench: Bench) -> None:
    leases = [bench.services.limiter.admit(bench.key, 1) for _ in range(2)]

    with pytest.raises(RateLimited):
        bench.call(bench.chat("quick")).__enter__()

    settlement = bench.records.settled[-1]
    assert (settlement.status, settlement.error_code) == (429, "concurrency_limit_exceeded")
    assert is_free(bench)
    for lease in leases:
        lease.settle(0, counted=False)


def test_an_aborted_attempt_is_told_when_no_other_server_is_left(bench: Bench) -> None:
    call = Reader(bench, "silent").wait_at("head")
    (attempt,) = call.active.attempts

    attempt.abort(UpstreamUnreachable("The server was found dead."))

    settlement = call.settlement()
    assert (settlement.error_code, settlement.upstream_calls) == ("upstream_unreachable", 1)
    assert is_free(bench)


def test_a_fault_of_ours_ends_the_call_without_its_frames(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: int) -> None:
        raise ValueError("broken")

    with bench.call(bench.chat("quick")) as active:
        active.start(broken)
        with pytest.raises(GatewayError, match="The gateway failed on this request"):
            read(active)
        reason = active.reason

    assert reason is not None
    assert (reason.__cause__, reason.__context__) == (None, None)
    assert "a call failed in the gateway" in caplog.text
    assert is_free(bench)


@pytest.mark.parametrize(
    ("seen", "usage", "learns"),
    [
        ({}, {}, True),
        ({"upstream_calls": 2}, {}, False),
        ({}, {"estimated": True}, False),
        ({"window": 128}, {"prompt_tokens": 66}, False),
        ({"window": 8_192}, {"prompt_tokens": 66}, True),
    ],
    ids=["counted", "a sum of passes", "not counted", "cut", "not cut"],
)
def test_estimates_learn_what_a_prompt_took(
    bench: Bench, seen: dict[str, int], usage: dict[str, Any], learns: bool
) -> None:
    prepared = bench.chat("quick", "low tide at six " * 50)
    with bench.call(prepared) as active:
        for name, value in {"finish": "stop", "upstream_calls": 1, **seen}.items():
            setattr(active.stats, name, value)
        active.stats.usage = Usage(**{"prompt_tokens": 300, "cached_tokens": 50, **usage})

    factors = bench.parts.factors.of(prepared.model.name)
    assert (factors != START) is learns
