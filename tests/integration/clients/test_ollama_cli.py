"""What Ollama's command line sends (0.17.4, `cmd/cmd.go` and `api/client.go`), with the key that a
proxy adds: it sends none itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from fake_ollama import FakeOllama, Script
from gateway.schemas.key import DEFAULT_SCOPES
from tests.support.process import Gateway

pytestmark = pytest.mark.process

EMPTY = {"suffix": "", "system": "", "template": ""}
SHOW = {"system": "", "template": "", "verbose": False, "options": None}


class Cli:
    """The requests of its commands."""

    def __init__(self, live: Gateway) -> None:
        key = live.issue_key("cli", scopes=[*DEFAULT_SCOPES, "load", "pull"])
        self._url = live.url
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "ollama/0.17.4 Go/go1.26"}

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(
            method, self._url + path, json=body, headers=self._headers, timeout=30
        )

    def lines(self, path: str, body: Any) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask("POST", path, body).content.splitlines()]


@pytest.fixture
def cli(live: Gateway) -> Cli:
    return Cli(live)


def test_run_looks_loads_and_answers(cli: Cli, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="Low tide."))

    heartbeat = cli.ask("HEAD", "/")
    shown = cli.ask("POST", "/api/show", {**SHOW, "model": "", "name": "llama3.2"})
    loaded = cli.lines(
        "/api/generate", {"model": "llama3.2", "prompt": "", **EMPTY, "options": None}
    )
    answer = cli.lines(
        "/api/generate", {"model": "llama3.2", "prompt": "When?", **EMPTY, "options": {}}
    )

    assert heartbeat.status_code == 200
    assert "completion" in shown.json()["capabilities"]
    assert loaded[-1]["done_reason"] == "load"
    assert "".join(line["response"] for line in answer) == "Low tide."
    assert answer[-1]["context"]


def test_a_session_chats_line_by_line(cli: Cli, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Rain."))
    messages = [{"role": "user", "content": "Weather?"}]

    answer = cli.lines("/api/chat", {"model": "qwen3:8b", "messages": messages, "options": {}})

    assert "".join(line["message"]["content"] for line in answer) == "Rain."


def test_list_ps_and_show(cli: Cli) -> None:
    listed = cli.ask("GET", "/api/tags").json()["models"]

    assert "llama3.2" in [model["name"] for model in listed]
    assert isinstance(cli.ask("GET", "/api/ps").json()["models"], list)
    assert cli.ask("POST", "/api/show", {**SHOW, "model": "qwen3:8b", "name": ""}).ok


def test_run_of_an_embedding_model_is_one_vector(cli: Cli) -> None:
    answer = cli.ask(
        "POST", "/api/embed", {"model": "nomic-embed-text", "input": "tide", "options": None}
    )

    assert [len(vector) for vector in answer.json()["embeddings"]] == [768]


def test_a_load_of_an_unknown_model_does_not_end_a_session(cli: Cli) -> None:
    shown = cli.ask("POST", "/api/show", {**SHOW, "model": "nobody", "name": ""})
    loaded = cli.ask("POST", "/api/generate", {"model": "nobody", "prompt": "", **EMPTY})

    assert shown.status_code == loaded.status_code == 404
    assert "not found" in shown.json()["error"]
    assert "not found" in loaded.json()["error"]


def test_pull_ends_with_success(cli: Cli) -> None:
    body = {"model": "", "username": "", "password": "", "name": "llama3.2"}

    assert cli.lines("/api/pull", body)[-1] == {"status": "success"}
