"""Ollama's own API, beside its generating endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from fake_ollama import FakeOllama
from gateway.core.admin import SYSTEM
from gateway.core.chat import Params
from tests.api.apps import App, application

LISTS = ("/api/tags", "/api/ps")


@pytest.fixture
def own(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    """An application that a test may change."""
    with application(tmp_path, ollama) as made:
        yield made


def names(app: App, path: str) -> list[str]:
    """Return the models of a list."""
    return [model["model"] for model in app.get(path).get_json()["models"]]


def test_the_version_is_that_of_the_oldest_server(own: App, ollama: FakeOllama) -> None:
    assert own.get("/api/version").get_json() == {"version": "0.0.0"}  # nobody asked yet

    first = next(iter(own.services.scheduler.servers.values()))
    first.version = "0.12.3"

    assert own.get("/api/version").get_json() == {"version": "0.12.3"}
    assert own.send("HEAD", "/api/version").status_code == 200


def test_tags_are_those_of_ollama_but_for_what_the_key_may_not_use(
    own: App, ollama: FakeOllama
) -> None:
    own.use_key(allow=["llama3.2", "qwen3*"])
    tags = own.get("/api/tags").get_json()["models"]

    assert sorted(tag["model"] for tag in tags) == ["llama3.2", "qwen3:8b"]
    listed = ollama_says(ollama, "/api/tags")["models"]
    theirs = {tag["model"].removesuffix(":latest"): tag for tag in listed}
    for tag in tags:
        same = theirs[tag["model"]]
        assert (tag["size"], tag["digest"]) == (same["size"], same["digest"])
        for field in ("family", "parameter_size", "quantization_level"):
            assert tag["details"][field] == same["details"][field]


def test_a_model_in_memory_is_listed_under_the_name_clients_see(
    own: App, ollama: FakeOllama
) -> None:
    model = next(one for one in own.services.catalog.models() if one.name == "qwen3:8b")
    own.services.models.update(model.id, {"display_name": "house/thinker"}, SYSTEM)
    server = next(iter(own.services.scheduler.servers.values()))
    server.client.load("qwen3:8b", Params())
    server.loaded = {one.name: one for one in server.client.ps()}

    assert names(own, "/api/ps") == ["house/thinker"]
    assert "house/thinker" in names(own, "/api/tags")
    own.use_key(allow=["llama3.2"])
    assert names(own, "/api/ps") == []


def test_a_model_is_described_as_its_server_does(own: App, ollama: FakeOllama) -> None:
    ours = own.post("/api/show", {"name": "qwen3:8b"}).get_json()
    theirs = ollama_says(ollama, "/api/show", {"model": "qwen3:8b"})

    assert ours["model_info"] == theirs["model_info"]
    assert ours["template"] == theirs["template"]
    assert sorted(ours["capabilities"]) == sorted(theirs["capabilities"])  # Ollama's have no order
    assert "modelfile" not in ours  # it names files and models of the server
    assert "tensors" not in ours


def test_a_description_is_asked_for_once_a_minute_and_counts_as_a_request(
    own: App, ollama: FakeOllama
) -> None:
    asked = len(ollama.calls("/api/show"))
    own.use_key(requests_per_minute=2, concurrent=1)
    *served, limited = [own.post("/api/show", {"model": "qwen3:8b"}) for _ in range(3)]

    assert [answer.status_code for answer in served] == [200, 200]
    assert served[0].get_json() == served[1].get_json()
    assert len(ollama.calls("/api/show")) == asked + 1
    assert limited.status_code == 429
    assert list(limited.get_json()) == ["error"]
    assert limited.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_model_the_key_may_not_use_is_not_described(own: App) -> None:
    own.use_key(allow=["llama3.2"])

    assert own.post("/api/show", {"model": "qwen3:8b"}).status_code == 403


def test_the_lists_need_the_scope_of_models(own: App) -> None:
    own.use_key(scopes=["chat"])

    for path in LISTS:
        assert own.get(path).status_code == 403
    assert own.post("/api/show", {"model": "qwen3:8b"}).status_code == 403
    assert own.get("/api/version").status_code == 200


BAD = [
    ("an unknown route", "GET", "/api/nothing", None, 404),
    ("a wrong method", "POST", "/api/tags", b"{}", 405),
    ("no JSON", "POST", "/api/show", b"model=llama3.2", 400),
    ("an empty body", "POST", "/api/show", b"", 400),
    ("no object", "POST", "/api/show", b"[]", 400),
    ("no model", "POST", "/api/show", b"{}", 400),
    ("an empty model", "POST", "/api/show", b'{"model": " "}', 400),
    ("a model of a wrong type", "POST", "/api/show", b'{"model": 3}', 400),
    ("a model nobody has", "POST", "/api/show", b'{"model": "none"}', 404),
    ("a model with an endless name", "POST", "/api/show",
     b'{"model": "' + b"x" * 100_000 + b'"}', 404),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status"), [case[1:] for case in BAD], ids=[c[0] for c in BAD]
)
def test_a_refusal_is_one_sentence(
    app: App, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = app.send(method, path, data=body)

    assert answer.status_code == status
    assert list(answer.get_json()) == ["error"]
    assert 5 < len(answer.get_json()["error"]) < 1_000


REFUSED = {
    "pull": "POST",
    "push": "POST",
    "create": "POST",
    "copy": "POST",
    "delete": "DELETE",
    "blobs/sha256:00": "POST",
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_are_not_changed_by_keys(app: App, ollama: FakeOllama, name: str) -> None:
    answer = app.send(REFUSED[name], f"/api/{name}", json={"model": "llama3.2"})

    assert answer.status_code == 403
    assert list(answer.get_json()) == ["error"]
    assert not ollama.calls(f"/api/{name}")


def test_without_a_key_there_is_only_a_greeting(app: App) -> None:
    caller = app.stranger()
    refused = caller.get("/api/tags")

    assert refused.status_code == 401
    assert list(refused.get_json()) == ["error"]
    assert caller.get("/").get_data() == b"Ollama is running"
    assert caller.head("/").status_code == 200
    assert caller.get("/", headers={"Accept": "text/html"}).status_code == 302


def test_the_administrators_api_keeps_its_own_form(app: App) -> None:
    assert isinstance(app.get("/api/admin/v1/nothing").get_json()["error"], dict)


def ollama_says(ollama: FakeOllama, path: str, body: Any = None) -> Any:
    """Return what Ollama itself answers."""
    method = "GET" if body is None else "POST"
    return requests.request(method, ollama.url + path, json=body, timeout=20).json()
