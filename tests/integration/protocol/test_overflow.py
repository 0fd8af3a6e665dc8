"""A prompt that is too long: agents repair themselves only if they read both numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script, error
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING
from tests.support.wire import events, post

pytestmark = pytest.mark.process

MESSAGES = GENERATING["messages"]
WORDLESS = error(400, "the input exceeds the available context size")
REPAIRABLE = re.compile(r"^prompt is too long: (\d+) tokens > (\d+) maximum$")
RUNNER = {
    "error": {
        "code": 400,
        "message": "request (5000 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 5000,
        "n_ctx": 4096,
    }
}


def _numbers(message: str) -> tuple[int, int]:
    found = REPAIRABLE.match(message)
    assert found, message
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_numbers_ollama_did_not_tell_are_estimated(
    caller: Caller, ollama: FakeOllama, stream: bool
) -> None:
    ollama.script("llama3.2", Script(fault=WORDLESS))
    long = [{"role": "user", "content": "tide and ebb " * 1000}]

    reply = caller.post(
        MESSAGES.path, MESSAGES.with_(messages=long, options={"num_ctx": 2048}, stream=stream)
    )

    prompt, window = _numbers(reply.json["error"]["message"])
    assert window == 2048
    assert 2000 < prompt < 9000


def test_an_estimate_below_the_window_does_not_make_the_sentence_false(
    caller: Caller, ollama: FakeOllama
) -> None:
    ollama.script("llama3.2", Script(fault=WORDLESS))

    reply = caller.post(MESSAGES.path, MESSAGES.with_(options={"num_ctx": 2048}))

    assert _numbers(reply.json["error"]["message"]) == (2049, 2048)


def test_the_window_of_an_override_counts(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    ollama.script("llama3.2", Script(fault=WORDLESS))

    with operator.changed_model("llama3.2:latest", override={"num_ctx": 1024}):
        reply = caller.post(MESSAGES.path, MESSAGES.body)

    assert _numbers(reply.json["error"]["message"])[1] == 1024


def test_without_any_window_the_models_own_is_told(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(fault=WORDLESS))

    reply = caller.post(MESSAGES.path, MESSAGES.body)

    prompt, window = _numbers(reply.json["error"]["message"])
    assert prompt > window > 0


def test_the_runners_numbers_win(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(fault=error(500, json.dumps(RUNNER))))

    reply = caller.post(MESSAGES.path, MESSAGES.with_(options={"num_ctx": 2048}))

    assert _numbers(reply.json["error"]["message"]) == (5000, 4096)


def test_an_overflow_inside_a_stream_is_told_alike(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    ollama.script("llama3.2", Script(fault=WORDLESS))
    with operator.settings(stream_commit_ms=50), ollama.hold("llama3.2"):
        wire = caller.wire()
        wire.send(post(MESSAGES.path, MESSAGES.with_(stream=True, num_ctx=2048), caller.key))
        _, headers = wire.head()
        ollama.release()
        body = b"".join(wire.body(headers))

    name, last = events(body)[-1]
    assert name == "error"
    assert _numbers(last["error"]["message"])[1] == 2048


@pytest.mark.parametrize("name", ["chat", "completions", "responses"])
def test_openai_clients_get_ollamas_own_words(
    caller: Caller, ollama: FakeOllama, name: str
) -> None:
    endpoint = GENERATING[name]
    ollama.script("llama3.2", Script(fault=WORDLESS))

    told: Any = caller.post(endpoint.path, endpoint.body).json["error"]

    assert told["message"] == "the input exceeds the available context size"
    assert (told["code"], told["param"]) == ("context_length_exceeded", endpoint.prompt)
