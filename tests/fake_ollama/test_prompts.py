"""Prompts that are too long, and answers that were begun by the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.fake_ollama.talk import USER, Answer, chat, generate

NATIVE = "llama3.2"
RENDERED = "tinyllama"
NUM_CTX = {"num_ctx": 64}
WAVES = " ".join(f"wave{n}" for n in range(200))
LONG = [{"role": "user", "content": WAVES}]
TOKENS = 204
PLAIN = "the prompt is longer than the context length"


def history(turns: int) -> list[dict[str, Any]]:
    """Return as many turns of ten tokens each, ended by the user."""
    roles = ("assistant", "user") * turns
    return [{"role": role, "content": "one two three four five six"} for role in roles[-turns:]]


def exceeded(answer: Answer, tokens: int = TOKENS) -> bool:
    """Return whether the runner refused so many tokens."""
    inner = json.loads(answer.error)["error"]
    return answer.status == 400 and inner == {
        "code": 400,
        "message": f"request ({tokens} tokens) exceeds the available context size (64 tokens), "
        "try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": 64,
    }


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (NATIVE, {}),
        (NATIVE, {"truncate": False}),
        (NATIVE, {"shift": False}),
        (NATIVE, {"truncate": False, "shift": False}),
        (RENDERED, {"truncate": False}),
        (RENDERED, {"truncate": False, "shift": False}),
    ],
)
def test_a_message_too_long_is_refused_with_its_tokens(
    ollama: FakeOllama, model: str, fields: dict[str, Any], stream: bool
) -> None:
    answer = chat(ollama, model, LONG, options=NUM_CTX, stream=stream, **fields)

    assert exceeded(answer)
    assert answer.type == f"application/json{'' if stream else '; charset=utf-8'}"


def test_a_finished_prompt_is_cut_to_half_the_context_and_two(ollama: FakeOllama) -> None:
    answer = chat(ollama, RENDERED, LONG, options=NUM_CTX)

    assert answer.last["prompt_eval_count"] == 64 // 2 + 2


def test_a_finished_prompt_that_may_not_shift_is_refused_in_plain_words(
    ollama: FakeOllama,
) -> None:
    answer = chat(ollama, RENDERED, LONG, options=NUM_CTX, shift=False)

    assert (answer.status, answer.error.startswith(PLAIN)) == (400, True)


@pytest.mark.parametrize("model", [NATIVE, RENDERED])
def test_the_oldest_turns_of_a_history_are_dropped_unless_told_otherwise(
    ollama: FakeOllama, model: str
) -> None:
    system = {"role": "system", "content": "Be brief."}
    turns = [system, *history(21)]

    kept = chat(ollama, model, turns, options=NUM_CTX)
    refused = chat(ollama, model, turns, options=NUM_CTX, truncate=False)

    assert kept.last["prompt_eval_count"] == 7 + 5 * 10
    assert exceeded(refused, 7 + 21 * 10)


@pytest.mark.parametrize("model", [NATIVE, RENDERED])
def test_generate_cuts_on_both_paths(ollama: FakeOllama, model: str) -> None:
    cut = generate(ollama, model, WAVES, options=NUM_CTX).last
    plain = generate(ollama, model, WAVES, options=NUM_CTX, shift=False)
    refused = generate(ollama, model, WAVES, options=NUM_CTX, truncate=False)
    raw = generate(ollama, model, WAVES, options=NUM_CTX, truncate=False, raw=True)

    assert cut["prompt_eval_count"] == 64 // 2 + 2
    assert len(cut["context"]) == TOKENS + cut["eval_count"]
    assert plain.error.startswith(PLAIN)
    assert exceeded(refused)
    assert exceeded(raw, TOKENS - 4)


def test_an_answer_that_fills_the_context_goes_on_unless_it_may_not_shift(
    ollama: FakeOllama,
) -> None:
    ollama.script(RENDERED, Script(content=WAVES))
    turns = [{"role": "user", "content": " ".join(f"wave{n}" for n in range(50))}]

    shifted = chat(ollama, RENDERED, turns, options=NUM_CTX).last
    full = chat(ollama, RENDERED, turns, options=NUM_CTX, shift=False).last

    assert (shifted["done_reason"], shifted["eval_count"]) == ("stop", 201)
    assert (full["done_reason"], full["eval_count"]) == ("length", 64 - 54)


@pytest.mark.parametrize("model", [NATIVE, RENDERED])
def test_a_repeated_prompt_counts_as_much_as_the_first(ollama: FakeOllama, model: str) -> None:
    other = [{"role": "user", "content": "Hello"}]
    counts = [
        chat(ollama, model, turns).last["prompt_eval_count"]
        for turns in (USER, USER, other, USER, [*USER, *other])
    ]

    assert counts[0] == counts[1] == counts[3]
    assert counts[4] == counts[0] + counts[2]
    assert "prompt_eval_cached_count" not in chat(ollama, model).last


BEGUN = [*USER, {"role": "assistant", "content": "The tide is"}]


@pytest.mark.parametrize("think", [None, True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_the_native_path_goes_on_with_a_begun_answer_and_repeats_it(
    ollama: FakeOllama, stream: bool, think: bool | None
) -> None:
    ollama.script("deepseek-r1:8b", Script(content=[" low", "."]))

    answer = chat(ollama, "deepseek-r1:8b", BEGUN, stream=stream, think=think)

    assert (answer.status, answer.content, answer.thinking) == (200, "The tide is low.", "")
    assert answer.last["eval_count"] == 3


def test_a_begun_answer_is_repeated_with_the_first_token(ollama: FakeOllama) -> None:
    ollama.script(NATIVE, Script(content=[" low", "."]))

    texts = [line["message"]["content"] for line in chat(ollama, NATIVE, BEGUN).lines]

    assert texts == ["The tide is low", ".", ""]


@pytest.mark.parametrize("model", [RENDERED, "qwen3:8b"])
def test_the_rendered_path_begins_a_new_turn(ollama: FakeOllama, model: str) -> None:
    ollama.script(model, Script(content=" low."))

    assert chat(ollama, model, BEGUN).content == " low."


def test_calls_begin_no_answer(ollama: FakeOllama) -> None:
    call = {"function": {"name": "now", "arguments": {}}}
    turn = {"role": "assistant", "content": "Wait.", "tool_calls": [call]}
    ollama.script(NATIVE, Script(content="Six."))

    assert chat(ollama, NATIVE, [*USER, turn]).content == "Six."
