"""A title beside a conversation: who goes first, on which model, and what becomes of the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fake_ollama import FakeModel, FakeOllama
from gateway.core.admin import SYSTEM
from gateway.core.chat import EMPTY
from gateway.errors import ClientGone
from gateway.runtime import tasks
from gateway.runtime.tasks import Task
from tests.api.apps import App, application
from tests.calls.places import until

HOURS_S = 36_000.0
AGENT = {"User-Agent": "claude-cli/2.1.197 (external, cli)"}
SESSION = {"metadata": {"user_id": '{"device_id":"d","session_id":"s"}'}}
TOOL = {"name": "shell", "input_schema": {"type": "object"}}
LONG = "The harbour has a long quay with many berths. " * 40


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    """A server that runs two calls of a model at once and remembers one prompt of it."""
    names = ("tern:latest", "wren:latest")
    models = [FakeModel(name, ("completion", "tools"), slots=2) for name in names]
    with FakeOllama(models, version="0.33.2") as ollama:
        yield ollama


@pytest.fixture
def app(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    with application(tmp_path, ollama) as app:
        (server,) = app.services.catalog.servers()
        app.services.servers.update(server.id, {"slots": 2}, SYSTEM)
        app.services.live.sessions.bound_s = HOURS_S
        app.services.live.sessions.pause_s = HOURS_S
        yield app


def turn(app: App, *said: str, **more: Any) -> TestResponse:
    """Ask as the conversation of an agent does."""
    messages = [{"role": "user", "content": text} for text in (LONG, *said)]
    body = {"model": "tern", "messages": messages, "max_tokens": 4000, "tools": [TOOL]}
    return app.post("/v1/messages", {**SESSION, **body, **more}, **AGENT)


def title(app: App, headers: Mapping[str, str] = EMPTY, **more: Any) -> TestResponse:
    """Ask for a title as an agent does beside its conversation."""
    messages = [{"role": "user", "content": "Name this session."}]
    body = {"model": "tern", "messages": messages, "max_tokens": 60}
    return app.post("/v1/messages", {**SESSION, **body, **more}, **AGENT, **headers)


def held(app: App) -> list[Any]:
    """Return the calls that have asked no server yet."""
    return [call for call in app.services.live.calls() if not call.stats.upstream_calls]


def cached(answer: TestResponse) -> int:
    tokens: int = answer.get_json()["usage"]["cache_read_input_tokens"]
    return tokens


def spawned(app: App, ollama: FakeOllama) -> tuple[Any, Task[TestResponse], Task[TestResponse]]:
    """Return a held turn of a conversation, and the title that is asked for beside it."""
    gate = ollama.hold("tern", at=1)
    main = tasks.spawn(turn, app)
    gate.wait_reached()
    beside = tasks.spawn(title, app)
    until(lambda: held(app), "the title to wait")
    return gate, main, beside


def test_a_title_waits_for_the_conversation_and_leaves_it_its_cache(
    app: App, ollama: FakeOllama
) -> None:
    gate, main, beside = spawned(app, ollama)
    gate.release()
    assert main.wait(10)
    following = turn(app, "Go on.")

    assert cached(following) > 200
    assert not beside.ended
    app.services.live.sessions.pause_s = 0
    turn(app, "And on.")
    assert beside.wait(10)
    assert beside.result().status_code == 200
    assert cached(turn(app, "Still there?")) < 20  # one prompt is all the model remembers


def test_a_title_waits_no_longer_than_the_bound(app: App, ollama: FakeOllama) -> None:
    app.services.live.sessions.bound_s = 0.05
    gate = ollama.hold("tern", at=1)
    main = tasks.spawn(turn, app)
    gate.wait_reached()
    beside = tasks.spawn(title, app)
    ollama.wait_requests(2, path="/api/chat")
    gate.release()

    assert main.wait(10)
    assert beside.wait(10)
    assert len(app.services.live.sessions) == 0


def test_a_title_goes_at_once_to_a_model_of_its_own(app: App, ollama: FakeOllama) -> None:
    app.use_key(haiku_model="wren")
    gate = ollama.hold("tern", at=1)
    main = tasks.spawn(turn, app)
    gate.wait_reached()
    beside = title(app, model="claude-haiku-4-5")
    gate.release()
    assert main.wait(10)

    assert beside.get_json()["model"] == "claude-haiku-4-5"
    assert [call.model for call in ollama.calls("/api/chat")] == ["tern:latest", "wren:latest"]
    assert cached(turn(app, "Go on.")) > 200


NAMED: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({}, {"metadata": {"user_id": "another"}}),
    ({"X-Claude-Code-Session-Id": "another"}, {"metadata": None}),
    ({"Session-Id": "another"}, {"metadata": None}),
]


@pytest.mark.parametrize(("headers", "body"), NAMED, ids=["body", "Claude Code", "Codex"])
def test_a_title_of_another_session_waits_for_nobody(
    app: App, ollama: FakeOllama, headers: dict[str, str], body: dict[str, Any]
) -> None:
    gate = ollama.hold("tern", at=1)
    main = tasks.spawn(partial(turn, app, metadata=None))  # its session is its address
    gate.wait_reached()
    beside = tasks.spawn(partial(title, app, headers, **body))
    ollama.wait_requests(2, path="/api/chat")
    gate.release()

    assert main.wait(10)
    assert beside.wait(10)


def test_without_a_name_a_session_is_its_address(app: App, ollama: FakeOllama) -> None:
    gate = ollama.hold("tern", at=1)
    main = tasks.spawn(partial(turn, app, metadata=None))
    gate.wait_reached()
    beside = tasks.spawn(partial(title, app, metadata=None))
    until(lambda: held(app), "the title to wait")
    app.services.live.sessions.pause_s = 0
    gate.release()

    assert main.wait(10)
    assert beside.wait(10)


def test_a_title_whose_client_left_waits_no_longer(app: App, ollama: FakeOllama) -> None:
    gate, main, beside = spawned(app, ollama)
    (call,) = held(app)
    call.cancel(ClientGone("gone"))

    assert beside.wait(5)
    gate.release()
    assert main.wait(10)
    assert len(ollama.calls("/api/chat")) == 1
    assert len(app.services.live.sessions) == 0


def test_a_title_goes_last_in_the_queue(app: App, ollama: FakeOllama) -> None:
    app.services.live.sessions.bound_s = 0
    gate = ollama.hold("tern", at=1)
    running = [tasks.spawn(turn, app) for _ in range(2)]
    ollama.wait_requests(2, path="/api/chat")
    beside = tasks.spawn(title, app)
    until(lambda: app.services.scheduler.waiting() == {"tern:latest": 1}, "the title to queue")
    late = tasks.spawn(turn, app, "Later.")
    until(lambda: app.services.scheduler.waiting() == {"tern:latest": 2}, "a turn to queue")
    places = {call.stats.admission.has_tools: call.queue_position[0] for call in held(app)}
    gate.release()

    assert places == {True: 1, False: 2}
    for task in (*running, late, beside):
        assert task.wait(10)
