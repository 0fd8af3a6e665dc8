"""The lines of answers: both execution paths, thinking, tools, formats, logprobs, limits."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

import pytest

from tests.fake_ollama import FakeModel, FakeOllama, Script
from tests.fake_ollama_tests.talk import TOOL, USER, chat, generate, send

SCHEMA = {
    "type": "object",
    "properties": {"port": {"type": "string"}, "metres": {"type": "number", "minimum": 3}},
    "required": ["port", "metres"],
}
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


def test_a_native_call_cut_by_the_limit_fails_the_request(ollama: FakeOllama) -> None:
    ollama.script(
        "llama3.2",
        Script(tool_calls=TWO_CALLS),
        Script(content="Checking.", tool_calls=TWO_CALLS),
    )
    cut = {"num_predict": 3}

    before = chat(ollama, "llama3.2", tools=[TOOL], options=cut)
    after = chat(ollama, "llama3.2", tools=[TOOL], options=cut)

    assert (before.status, before.type) == (500, "application/json")
    assert "invalid tool call arguments" in before.error
    assert after.status == 200
    assert "invalid tool call arguments" in after.last["error"]


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


def test_format_json_is_obeyed(ollama: FakeOllama) -> None:
    answer = chat(ollama, "llama3.2", format="json", stream=False)

    assert isinstance(json.loads(answer.json["message"]["content"]), dict)


@pytest.mark.parametrize("model", ["llama3.2", "qwen3:8b", "tinyllama"])
def test_a_schema_is_obeyed(ollama: FakeOllama, model: str) -> None:
    value = json.loads(chat(ollama, model, format=SCHEMA).content)

    assert isinstance(value["port"], str)
    assert value["metres"] >= 3


def test_the_rendered_path_shows_a_seam_between_thinking_and_json(ollama: FakeOllama) -> None:
    ollama.script("*", Script(thinking="Two fields.", content='{"a":1}'))

    rendered = chat(ollama, "qwen3:8b", format="json")
    native = chat(ollama, "deepseek-r1:8b", format="json")

    empty = [
        line
        for line in rendered.lines[:-1]
        if line["message"] == {"role": "assistant", "content": ""}
    ]
    assert len(empty) == 1
    assert rendered.last["eval_count"] < native.last["eval_count"]


def test_the_constraint_is_lost_when_a_rendered_model_does_not_think(ollama: FakeOllama) -> None:
    ollama.script("*", Script(thinking=""))

    free = chat(ollama, "qwen3:8b", format=SCHEMA).content
    bound = chat(ollama, "deepseek-r1:8b", format=SCHEMA).content

    with pytest.raises(json.JSONDecodeError):
        json.loads(free)
    assert set(json.loads(bound)) == {"port", "metres"}


def test_generate_keeps_the_constraint_on_the_rendered_path(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(thinking=""))

    assert json.loads(generate(ollama, "qwen3:8b", format=SCHEMA).content)


def test_a_cloud_model_ignores_the_format(ollama: FakeOllama) -> None:
    text = chat(ollama, "deepseek-v3.1:671b-cloud", format=SCHEMA).content

    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_logprobs_come_with_their_own_lines(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content=["Low", "é"]))

    first, second, _ = chat(ollama, "llama3.2", logprobs=True).lines

    assert first["logprobs"][0]["token"] == "Low"
    assert second["logprobs"][0]["bytes"] == [195, 169]
    assert "top_logprobs" not in first["logprobs"][0]
    assert -1 < first["logprobs"][0]["logprob"] <= 0


def test_top_logprobs_are_as_many_as_asked_for_and_sum_to_at_most_one(ollama: FakeOllama) -> None:
    entry = chat(ollama, "llama3.2", logprobs=True, top_logprobs=4).lines[0]["logprobs"][0]
    chances = [math.exp(one["logprob"]) for one in entry["top_logprobs"]]

    assert len(chances) == 4
    assert sum(chances) <= 1.0001
    assert entry["top_logprobs"][0]["token"] == entry["token"]


def test_a_whole_answer_gathers_the_logprobs(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(thinking="Hm", content=["Low", " tide"]))

    whole = chat(ollama, "qwen3:8b", logprobs=True, stream=False).json

    assert [one["token"] for one in whole["logprobs"]] == ["Hm", "Low", " tide"]
    assert list(whole)[3:6] == ["done", "done_reason", "logprobs"]


def test_exact_chunks_can_mix_everything_in_one_line(ollama: FakeOllama) -> None:
    ollama.script(
        "qwen3:8b",
        Script(
            chunks=[
                {"thinking": "almost", "content": "Now"},
                {"content": " done.", "done": True, "tool_calls": [("now", {})]},
            ]
        ),
    )

    first, last = chat(ollama, "qwen3:8b").lines

    assert first["message"] == {"role": "assistant", "content": "Now", "thinking": "almost"}
    assert last["message"]["content"] == " done."
    assert last["message"]["tool_calls"][0]["function"]["name"] == "now"
    assert last["done"] is True


def test_counters_and_fields_of_the_done_line_can_be_scripted(ollama: FakeOllama) -> None:
    ollama.script(
        "llama3.2",
        Script(
            content="x",
            prompt_eval_count=7,
            eval_count=0,
            done_reason="length",
            final={"load_duration": None, "extra": 1},
        ),
    )

    last = chat(ollama, "llama3.2").last

    assert (last["prompt_eval_count"], last["done_reason"], last["extra"]) == (7, "length", 1)
    assert not {"eval_count", "load_duration"} & set(last)


def test_generate_has_its_own_shape(ollama: FakeOllama) -> None:
    ollama.script("qwen3:8b", Script(thinking="Hm.", content="Six."))

    answer = generate(ollama, "qwen3:8b")

    assert (answer.thinking, answer.content) == ("Hm.", "Six.")
    assert set(answer.lines[0]) == {"model", "created_at", "response", "done"}
    assert answer.last["context"]
    assert all("message" not in line for line in answer.lines)


def test_raw_generation_has_no_context_and_no_thinking(ollama: FakeOllama) -> None:
    answer = generate(ollama, "qwen3:8b", raw=True)

    assert "context" not in answer.last
    assert answer.thinking == ""


def test_generate_fills_in_the_middle(ollama: FakeOllama) -> None:
    answer = generate(ollama, "qwen2.5-coder:7b", "def f():\n", suffix="\nprint(f())")

    assert answer.content == "    return result\n"


def test_a_debug_request_shows_the_prompt(ollama: FakeOllama) -> None:
    whole = chat(ollama, "llama3.2", _debug_render_only=True).json

    assert "When is low tide?" in whole["_debug_info"]["rendered_template"]
    assert (whole["message"]["role"], whole["done"]) == ("", False)


def test_newer_servers_count_cached_tokens() -> None:
    with FakeOllama(version="0.33.3") as ollama:
        first = chat(ollama, "llama3.2").last
        second = chat(ollama, "llama3.2").last

    assert first["prompt_eval_cached_count"] == 0
    assert second["prompt_eval_cached_count"] == second["prompt_eval_count"] > 0
    keys = list(first)
    assert keys[keys.index("prompt_eval_count") + 1] == "prompt_eval_cached_count"


def test_older_servers_do_not(ollama: FakeOllama) -> None:
    assert "prompt_eval_cached_count" not in chat(ollama, "llama3.2").last


def test_without_a_script_a_tool_is_called_and_its_result_reported(ollama: FakeOllama) -> None:
    call = chat(ollama, "llama3.2", tools=[TOOL]).calls[0]
    turns = [
        *USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_name": "lookup_tide", "content": "06:12"},
    ]
    report = chat(ollama, "llama3.2", turns, tools=[TOOL])

    assert call["function"]["arguments"] == {"port": "Leith"}
    assert "06:12" in report.content
    assert report.calls == []


def test_without_a_script_tools_are_left_alone_when_nobody_asks_for_them(
    ollama: FakeOllama,
) -> None:
    answer = chat(ollama, "llama3.2", [{"role": "user", "content": "Hello"}], tools=[TOOL])

    assert answer.calls == []
    assert answer.content.startswith("Hello!")


def test_without_a_script_images_are_counted_and_hashed(ollama: FakeOllama) -> None:
    data = b"\x89PNG not really"
    turn = {
        "role": "user",
        "content": "What is this?",
        "images": [base64.b64encode(data).decode()] * 2,
    }

    content = chat(ollama, "gemma3:4b", [turn]).content

    assert "2 attachments" in content
    assert f"a PNG image of {len(data)} bytes" in content
    assert hashlib.sha256(data).hexdigest()[:12] in content


def test_without_a_script_the_question_comes_back(ollama: FakeOllama) -> None:
    content = chat(ollama, "llama3.2", [{"role": "user", "content": "Is 7 prime?"}]).content

    assert 'You asked: "Is 7 prime?"' in content


def test_scripts_are_used_in_order_and_the_last_stays(ollama: FakeOllama) -> None:
    ollama.script("llama3.2:latest", Script(content="1"), Script(content="2"))

    assert [chat(ollama, "LLAMA3.2").content for _ in range(3)] == ["1", "2", "2"]


def test_a_script_can_stand_aside_and_a_function_can_choose(ollama: FakeOllama) -> None:
    ollama.script(
        "llama3.2",
        Script(content="short", when=lambda body: body.get("options") == {"num_predict": 9}),
        lambda body: Script(content=f"{len(body['messages'])} turns"),
    )

    assert chat(ollama, "llama3.2").content == "1 turns"
    assert chat(ollama, "llama3.2", options={"num_predict": 9}).content == "short"


def test_a_cloud_model_answers_under_its_base_name(ollama: FakeOllama) -> None:
    assert chat(ollama, "deepseek-v3.1:671b-cloud").last["model"] == "deepseek-v3.1:671b"


def test_a_remote_host_model_names_where_it_runs() -> None:
    model = FakeModel("far", remote=True, remote_model="tern:8b")
    with FakeOllama([model]) as ollama:
        line = chat(ollama, "far").lines[0]

    assert list(line)[:4] == ["model", "remote_model", "remote_host", "created_at"]
    assert (line["model"], line["remote_model"]) == ("far", "tern:8b")


@pytest.mark.parametrize(
    ("cloud", "status", "text"),
    [
        ("disabled", 403, "ollama cloud is disabled: remote model is unavailable"),
        ("signed_out", 401, "unauthorized"),
        ("unreachable", 502, "dial tcp"),
        ("rate_limited", 429, "too many requests"),
    ],
)
def test_the_cloud_can_be_out_of_reach(cloud: Any, status: int, text: str) -> None:
    with FakeOllama(cloud=cloud) as ollama:
        answer = chat(ollama, "deepseek-v3.1:671b-cloud")
        local = chat(ollama, "llama3.2")

    assert answer.status == status
    assert text in answer.error
    assert local.status == 200


def test_a_request_without_turns_loads_or_unloads(ollama: FakeOllama) -> None:
    loaded = send(ollama, "POST", "/api/chat", {"model": "llama3.2"})
    unloaded = send(ollama, "POST", "/api/generate", {"model": "llama3.2", "keep_alive": 0})

    assert loaded.type == "application/json; charset=utf-8"
    assert loaded.json["done_reason"] == "load"
    assert not COUNTERS & set(loaded.json)
    assert (unloaded.json["done_reason"], unloaded.json["response"]) == ("unload", "")
    assert ollama.loaded() == []
