"""The first moments of an empty database: no server has said yet what models it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from fake_ollama import FakeOllama, Script, error
from gateway import create_app
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.web.context import of
from tests.support.database import prepare


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as running:
        yield running


@pytest.fixture
def app(tmp_path: Path, ollama: FakeOllama) -> Iterator[Flask]:
    settings = Settings.load({"DATA_DIR": str(tmp_path), "OLLAMA_URL": ollama.url})
    prepare(settings)
    app = create_app(settings)
    yield app
    of(app).store.database.close()


def ask(app: Flask, path: str, **more: object) -> tuple[int, str, str]:
    """Call a model; give the status, the error's code and when to come back."""
    _, key = of(app).keys.issue({"name": "early"}, SYSTEM)
    body = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}], **more}
    answer = app.test_client().post(path, json=body, headers={"Authorization": f"Bearer {key}"})
    told = answer.get_json()
    code = told.get("error", {}).get("code") or told.get("error", {}).get("type") or ""
    return answer.status_code, code, answer.headers.get("Retry-After", "")


def test_a_call_that_comes_too_early_is_asked_to_come_back(app: Flask) -> None:
    assert ask(app, "/v1/chat/completions") == (503, "no_upstream_available", "1")
    assert ask(app, "/v1/messages", max_tokens=5) == (503, "overloaded_error", "1")

    of(app).refresher.refresh()
    assert ask(app, "/v1/chat/completions")[0] == 200
    assert ask(app, "/v1/chat/completions", model="unknown")[:2] == (404, "model_not_found")


def test_it_is_ready_once_a_server_has_answered(app: Flask) -> None:
    early = app.test_client().get("/readyz")
    of(app).refresher.refresh()
    late = app.test_client().get("/readyz")

    assert (early.status_code, early.get_json()["status"]) == (503, "starting")
    assert (late.status_code, late.get_json()["status"]) == (200, "ready")


def test_it_is_ready_without_servers_and_with_ones_that_fail(
    app: Flask, ollama: FakeOllama
) -> None:
    ollama.script("/api/tags", Script(fault=error(500, "out of order")))
    of(app).refresher.refresh()

    assert app.test_client().get("/readyz").status_code == 200
    assert ask(app, "/v1/chat/completions")[0] == 404
    of(app).servers.delete(of(app).catalog.servers()[0].id, SYSTEM)
    assert app.test_client().get("/readyz").status_code == 200


def test_without_a_server_every_api_says_where_to_add_one(app: Flask) -> None:
    of(app).servers.delete(of(app).catalog.servers()[0].id, SYSTEM)
    _, key = of(app).keys.issue({"name": "early"}, SYSTEM)
    asked = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
        "/v1/completions": {"prompt": "Hi"},
        "/v1/responses": {"input": "Hi"},
        "/v1/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5},
        "/v1/embeddings": {"input": "Hi"},
        "/api/chat": {"messages": [{"role": "user", "content": "Hi"}]},
        "/api/show": {},
    }
    for path, body in asked.items():
        answer = app.test_client().post(
            path, json={"model": "llama3.2", **body}, headers={"Authorization": f"Bearer {key}"}
        )
        error = answer.get_json()["error"]
        sentence = error if isinstance(error, str) else error["message"]

        assert sentence == "No Ollama server is connected yet: open /admin/.", path
        assert answer.status_code == 503, path
        assert answer.headers["x-should-retry"] == "false", path
