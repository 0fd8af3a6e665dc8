"""What clients need of a model, and which sentence says what it lacks."""

from __future__ import annotations

import pytest

from gateway.core.catalog import Model
from gateway.policy.clients.kit import KIT, Client, missing

STEPS = {"models", "show", "load", "whole", "stream", "tools", "count", "embed"}
ABLE = Model(1, "qwen3:8b", "qwen3:8b", capabilities=frozenset({"completion", "tools"}))
CASES = [
    ("claude", {"completion"}, 0, "has no tools, but Claude Code needs them"),
    ("claude", {"completion", "tools"}, 4_096, "window of 65,536 tokens, x has 4,096"),
    ("python", {"embedding"}, 0, "does not write text"),
]


@pytest.mark.parametrize("client", KIT.values(), ids=KIT)
def test_every_client_says_what_it_calls(client: Client) -> None:
    assert client.steps
    assert set(client.steps) <= STEPS
    assert client.dialect in {"chat", "responses", "messages", "api_chat"}
    assert not client.window or client.group == "agents"


@pytest.mark.parametrize("id", KIT)
def test_a_model_that_can_all_lacks_nothing(id: str) -> None:
    assert missing(KIT[id], ABLE, 65_536) == ()


@pytest.mark.parametrize("id", KIT)
def test_what_nobody_knows_counts_as_enough(id: str) -> None:
    assert missing(KIT[id], Model(1, "x", "x"), 0) == ()


@pytest.mark.parametrize(("id", "capabilities", "window", "words"), CASES)
def test_what_is_missing_is_said_in_a_sentence(
    id: str, capabilities: set[str], window: int, words: str
) -> None:
    model = Model(1, "x", "x", capabilities=frozenset(capabilities))
    (sentence,) = missing(KIT[id], model, window)

    assert words in sentence
