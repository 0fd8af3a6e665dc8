"""Chat templates that insist on an order of turns, and Go templates that do not parse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fake_ollama import FakeModel, FakeOllama
from tests.fake_ollama.talk import Answer, chat, generate

ALTERNATE = (
    "Error: Jinja Exception: After the optional system message, conversation roles must alternate "
    "user and assistant roles except for tool calls and results."
)
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
RESULT = {"role": "tool", "tool_name": "f", "content": "1"}


@pytest.fixture
def strict() -> Iterator[FakeOllama]:
    """A fake whose models are called after their rule; those called go-... are rendered."""
    tools = ("completion", "tools")
    with FakeOllama(
        [
            FakeModel("system", tools, template_rules=("system_first",)),
            FakeModel("go-system", tools, path="rendered", template_rules=("system_first",)),
            FakeModel("alternate", tools, template_rules=("alternate",)),
            FakeModel("user", tools, template_rules=("needs_user",)),
            FakeModel("go-user", tools, path="rendered", template_rules=("needs_user",)),
            FakeModel("both", tools, template_rules=("system_first", "alternate")),
        ]
    ) as ollama:
        yield ollama


def turns(text: str) -> list[dict[str, Any]]:
    """Return a conversation by first letters: system, user, assistant, call, result."""
    known = {
        "s": {"role": "system", "content": "one"},
        "u": {"role": "user", "content": "two"},
        "a": {"role": "assistant", "content": "three"},
        "c": CALL,
        "r": RESULT,
    }
    return [known[letter] for letter in text]


def message(answer: Answer) -> str:
    return str(json.loads(answer.error)["error"]["message"])


TAKEN = [
    ("system", "suau"),
    ("system", "uau"),
    ("system", "uu"),
    ("go-system", "su"),
    ("alternate", "suau"),
    ("alternate", "uau"),
    ("alternate", "ucrau"),
    ("alternate", "uccrrau"),
    ("user", "su"),
    ("user", "ucr"),
    ("both", "suau"),
]


@pytest.mark.parametrize(("model", "text"), TAKEN)
def test_turns_in_order_are_taken(strict: FakeOllama, model: str, text: str) -> None:
    assert chat(strict, model, turns(text)).status == 200


@pytest.mark.parametrize("text", ["ssu", "suasu", "us"])
def test_a_system_turn_has_to_be_the_first(strict: FakeOllama, text: str) -> None:
    native, rendered = (chat(strict, model, turns(text)) for model in ("system", "go-system"))

    assert (native.status, message(native)) == (
        500,
        "Error: Jinja Exception: System message must be at the beginning.",
    )
    assert (rendered.status, rendered.error) == (500, "system message must be at the beginning")


@pytest.mark.parametrize("text", ["uu", "suu", "uauu", "ucru", "a", "uaa", "sauu"])
def test_turns_have_to_alternate(strict: FakeOllama, text: str) -> None:
    answer = chat(strict, "alternate", turns(text))

    assert (answer.status, message(answer)) == (500, ALTERNATE)


def test_a_user_turn_has_to_be_there(strict: FakeOllama) -> None:
    native, rendered = (chat(strict, model, turns("s")) for model in ("user", "go-user"))

    assert message(native) == "Error: Jinja Exception: No user query found in messages."
    assert (rendered.status, rendered.error) == (500, "no user query found in messages")


def test_a_user_turn_can_be_lost_by_truncation(strict: FakeOllama) -> None:
    long = {"role": "tool", "tool_name": "f", "content": "wave " * 50}
    history = [*turns("uc"), long]

    cut = chat(strict, "go-user", history, options={"num_ctx": 70})
    whole = chat(strict, "go-user", history, options={"num_ctx": 200})

    assert (cut.status, cut.error) == (500, "no user query found in messages")
    assert whole.status == 200


def test_the_error_is_one_object_in_a_stream_too(strict: FakeOllama) -> None:
    streamed = chat(strict, "system", turns("us"))
    whole = chat(strict, "system", turns("us"), stream=False)

    assert streamed.type == "application/json"
    assert whole.type == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{ if }", 'template: :1: unexpected "}" in if'),
        ("{{ .Prompt }} {{ .System", "template: :1: unclosed action"),
    ],
)
def test_a_go_template_that_does_not_parse_is_refused(
    ollama: FakeOllama, template: str, error: str
) -> None:
    answer = generate(ollama, "tinyllama", template=template)

    assert (answer.status, answer.error) == (500, error)
    assert generate(ollama, "tinyllama", template="{{ .Prompt }}").status == 200
