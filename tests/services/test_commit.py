"""When the head of a stream goes out: what is made before, and how long it may wait (D33)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import pytest

from gateway.calls import relay
from gateway.calls.prepare import Prepared
from gateway.calls.stats import Tally
from gateway.core.behaviour import Behaviour
from gateway.core.chat import Call
from gateway.core.events import Batch, Finish, Ping, TextDelta
from gateway.core.keys import Key
from gateway.errors import ClientGone
from tests.policy.values import chat
from tests.services.fleets import Seconds
from tests.services.test_usage_writer import admission


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    clock = Seconds()
    monkeypatch.setattr(relay.time, "monotonic", clock)
    return clock


def answer(choices: int = 1, commit_ms: int = 10_000) -> relay.Answer:
    """Return an answer that must begin within ten seconds, with a comment every fifteen."""
    request = chat(n=choices)
    key = Key(id=1, name="k", prefix="sk-o2a-xx")
    prepared = Prepared(Call(request), key, cast(Any, None), request)
    behaviour = replace(Behaviour(), stream_commit_ms=commit_ms, sse_comment_interval_s=15)
    return relay.Answer(prepared, Tally(admission()), cast(Any, None), behaviour, lambda *_: None)


@pytest.mark.parametrize("first_s", [0.0, 10.0], ids=["sent at once", "sent late"])
def test_a_silent_model_holds_the_head_for_the_time_allowed(
    clock: Seconds, monkeypatch: pytest.MonkeyPatch, first_s: float
) -> None:
    waiting = answer()

    def silent(choice: int) -> Iterator[Batch]:
        clock.tick(first_s)
        while True:
            yield choice, relay.TICK
            clock.tick(waiting._tick_s)

    monkeypatch.setattr(waiting, "_one", silent)
    began_s = clock()
    waiting.begin()

    assert clock() - began_s == pytest.approx(10)
    assert not waiting.has_begun


@pytest.mark.parametrize("choices", [1, 2])
def test_sending_waits_for_no_answer(monkeypatch: pytest.MonkeyPatch, choices: int) -> None:
    asked: list[int] = []
    sending = answer(choices)

    def one(choice: int) -> Iterator[Batch]:
        yield choice, relay.TICK
        asked.append(choice)
        yield choice, (TextDelta("Hi"),)
        yield choice, (Finish("stop"),)

    monkeypatch.setattr(sending, "_one", one)
    sending.send()
    assert not sending.has_begun
    sending.begin()

    assert sending.has_begun
    assert set(asked) <= set(range(choices))


@pytest.mark.parametrize("commit_ms", [10_000, 2_500, 100])
def test_comments_come_on_time_however_long_the_head_waited(
    clock: Seconds, monkeypatch: pytest.MonkeyPatch, commit_ms: int
) -> None:
    """The wait for Ollama's head was begun before ours went out, and keeps its rhythm."""
    waiting = answer(commit_ms=commit_ms)

    def silent(choice: int) -> Iterator[Batch]:
        rhythm_s = waiting._tick_s
        while True:
            clock.tick(rhythm_s)
            yield choice, relay.TICK

    monkeypatch.setattr(waiting, "_one", silent)
    waiting.begin()
    times_s = [clock()]
    for _, events in waiting.batches():
        assert isinstance(events[0], Ping)
        times_s.append(clock())
        if len(times_s) == 5:
            break

    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
    assert all(14 <= gap_s < 15.01 for gap_s in gaps_s), gaps_s


def test_a_comment_counts_from_the_last_text(
    clock: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = answer()

    def halting(choice: int) -> Iterator[Batch]:
        yield choice, (TextDelta("One"),)
        clock.tick(7)
        yield choice, (TextDelta("two"),)
        while True:
            clock.tick(waiting._tick_s)
            yield choice, relay.TICK

    monkeypatch.setattr(waiting, "_one", halting)
    waiting.begin()
    began_s = clock()
    ping_s = next(clock() for _, events in waiting.batches() if isinstance(events[0], Ping))

    assert 7 + 14 <= ping_s - began_s < 7 + 15.01


def test_a_pause_between_tries_keeps_the_caller_alive_and_ends_with_the_call(
    clock: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.time, "sleep", clock.tick)
    waiting = answer()
    began_s = clock()

    ticks = list(waiting._rest(2.5))
    lasted_s = clock() - began_s
    rest = waiting._rest(60)
    next(rest)
    waiting.cancel(ClientGone("gone"))

    assert (ticks, lasted_s) == ([relay.TICK] * 3, 2.5)
    assert list(rest) == []
