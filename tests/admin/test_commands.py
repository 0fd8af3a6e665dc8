"""A recorded call as a command, run in a real shell against the fake Ollama."""

from __future__ import annotations

import json
import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from fake_ollama import FakeOllama
from gateway.admin.usage import commands
from gateway.admin.usage.explained import Upstream
from gateway.core.chat import Json
from gateway.dialects import DECISION_DIALECTS, DIALECTS, EMBEDDING_DIALECTS
from gateway.dialects.base import Endpoint
from gateway.dialects.messages.answer import ANTHROPIC

AWKWARD = "it's \"two\"\n lines, $HOME `id` \\ \\n $(id) é 漢字 \u2028 'x'' ! %s"
PARAMS = {
    "think": [False, "key"],
    "format": ["schema", "request"],
    "num_ctx": [8_192, "model"],
    "num_predict": [300, "request"],
    "stop": [{"texts": 1, "characters": 3}, "request"],
    "timeout_ms": [None, "key"],
}
UPSTREAM = Upstream("llama3.2:latest", "/api/chat", {"options": {"num_ctx": 8_192}})


def recorded(endpoint: str = "chat", body: str | None = None) -> Any:
    """Return what commands look at of a call, with both bodies kept alike."""
    return SimpleNamespace(
        row=SimpleNamespace(endpoint=endpoint, streamed=True, requested_model="my model"),
        explain={"params": PARAMS},
        request_body=body,
        upstream_body=body,
    )


def ran(command: commands.Command | None, ollama: FakeOllama) -> Any:
    """Run a command as somebody would paste it; return the request that arrived."""
    assert command is not None
    environ = {**os.environ, "KEY": "sk-o2a-of-mine", "OLLAMA": ollama.url, "no_proxy": "*"}
    subprocess.run(
        ["bash"], input=command.text.encode(), env=environ, check=True, capture_output=True
    )
    return [one for one in ollama.requests if one.method == "POST"][-1]  # probes come in between


BODIES: list[Json] = [
    {"model": "llama3.2", "messages": [{"role": "user", "content": AWKWARD}]},
    {"model": "llama3.2", "messages": [{"role": "user", "content": AWKWARD * 5_000}]},
]


@pytest.mark.parametrize("body", BODIES, ids=["short", "longer than an argument may be"])
def test_what_was_sent_arrives_again(shared_ollama: FakeOllama, body: Json) -> None:
    call = recorded(body=json.dumps(body, ensure_ascii=False))
    to_gateway = ran(commands.for_gateway(call, shared_ollama.url), shared_ollama)
    to_ollama = ran(commands.for_ollama(call, UPSTREAM), shared_ollama)

    assert to_gateway.path == "/v1/chat/completions"
    assert to_gateway.headers["authorization"] == "Bearer sk-o2a-of-mine"
    assert to_gateway.json == to_ollama.json == body
    assert to_ollama.path == "/api/chat"


@pytest.mark.parametrize("kept", [None, "", '{"model": "llama3.2", "mess', "[1]"])
def test_without_texts_parameters_and_a_placeholder_stand_there(
    shared_ollama: FakeOllama, kept: str | None
) -> None:
    call = recorded(body=kept)
    to_gateway = commands.for_gateway(call, shared_ollama.url)
    to_ollama = commands.for_ollama(call, UPSTREAM)
    messages = [{"role": "user", "content": commands.PLACEHOLDER}]

    assert to_gateway is not None
    assert not to_gateway.has_texts
    assert ran(to_gateway, shared_ollama).json == {
        "model": "my model",
        "messages": messages,
        "think": False,
        "options": {"num_ctx": 8_192, "num_predict": 300},
        "stream": True,
    }
    assert ran(to_ollama, shared_ollama).json == {
        "model": "llama3.2:latest",
        "messages": messages,
        "options": {"num_ctx": 8_192},
    }


@pytest.mark.parametrize(
    "endpoint", [*DIALECTS, *EMBEDDING_DIALECTS], ids=lambda endpoint: endpoint.name
)
def test_every_api_has_its_command(shared_ollama: FakeOllama, endpoint: Endpoint) -> None:
    call = recorded(endpoint.name)
    arrived = ran(commands.for_gateway(call, shared_ollama.url), shared_ollama)
    is_anthropic = endpoint.vendor is ANTHROPIC

    assert arrived.path == endpoint.paths[0]
    assert endpoint.prompt_param in arrived.json
    assert ("anthropic-version" in arrived.headers) == is_anthropic
    assert arrived.json.get("max_tokens") == (300 if is_anthropic else None)


def test_what_is_no_endpoint_has_no_command() -> None:
    assert commands.for_gateway(recorded("models"), "http://gateway") is None
    assert commands.for_ollama(recorded(), Upstream("m", "/api/'; rm", {})) is None


@pytest.mark.parametrize("name", [dialect.name for dialect in DECISION_DIALECTS])
def test_questions_have_a_placeholder(name: str) -> None:
    to_gateway = commands.for_gateway(recorded(name), "http://gateway")
    to_ollama = commands.for_ollama(recorded(name), Upstream("m", "/v1/systemone", {}))

    for command in (to_gateway, to_ollama):
        assert command is not None
        assert "questions" in command.text
        assert '"stream"' not in command.text
