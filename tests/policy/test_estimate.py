"""Tokens before anybody has counted."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from gateway.core.chat import CompletionRequest, EmbedRequest, Media, Message, Tool, ToolCall
from gateway.errors import InvalidRequest
from gateway.policy import estimate
from gateway.policy.estimate import START, Size, units
from tests.policy.values import chat

IMAGE = Media("image", "x" * 9999)
TEN = "x" * 98  # one word of 98 letters: ten tokens
SIZES: list[tuple[str, Any, int, int, int]] = [
    ("chat", chat(Message("system", TEN), Message("user", TEN)), 20, 2, 0),
    ("thinking", chat(Message("assistant", TEN, thinking=TEN)), 20, 1, 0),
    ("image", chat(Message("user", TEN, media=(IMAGE, IMAGE))), 10, 1, 2),
    ("call", chat(Message("assistant", tool_calls=(ToolCall("id", TEN, {TEN: 1}),))), 24, 1, 0),
    ("read-only call", chat(Message("assistant", tool_calls=(
        ToolCall("id", TEN, MappingProxyType({TEN: MappingProxyType({})})),))), 22, 1, 0),
    ("result", chat(Message("tool", TEN, tool_name=TEN)), 20, 1, 0),
    ("tools", chat(Message("user"), tools=[Tool(TEN, TEN, {TEN: TEN})]), 42, 1, 0),
    ("big number", chat(Message("assistant", tool_calls=(ToolCall("", TEN, {"a": 2**70}),))),
     30, 1, 0),
    ("no JSON", chat(Message("user"), tools=[Tool(TEN, "", {"x": object()})]), 15, 1, 0),
    ("completion", CompletionRequest("m", (TEN, TEN), suffix=TEN, system=TEN, media=(IMAGE,)),
     40, 0, 1),
    ("embedding", EmbedRequest("m", (TEN, TEN)), 20, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "tokens", "messages", "images"), [s[1:] for s in SIZES], ids=[s[0] for s in SIZES]
)
def test_everything_a_prompt_consists_of_is_measured(
    request_: Any, tokens: int, messages: int, images: int
) -> None:
    found = estimate.size(request_)

    assert (found.messages, found.images) == (messages, images)
    assert tokens <= sum(found.units) < tokens + 20


def test_more_text_than_any_model_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "MAX_CHARS", 100)

    with pytest.raises(InvalidRequest, match="at most 100 characters"):
        estimate.size(EmbedRequest("m", ("x" * 60, "x" * 60)))


def test_the_estimate_follows_the_formula() -> None:
    prompt = Size(units("x" * 200), 2, 1)
    assert sum(prompt.units) == pytest.approx(0.6 + 200 * 0.096)

    assert prompt.tokens() == 20 + 4 + 2 * 4 + 768
    assert Size(units("x" * 200)).tokens((2.0,) * len(START)) == 40 + 4
    assert Size(messages=1).tokens() == 8
    assert Size().tokens() == 0


def test_tokens_that_are_given_are_counted_as_they_are() -> None:
    continued = estimate.size(CompletionRequest("m", (TEN,), context=tuple(range(5_000))))

    assert continued.tokens((2.0,) * len(START)) > 5_000
    assert continued.tokens() - estimate.size(CompletionRequest("m", (TEN,))).tokens() == 5_000
