"""The lines of answers: both execution paths, thinking, tools, formats, logprobs, limits."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ollama import FakeModel, FakeOllama, Script
from tests.fake_ollama.talk import TOOL, chat, generate

TWO_CALLS = (("lookup_tide", {"port": "Oban"}), ("lookup_tide", {"port": "Leith"}))
COUNTERS = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


def test_a_plain_answer_is_deltas_then_an_empty_done_line(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content=["Low", " tide"]))

    lines = chat(ollama, "llama3.2").lines

    assert [line["message"] for line in lines] == [
        {"role": "assistant", "content": "Low"},
        {"role": "assistant", "content": " tide"},
        {"role": "assistant", "content": ""},
    ]
    assert [line["done"] for line in lines] == [False, False, True]


def test_only_the_done_line_carries_a_reason_and_counters(ollama: FakeOllama) -> None:
    *deltas, last = chat(ollama, "llama3.2").lines

    assert all(not COUNTERS & set(line) and "done_reason" not in line for line in deltas)
    assert set(last) >= COUNTERS
    assert all(isinstance(last[name], int) and last[name] > 0 for name in COUNTERS)
    assert last["done_reason"] == "stop"


def test_keys_come_in_ollamas_order(ollama: FakeOllama) -> None:
    last = chat(ollama, "llama3.2", logprobs=True).last
    text = generate(ollama, "llama3.2").last

    assert list(last) == [
        "model", "created_at", "message", "done", "done_reason", "total_duration",
        "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count",
        "eval_duration",
    ]  # fmt: skip
    assert list(text)[:6] == [
        "model", "created_at", "response", "done", "done_reason", "context",
    ]  # fmt: skip


def test_tokens_join_to_the_scripted_text(ollama: FakeOllama) -> None:
    text = 'Ünïcode, 潮汐表 — "x_1"!?\n\n\t👩🏽‍🔬 1.5e-3 ___ ...' + "a" * 40
    ollama.script("llama3.2", Script(content=text))

    assert chat(ollama, "llama3.2").content == text


def test_thinking_is_on_by_default_and_comes_first(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(thinking="Let me see.", content="Six."))

    answer = chat(ollama, "qwen3:8b")

    assert (answer.thinking, answer.content) == ("Let me see.", "Six.")
    assert answer.lines[0]["message"] == {"role": "assistant", "content": "", "thinking": "Let"}


@pytest.mark.parametrize(
    ("model", "think", "shown"),
    [
        ("qwen3:8b", False, ""),
        ("qwen3:8b", "low", "Hm."),
        ("deepseek-r1:8b", None, "Hm."),
        ("deepseek-r1:8b", False, ""),
        ("gpt-oss:20b", "high", "Hm."),
        ("gpt-oss:20b", False, "Hm."),
        ("llama3.2", False, ""),
    ],
)
def test_think_decides_except_for_gpt_oss(
    ollama: FakeOllama, model: str, think: Any, shown: str
) -> None:
    ollama.script(model, Script(thinking="Hm.", content="Six."))

    assert chat(ollama, model, think=think).thinking == shown


def test_the_native_path_puts_all_calls_on_the_done_line(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="Checking.", tool_calls=TWO_CALLS))

    lines = chat(ollama, "llama3.2", tools=[TOOL]).lines

    assert [line for line in lines[:-1] if "tool_calls" in line["message"]] == []
    calls = lines[-1]["message"]["tool_calls"]
    assert [call["function"]["index"] for call in calls] == [0, 1]
    assert all(len(call["id"]) == 32 and call["id"].isalnum() for call in calls)
    assert lines[-1]["done_reason"] == "stop"


def test_the_rendered_path_gives_each_call_a_line(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(tool_calls=TWO_CALLS))

    lines = chat(ollama, "qwen3:8b", tools=[TOOL]).lines

    assert [len(line["message"].get("tool_calls", ())) for line in lines] == [1, 1, 0]
    first = lines[0]["message"]["tool_calls"][0]
    assert first["id"].startswith("call_")
    assert len(first["id"]) == len("call_") + 8
    assert first["function"] == {"index": 0, "name": "lookup_tide", "arguments": {"port": "Oban"}}


def test_gpt_oss_flushes_its_calls_with_the_done_line(ollama: FakeOllama) -> None:
    ollama.script("gpt-oss:20b", Script(tool_calls=TWO_CALLS))

    assert len(chat(ollama, "gpt-oss:20b", tools=[TOOL]).last["message"]["tool_calls"]) == 2


def test_a_call_can_lack_its_id_and_arguments(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(tool_calls=[{"name": "now", "id": ""}]))

    calls = chat(ollama, "qwen3:8b", tools=[TOOL]).calls

    assert calls == [{"function": {"index": 0, "name": "now", "arguments": {}}}]


LOOKUP = [("lookup_tide", {"port": "Oban"})]
NAME, ARGUMENTS = 7, 17
"""Tokens up to the end of the call's name, and of its arguments."""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("limit", [NAME, ARGUMENTS - 1])
def test_a_native_call_cut_inside_its_arguments_fails_the_request(
    ollama: FakeOllama, limit: int, stream: bool
) -> None:
    ollama.script("llama3.2", Script(tool_calls=LOOKUP))

    answer = chat(ollama, "llama3.2", tools=[TOOL], options={"num_predict": limit}, stream=stream)

    assert (answer.status, answer.error) == (
        500,
        'llama-server returned invalid tool call arguments for "lookup_tide": '
        "unexpected end of JSON input",
    )


def test_a_native_call_cut_after_text_ends_in_an_error_line(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content=["Checking"], tool_calls=LOOKUP))

    answer = chat(ollama, "llama3.2", tools=[TOOL], options={"num_predict": 1 + NAME})

    assert (answer.status, answer.lines[0]["message"]["content"]) == (200, "Checking")
    assert "invalid tool call arguments" in answer.last["error"]


@pytest.mark.parametrize("model", ["llama3.2", "qwen3:8b"])
def test_a_call_cut_before_its_name_is_none(ollama: FakeOllama, model: str) -> None:
    ollama.script(model, Script(tool_calls=LOOKUP))

    whole = chat(ollama, model, tools=[TOOL], options={"num_predict": NAME - 1}, stream=False).json

    assert whole["message"] == {"role": "assistant", "content": ""}
    assert (whole["done_reason"], whole["eval_count"]) == ("length", NAME - 1)


@pytest.mark.parametrize("model", ["llama3.2", "qwen3:8b"])
def test_a_call_cut_after_its_arguments_is_whole(ollama: FakeOllama, model: str) -> None:
    ollama.script(model, Script(tool_calls=LOOKUP))

    answer = chat(ollama, model, tools=[TOOL], options={"num_predict": ARGUMENTS})

    assert [call["function"]["arguments"] for call in answer.calls] == [{"port": "Oban"}]
    assert answer.last["done_reason"] == "length"


def test_the_calls_before_a_cut_one_stay_on_the_rendered_path(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(tool_calls=LOOKUP * 2))

    answer = chat(ollama, "qwen3:8b", tools=[TOOL], options={"num_predict": ARGUMENTS + 8})

    assert len(answer.calls) == 1
    assert answer.last["done_reason"] == "length"


def test_a_whole_answer_joins_the_lines(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(thinking="Hm, a tide.", content="Ok.", tool_calls=TWO_CALLS))

    whole = chat(ollama, "qwen3:8b", tools=[TOOL], stream=False).json

    assert whole["message"]["thinking"] == "Hm, a tide."
    assert whole["message"]["content"] == "Ok."
    assert len(whole["message"]["tool_calls"]) == 2
    assert whole["done"] is True


def test_a_whole_answer_drops_calls_when_no_tools_were_sent(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(content="Ok.", tool_calls=TWO_CALLS))

    assert "tool_calls" not in chat(ollama, "qwen3:8b", stream=False).json["message"]


def test_num_predict_ends_with_length(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(thinking="One two three.", content="Four five six."))

    cut = chat(ollama, "qwen3:8b", options={"num_predict": 6})

    assert (cut.thinking, cut.content) == ("One two three.", "Four five")
    assert (cut.last["done_reason"], cut.last["eval_count"]) == ("length", 6)


def test_the_rendered_path_takes_a_limit_of_zero_for_none(ollama: FakeOllama) -> None:
    ollama.script("*", Script(content="One two."))
    none = {"num_predict": 0}

    assert chat(ollama, "tinyllama", options=none).content == "One two."
    assert chat(ollama, "llama3.2", options=none).content == ""


def test_a_reply_without_tokens_has_no_eval_count(ollama: FakeOllama) -> None:
    last = chat(ollama, "llama3.2", options={"num_predict": 0}).last

    assert "eval_count" not in last
    assert "eval_duration" not in last


@pytest.mark.parametrize(
    ("stop", "content"),
    [
        (["two"], "One "),
        (["o t"], "One tw"),
        (["wo th"], "One t"),
        (["ree", "tw"], "One "),
        (["", "xyz"], "One two three"),
    ],
)
def test_stop_strings_cut_across_tokens(ollama: FakeOllama, stop: list[str], content: str) -> None:
    ollama.script("llama3.2", Script(content=["One", " tw", "o", " three"]))

    cut = chat(ollama, "llama3.2", options={"stop": stop})

    assert cut.content == content
    assert cut.last["done_reason"] == "stop"


def test_a_models_own_parameters_are_the_defaults() -> None:
    model = FakeModel("tern", parameters=(("num_predict", 2),))
    with FakeOllama([model]) as ollama:
        ollama.script("tern", Script(content="One two three."))

        assert chat(ollama, "tern").content == "One two"
        assert chat(ollama, "tern", options={"num_predict": 3}).content == "One two three"


def test_the_rendered_path_stops_without_done_after_thirty_equal_tokens(
    ollama: FakeOllama,
) -> None:
    ollama.script("*", Script(content=" no" * 40))

    rendered = chat(ollama, "tinyllama")

    assert rendered.content == " no" * 30
    assert rendered.last["done"] is False
    assert chat(ollama, "llama3.2").last["done"] is True
