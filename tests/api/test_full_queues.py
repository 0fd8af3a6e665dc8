"""A server whose own queue of loads is full: the call waits here, not the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script, error
from gateway.calls import attempts
from gateway.core.admin import SYSTEM
from tests.api.apps import APIS, App, application, told

FULL = Script(fault="queue_full")
WELL = Script(content="Low tide.")


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSE_S", 0.01)


@pytest.fixture
def app(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    with application(tmp_path, ollama) as app:
        yield app


@pytest.mark.parametrize(("api", "stream"), [("chat", True), *((api, False) for api in APIS)])
def test_the_only_server_is_waited_for(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    ollama.script("llama3.2", FULL, FULL, FULL, FULL, WELL)

    answer = app.ask(api, stream=stream)

    assert answer.status_code == 200
    assert "tide" in answer.get_data(as_text=True)


def test_embeddings_wait_as_well(app: App, ollama: FakeOllama) -> None:
    ollama.script("nomic-embed-text", FULL, FULL, FULL, FULL, Script())

    answer = app.post("/v1/embeddings", {"model": "nomic-embed-text", "input": "Hello?"})

    assert answer.status_code == 200


def ask(app: App, **more: Any) -> tuple[int, str, str]:
    answer = app.ask("chat", **more)
    return answer.status_code, told(answer)["code"], answer.headers["Retry-After"]


def test_the_wait_ends_with_the_time_in_line(app: App, ollama: FakeOllama) -> None:
    app.set(queue_max_wait_s=0)
    ollama.script("llama3.2", FULL)

    assert ask(app) == (503, "upstream_busy", "5")


def test_another_refusal_is_not_waited_for(app: App, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(fault=error(503, "Service Unavailable")))

    assert ask(app) == (503, "upstream_busy", "5")


def test_another_model_takes_over_at_once(app: App, ollama: FakeOllama) -> None:
    models = {one.display_name: one for one in app.services.catalog.models()}
    wanted, other = models["llama3.2"], models["qwen3:8b"]
    app.services.models.update(wanted.id, {"fallbacks": [other.id]}, SYSTEM)
    ollama.script("llama3.2", FULL)

    answer = app.ask("chat")

    assert answer.status_code == 200
    assert answer.headers["x-gateway-fallback"] == "qwen3:8b"
    assert [call.model for call in ollama.calls("/api/chat")] == ["llama3.2:latest", "qwen3:8b"]
