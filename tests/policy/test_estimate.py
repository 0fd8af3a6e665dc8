"""Tokens before anybody has counted."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from gateway.core.chat import CompletionRequest, EmbedRequest, Media, Message, Tool, ToolCall
from gateway.policy import estimate
from gateway.policy.estimate import Factors, Size, units
from tests.policy.values import chat

IMAGE = Media("image", "x" * 9999)
FIVE = "x" * 52  # ten tokens of Latin letters
SIZES: list[tuple[str, Any, int, int, int]] = [
    ("chat", chat(Message("system", FIVE), Message("user", FIVE)), 20, 2, 0),
    ("thinking", chat(Message("assistant", FIVE, thinking=FIVE)), 20, 1, 0),
    ("image", chat(Message("user", FIVE, media=(IMAGE, IMAGE))), 10, 1, 2),
    ("call", chat(Message("assistant", tool_calls=(ToolCall("id", FIVE, {FIVE: 1}),))), 24, 1, 0),
    ("read-only call", chat(Message("assistant", tool_calls=(
        ToolCall("id", FIVE, MappingProxyType({FIVE: MappingProxyType({})})),))), 24, 1, 0),
    ("result", chat(Message("tool", FIVE, tool_name=FIVE)), 20, 1, 0),
    ("tools", chat(Message("user"), tools=[Tool(FIVE, FIVE, {FIVE: FIVE})]), 44, 1, 0),
    ("big number", chat(Message("assistant", tool_calls=(ToolCall("", FIVE, {"a": 2**70}),))),
     35, 1, 0),
    ("no JSON", chat(Message("user"), tools=[Tool(FIVE, "", {"x": object()})]), 20, 1, 0),
    ("completion", CompletionRequest("m", (FIVE, FIVE), suffix=FIVE, system=FIVE, media=(IMAGE,)),
     40, 0, 1),
    ("embedding", EmbedRequest("m", (FIVE, FIVE)), 20, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "units_", "messages", "images"), [s[1:] for s in SIZES], ids=[s[0] for s in SIZES]
)
def test_everything_a_prompt_consists_of_is_measured(
    request_: Any, units_: int, messages: int, images: int
) -> None:
    found = estimate.size(request_)

    assert (found.messages, found.images) == (messages, images)
    assert units_ <= found.units < units_ + 20


KINDS = {
    "Latin": ("x" * 52, 10.0),
    "accents": ("é" * 52, 10.0),
    "white space": (" \n\t", 0.0),
    "wide space": ("\u3000", 0.0),
    "digits": ("1234567890", 10.0),
    "punctuation": ('{"[,:]}', 7 * 0.65),
    "Han": ("低潮在六点", 5 * 0.85),
    "kana": ("みずうみ", 4 * 0.75),
    "Cyrillic": ("я" * 32, 10.0),
    "emoji": ("🌊🌊", 2.0),
    "mixed": ("x" * 52 + "低潮" + "12", 10 + 2 * 0.85 + 2),
    "nothing": ("", 0.0),
}


@pytest.mark.parametrize(("text", "expected"), KINDS.values(), ids=KINDS)
def test_characters_weigh_by_their_kind(text: str, expected: float) -> None:
    assert units(text) == pytest.approx(expected)


def test_the_estimate_follows_the_formula() -> None:
    assert Size(35.0, 2, 1).tokens() == 35 + 4 + 2 * 4 + 768
    assert Size(35.2, 0, 0).tokens() == 36 + 4
    assert Size(100.0).tokens(2.0) == 204
    assert Size().tokens() == 0


def test_images_make_a_count_useless_for_learning() -> None:
    assert estimate.size(chat(Message("user", FIVE))).countable == pytest.approx(10)
    assert estimate.size(chat(Message("user", FIVE, media=(IMAGE,)))).countable == 0


def test_the_factor_is_learned_slowly() -> None:
    factors = Factors()
    assert factors.of("m:1") == 1.0

    factors.learn("m:1", 100, 200)
    assert factors.of("m:1") == 2.0
    factors.learn("m:1", 100, 100)

    assert factors.of("m:1") == pytest.approx(1.8)
    assert factors.of("other:1") == 1.0


def test_a_vocabulary_of_small_pieces_is_learned_from_any_language() -> None:
    factors = Factors()
    chinese = units("低潮在六点" * 200)

    factors.learn("smol", chinese, 2_000)

    assert Size(chinese).tokens(factors.of("smol")) == pytest.approx(2_000, rel=0.01)


@pytest.mark.parametrize(
    ("units_", "tokens"), [(0, 100), (19, 100), (501, 100), (100, 31), (100, 0), (-5, 100)]
)
def test_an_implausible_count_is_not_believed(units_: float, tokens: int) -> None:
    factors = Factors()

    factors.learn("m:1", units_, tokens)

    assert factors.of("m:1") == 1.0


def test_the_factors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_MAX_MODELS", 3)
    factors = Factors()
    for number in range(10):
        factors.learn(f"m{number}:1", 100, 200)

    assert factors.of("m9:1") == 2.0
    assert len(factors._factors) <= 3
