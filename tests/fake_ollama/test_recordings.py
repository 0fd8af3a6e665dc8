"""The recordings are what Ollama could have sent, and the fake replays them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fake_ollama import RECORDINGS, FakeOllama, Script
from fake_ollama.encoding import encode_line
from tests.fake_ollama.talk import chat, generate

FILES = sorted(RECORDINGS.glob("*.ndjson"))
NEEDED = {
    "plain", "thinking", "thinking_and_content_one_line", "tools_done_line", "tools_two_lines",
    "content_then_tools", "format_seam", "logprobs", "logprobs_top", "length", "nodone",
    "error_line", "unicode", "empty", "generate_plain", "generate_thinking", "cached_count",
}  # fmt: skip
CHAT_ORDER = [
    "model", "remote_model", "remote_host", "created_at", "message", "done", "done_reason",
    "logprobs", "total_duration", "load_duration", "prompt_eval_count",
    "prompt_eval_cached_count", "prompt_eval_duration", "eval_count", "eval_duration",
]  # fmt: skip
GENERATE_ORDER = [
    "model", "remote_model", "remote_host", "created_at", "response", "thinking", "done",
    "done_reason", "context", "total_duration", "load_duration", "prompt_eval_count",
    "prompt_eval_cached_count", "prompt_eval_duration", "eval_count", "eval_duration",
    "tool_calls", "logprobs",
]  # fmt: skip
TIME = re.compile(r"2026-08-22T09:00:\d\d\.\d{6,9}Z")


def values(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def test_every_situation_is_recorded() -> None:
    assert NEEDED - {path.stem for path in FILES} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_has_ollamas_form(path: Path) -> None:
    order = GENERATE_ORDER if path.stem.startswith("generate_") else CHAT_ORDER

    for value in values(path):
        if "error" in value:
            assert list(value) == ["error"]
            continue
        places = [order.index(name) for name in value]
        assert places == sorted(places)
        assert TIME.fullmatch(value["created_at"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_is_written_as_go_writes(path: Path) -> None:
    assert b"".join(map(encode_line, values(path))).rstrip() == path.read_bytes().rstrip()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_is_replayed_under_the_models_name(ollama: FakeOllama, path: Path) -> None:
    ollama.script("llama3.2", Script(ndjson=path.stem))
    ask = generate if path.stem.startswith("generate_") else chat

    answer = ask(ollama, "llama3.2")

    names = (b'"model":"tern:latest"', b'"model":"deepseek-v3.1:671b"', b'"model":"far:latest"')
    expected = path.read_bytes()
    for name in names:
        expected = expected.replace(name, b'"model":"llama3.2"')
    assert answer.body == expected


def test_a_recording_can_be_asked_for_whole(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(ndjson="thinking"), Script(ndjson="error_line"))

    whole = chat(ollama, "llama3.2", stream=False).json
    failed = chat(ollama, "llama3.2", stream=False)

    assert whole["message"]["thinking"] == "The user wants a time. Oban, today."
    assert whole["message"]["content"] == "Low tide is at 06:12."
    assert whole["prompt_eval_count"] == 31
    assert failed.status == 500


def test_a_recording_fits_the_other_endpoint_too(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(ndjson="thinking"))
    generated = generate(ollama, "llama3.2")
    ollama.script("llama3.2", Script(ndjson="generate_thinking"))
    chatted = chat(ollama, "llama3.2")

    assert generated.content == "Low tide is at 06:12."
    assert generated.thinking == "The user wants a time. Oban, today."
    assert (chatted.thinking, chatted.content) == ("A time is wanted.", "06:12.")


def test_a_file_of_ones_own_can_be_replayed_garbage_included(
    ollama: FakeOllama, tmp_path: Path
) -> None:
    path = tmp_path / "mine.ndjson"
    path.write_bytes(b'{"model":"a","done":false}\nnot json\n\n')
    ollama.script("llama3.2", Script(ndjson=path))

    assert chat(ollama, "llama3.2").body == b'{"model":"llama3.2","done":false}\nnot json\n\n'
