"""Tokens before anybody has counted."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from gateway.core.chat import CompletionRequest, Media, Message, Tool, ToolCall
from gateway.core.embed import EmbedRequest
from gateway.policy import estimate
from gateway.policy.estimate import Ratios, Size
from tests.policy.values import chat

IMAGE = Media("image", "x" * 9999)
SIZES: list[tuple[str, Any, Size]] = [
    ("chat", chat(Message("system", "abc"), Message("user", "de")), Size(5, 2)),
    ("thinking", chat(Message("assistant", "a", thinking="bcd")), Size(4, 1)),
    ("image", chat(Message("user", "a", media=(IMAGE, IMAGE))), Size(1, 1, 2)),
    ("call", chat(Message("assistant", tool_calls=(ToolCall("id", "fn", {"a": 1}),))), Size(9, 1)),
    ("read-only call", chat(Message("assistant", tool_calls=(
        ToolCall("id", "fn", MappingProxyType({"a": MappingProxyType({})})),))), Size(10, 1)),
    ("result", chat(Message("tool", "ok", tool_name="fn")), Size(4, 1)),
    ("tools", chat(Message("user", "a"), tools=[Tool("fn", "does", {"type": "x"})]), Size(19, 1)),
    ("big number", chat(Message("assistant", tool_calls=(ToolCall("", "f", {"a": 2**70}),))),
     Size(1 + len(str({"a": 2**70})), 1)),
    ("completion", CompletionRequest("m", ("ab", "c"), suffix="de", system="f", media=(IMAGE,)),
     Size(6, 0, 1)),
    ("embedding", EmbedRequest("m", ("ab", "c")), Size(3)),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "size"), [s[1:] for s in SIZES], ids=[s[0] for s in SIZES])
def test_everything_a_prompt_consists_of_is_measured(request_: Any, size: Size) -> None:
    assert estimate.size(request_) == size
    assert estimate.tokens(request_, 2.0) == size.tokens(2.0)


def test_the_estimate_follows_the_formula() -> None:
    assert Size(35, 2, 1).tokens() == 10 + 2 * 4 + 768
    assert Size(36, 0, 0).tokens() == 11
    assert Size(100).tokens(8.0) == 13
    assert Size().tokens() == 0


def test_images_make_a_count_useless_for_learning() -> None:
    assert estimate.size(chat(Message("user", "abc"))).countable == 3
    assert estimate.size(chat(Message("user", "abc", media=(IMAGE,)))).countable == 0


def test_the_ratio_is_learned_slowly() -> None:
    ratios = Ratios()
    assert ratios.of("m:1") == 3.5

    ratios.learn("m:1", 400, 100)
    assert ratios.of("m:1") == 4.0
    ratios.learn("m:1", 200, 100)

    assert ratios.of("m:1") == pytest.approx(3.6)
    assert ratios.of("other:1") == 3.5


@pytest.mark.parametrize(
    ("characters", "tokens"), [(0, 100), (149, 100), (801, 100), (100, 31), (100, 0), (-5, 100)]
)
def test_an_implausible_count_is_not_believed(characters: int, tokens: int) -> None:
    ratios = Ratios()

    ratios.learn("m:1", characters, tokens)

    assert ratios.of("m:1") == 3.5


def test_the_ratios_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_MAX_MODELS", 3)
    ratios = Ratios()
    for number in range(10):
        ratios.learn(f"m{number}:1", 400, 100)

    assert ratios.of("m9:1") == 4.0
    assert len(ratios._ratios) <= 3


def test_what_is_no_mapping_is_measured_as_text() -> None:
    tool = Tool("f", "", {"x": object()})

    assert estimate.size(chat(Message("user", ""), tools=[tool])).characters > 10
