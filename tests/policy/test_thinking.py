"""Wishes to think, made to fit."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.catalog import Model
from gateway.core.chat import Message, Params, ToolCall
from gateway.policy.emulation import thinking
from tests.policy.values import chat, model

THINKER = model("qwen3:8b", capabilities="completion thinking")
PLAIN = model("llama3.2:latest", capabilities="completion")
UNKNOWN = model("new:1")
GPT_OSS = model("gpt-oss:20b", capabilities="completion thinking")

ADAPTED: list[tuple[Model, Any, str, Any]] = [
    (THINKER, True, "", True),
    (THINKER, "max", "", "max"),
    (THINKER, None, "", None),
    (THINKER, False, "minimal", False),
    (GPT_OSS, False, "minimal", "low"),
    (GPT_OSS, False, "none", False),
    (PLAIN, True, "", None),
    (PLAIN, "low", "low", None),
    (PLAIN, False, "", False),
    (PLAIN, None, "", None),
    (UNKNOWN, "high", "high", "high"),
]


@pytest.mark.parametrize(("of", "think", "effort", "wanted"), ADAPTED)
def test_a_wish_is_made_to_fit_the_model(of: Model, think: Any, effort: str, wanted: Any) -> None:
    assert thinking.adapt(Params(think=think, effort=effort), of).think is wanted


@pytest.mark.parametrize(
    ("of", "think", "may"),
    [
        (THINKER, None, True),
        (THINKER, False, False),
        (THINKER, "low", True),
        (PLAIN, None, False),
        (UNKNOWN, None, True),
        (UNKNOWN, False, False),
        (GPT_OSS, False, True),
    ],
)
def test_it_is_known_whether_thinking_may_come(of: Model, think: Any, may: bool) -> None:
    assert thinking.may_think(Params(think=think), of) is may


@pytest.mark.parametrize(
    ("think", "steps"),
    [
        ("max", ["high", True, None]),
        ("high", [True, None]),
        ("medium", [True, None]),
        ("low", [True, None]),
        (True, [None]),
        (False, []),
        (None, []),
    ],
)
def test_the_ladder_goes_down_step_by_step(think: Any, steps: list[Any]) -> None:
    assert list(thinking.weaker(think)) == steps


A, U = Message("assistant", "one", thinking="t"), Message("user", "q")
CALLING = Message("assistant", "", tool_calls=(ToolCall("1", "f", {}),))


def test_a_turn_to_continue_is_continued_without_thinking() -> None:
    assert thinking.settle_prefill(chat(U, A), False).params.think is False


def test_a_wish_to_think_beats_the_prefill() -> None:
    settled = thinking.settle_prefill(chat(U, A, think="low"), True)

    assert settled.messages == (U, A)
    assert settled.params.think == "low"


@pytest.mark.parametrize("messages", [(U,), (A, U), (U, CALLING), (U, A, CALLING)])
def test_other_endings_stay_as_they_are(messages: tuple[Message, ...]) -> None:
    request = chat(*messages, think=True)

    assert thinking.settle_prefill(request, False) is request


def test_an_empty_conversation_stays_as_it_is() -> None:
    from dataclasses import replace

    request = replace(chat(), messages=())

    assert thinking.settle_prefill(request, False) is request


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_worked_is_remembered_for_an_hour() -> None:
    clock = Clock()
    memory = thinking.Memory(clock)
    memory.note("m:1", "max", True)

    assert memory.best("m:1", "max") is True
    assert memory.best("m:1", "high") == "high"
    assert memory.best("other:1", "max") == "max"
    clock.now = 3_599
    assert memory.best("m:1", "max") is True
    clock.now = 3_601
    assert memory.best("m:1", "max") == "max"


@pytest.mark.parametrize("wish", [None, False])
def test_nothing_wanted_needs_no_memory(wish: Any) -> None:
    memory = thinking.Memory()
    memory.note("m:1", True, None)

    assert memory.best("m:1", wish) is wish


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinking, "_MAX_KNOWN", 3)
    memory = thinking.Memory()
    for number in range(10):
        memory.note(f"m{number}:1", True, None)

    assert memory.best("m9:1", True) is None
    assert len(memory._known) <= 3
