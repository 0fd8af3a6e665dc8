"""Models in memory: loaded as their calls want them, and kept there if they are pinned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_ollama import FakeOllama
from gateway.core.admin import SYSTEM
from gateway.core.catalog import Model
from gateway.core.chat import Params
from gateway.scheduling.loading import kept
from tests.api.apps import APIS, App, application

RUNNER = {"num_ctx": 3072, "num_gpu": 4, "num_thread": 2}
EMBEDDING = {"model": "nomic-embed-text", "input": "Hello?"}


@pytest.fixture
def app(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    with application(tmp_path, ollama) as app:
        yield app


def model(app: App, name: str = "llama3.2") -> Model:
    return next(one for one in app.services.catalog.models() if one.display_name == name)


def override(app: App, name: str = "llama3.2", **values: Any) -> None:
    app.services.models.update(model(app, name).id, {"override": values}, SYSTEM)


def load(app: App, name: str = "llama3.2", how: str = "load") -> None:
    """Load, pin, unpin or unload a model on all its servers."""
    found = model(app, name)
    done = getattr(app.services.operations, how)(found.name, found.server_ids, SYSTEM)
    assert [one.error for one in done] == [""]


def last(ollama: FakeOllama, path: str) -> dict[str, Any]:
    """Return the body of the last call."""
    found: dict[str, Any] = ollama.calls(path)[-1].json
    return found


def test_a_load_sends_what_calls_send(app: App, ollama: FakeOllama) -> None:
    override(app, **RUNNER, temperature=0.5, shift=False, keep_alive="30m")

    load(app)
    loaded = last(ollama, "/api/generate")
    app.ask("chat")
    called = last(ollama, "/api/chat")

    assert loaded == {
        "model": "llama3.2:latest",
        "options": RUNNER,
        "shift": False,
        "keep_alive": "30m",
    }
    assert {name: called["options"][name] for name in RUNNER} == RUNNER
    assert (called["shift"], called["keep_alive"]) == (False, "30m")


def test_what_is_forced_is_loaded(app: App, ollama: FakeOllama) -> None:
    override(app, num_ctx=1024, force={"num_ctx": 2048})

    load(app)

    assert last(ollama, "/api/generate")["options"] == {"num_ctx": 2048}


def test_an_embedding_model_is_loaded_as_its_calls_want_it(app: App, ollama: FakeOllama) -> None:
    override(app, "nomic-embed-text", num_ctx=512, shift=False)

    load(app, "nomic-embed-text")
    loaded = last(ollama, "/api/embed")
    app.post("/v1/embeddings", EMBEDDING)
    called = last(ollama, "/api/embed")

    assert loaded["options"] == called["options"]
    assert "shift" not in loaded


def test_every_call_keeps_a_pinned_model(app: App, ollama: FakeOllama) -> None:
    load(app, how="pin")
    load(app, "nomic-embed-text", "pin")
    kept_for = {}
    for api, stream in (("chat", True), *((api, False) for api in APIS)):
        app.ask(api, stream=stream, keep_alive="5m")
        path = "/api/generate" if api == "completions" else "/api/chat"
        kept_for[api, stream] = last(ollama, path)["keep_alive"]
    app.post("/v1/embeddings", EMBEDDING)
    kept_for["embeddings", False] = last(ollama, "/api/embed")["keep_alive"]

    assert {call: said for call, said in kept_for.items() if said != -1} == {}


def test_a_pinned_model_survives_another_context(app: App, ollama: FakeOllama) -> None:
    load(app, how="pin")
    app.ask("chat", num_ctx=2048)

    ollama.advance(365 * 24 * 3600)

    assert ollama.loaded() == ["llama3.2:latest"]


def test_an_override_says_more_than_a_pin(app: App, ollama: FakeOllama) -> None:
    override(app, keep_alive="30m")
    load(app, how="pin")

    app.ask("chat")

    assert last(ollama, "/api/chat")["keep_alive"] == "30m"


def test_what_is_unloaded_is_not_pinned_any_more(app: App, ollama: FakeOllama) -> None:
    load(app, how="pin")
    load(app, how="unload")

    app.ask("chat")

    assert "keep_alive" not in last(ollama, "/api/chat")
    assert model(app).pinned_on == ()


def test_a_load_does_not_unpin(app: App, ollama: FakeOllama) -> None:
    load(app, how="pin")

    load(app)

    assert last(ollama, "/api/generate")["keep_alive"] == -1


def test_what_is_unpinned_leaves_after_its_usual_time_without_a_reload(
    app: App, ollama: FakeOllama
) -> None:
    load(app, how="pin")
    app.ask("chat", num_ctx=2048)
    loads = ollama.load_count("llama3.2:latest")

    load(app, how="unpin")
    there = ollama.loaded()
    ollama.advance(301)

    assert there == ["llama3.2:latest"]
    assert last(ollama, "/api/generate") == {
        "model": "llama3.2:latest",
        "options": {"num_ctx": 2048},
        "keep_alive": "5m",
    }
    assert (ollama.loaded(), ollama.load_count("llama3.2:latest")) == ([], loads)
    assert model(app).pinned_on == ()


def test_what_is_unpinned_stays_as_long_as_its_override_says(app: App, ollama: FakeOllama) -> None:
    load(app, how="pin")
    override(app, keep_alive="30m")

    load(app, how="unpin")

    assert last(ollama, "/api/generate")["keep_alive"] == "30m"


def test_an_embedding_model_is_unpinned(app: App, ollama: FakeOllama) -> None:
    load(app, "nomic-embed-text", "pin")

    load(app, "nomic-embed-text", "unpin")
    ollama.advance(301)

    assert ollama.loaded() == []


def test_unpinning_loads_nothing(app: App, ollama: FakeOllama) -> None:
    load(app, how="pin")
    ollama.scheduler.unload_all()

    load(app, how="unpin")

    assert ollama.loaded() == []
    assert model(app).pinned_on == ()


def test_a_model_that_its_override_keeps_is_not_unpinned(app: App, ollama: FakeOllama) -> None:
    override(app, keep_alive=-1)
    load(app)

    found = model(app)
    (done,) = app.services.operations.unpin(found.name, found.server_ids, SYSTEM)

    assert "Its parameters keep it in memory" in done.error


def test_a_pin_survives_a_refresh(app: App) -> None:
    load(app, how="pin")

    app.services.refresher.refresh()

    assert model(app).pinned_on == model(app).server_ids


def test_a_pin_holds_on_its_server_only() -> None:
    pinned = Model(1, "llama3.2:latest", "llama3.2", server_ids=(1, 2), pinned_on=(2,))

    told = [kept(Params(), pinned, server_id).keep_alive for server_id in (1, 2)]

    assert told == [None, -1]
