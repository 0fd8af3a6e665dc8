"""When the head of a stream goes out: what is made before, and how long it may wait (D33)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.core.behaviour import Behaviour
from gateway.core.chat import Call
from gateway.core.events import Batch, Finish, TextDelta
from gateway.core.keys import Key
from gateway.services import relay
from gateway.services.prepare import Prepared
from gateway.services.tally import Tally
from tests.policy.values import chat
from tests.services.fleets import Seconds
from tests.services.test_usage_writer import admission


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    clock = Seconds()
    monkeypatch.setattr(relay.time, "monotonic", clock)
    return clock


def answer(choices: int = 1) -> relay.Answer:
    """Give an answer that must begin within ten seconds, looked after every fifteen."""
    request = chat(n=choices)
    key = Key(id=1, name="k", prefix="sk-o2a-xx")
    prepared = Prepared(Call(request), key, cast(Any, None), request)
    behaviour = replace(Behaviour(), stream_commit_ms=10_000, sse_comment_interval_s=15)
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
