"""Formats, limits of the done line, generate, and what is said without a script."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

import pytest

from fake_ollama import FakeModel, FakeOllama, Script
from tests.fake_ollama.talk import TOOL, USER, chat, generate, send

SCHEMA = {
    "type": "object",
    "properties": {"port": {"type": "string"}, "metres": {"type": "number", "minimum": 3}},
    "required": ["port", "metres"],
}
COUNTERS = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


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
