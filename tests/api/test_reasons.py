"""`x-gateway-explain: 1`: the answer says which parameters are in force, and why its server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from fake_ollama import FakeOllama, Script, error
from gateway.api.hooks import EXPOSED
from gateway.calls.explanation import MAX_CHARS, header_of
from tests.api.apps import APIS, App, application

PARAMS, ROUTE = "x-gateway-explain-params", "x-gateway-explain-route"
CANARY = "the-hidden-bay"
ASKED = {"x-gateway-explain": "1"}
EMBEDDING = ("/v1/embeddings", {"model": "nomic-embed-text", "input": CANARY})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, shared_ollama: FakeOllama) -> Iterator[App]:
    """An application whose key brings parameters."""
    shared_ollama.reset()
    with application(tmp_path_factory.mktemp("reasons"), shared_ollama) as app:
        app.use_key(default_params={"think": False, "num_ctx": 4_096})
        yield app


@pytest.fixture
def ollama(shared_ollama: FakeOllama) -> FakeOllama:
    shared_ollama.reset()
    return shared_ollama


def ask(app: App, api: str, *, stream: bool = False) -> TestResponse:
    path, body = APIS[api]
    wishes = {"stop": [CANARY, "x"], "temperature": 0.2, CANARY: 1, "options": {CANARY: CANARY}}
    return app.post(path, {"model": "llama3.2", **body, **wishes, "stream": stream}, **ASKED)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", APIS)
def test_every_api_says_why(app: App, ollama: FakeOllama, api: str, stream: bool) -> None:
    answer = ask(app, api, stream=stream)
    said = answer.headers[PARAMS].split(", ")

    assert answer.status_code == 200
    assert "num_ctx=4096 (key)" in said
    assert "temperature=0.2 (request)" in said
    assert "think=false (key)" in said
    assert "slots free" in answer.headers[ROUTE]
    assert CANARY not in str(answer.headers)


def test_texts_are_said_by_their_size(app: App, ollama: FakeOllama) -> None:
    said = ask(app, "chat").headers[PARAMS]

    assert f"stop=2 texts of {len(CANARY) + 1} characters (request)" in said.split(", ")


def test_embeddings_say_why_too(app: App, ollama: FakeOllama) -> None:
    answer = app.post(*EMBEDDING, **ASKED)

    assert answer.headers[PARAMS] == "num_ctx=4096 (key)"
    assert answer.headers[ROUTE]


@pytest.mark.parametrize("api", APIS)
def test_a_failure_says_what_is_known(app: App, ollama: FakeOllama, api: str) -> None:
    ollama.script("llama3.2", Script(fault=error(400, CANARY)))
    answer = ask(app, api)

    assert answer.status_code >= 400
    assert "num_ctx=4096 (key)" in answer.headers[PARAMS]
    assert answer.headers[ROUTE]
    assert CANARY not in str(answer.headers)


def test_a_call_that_was_not_admitted_knows_its_parameters(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    with application(tmp_path, ollama) as app:
        app.use_key(requests_per_minute=1, forced_params={"num_ctx": 2_048})
        ask(app, "chat")
        refused = [ask(app, "chat"), app.post(*EMBEDDING, **ASKED)]

    for answer in refused:
        assert answer.status_code == 429
        assert "num_ctx=2048 (force:key)" in answer.headers[PARAMS]
        assert ROUTE not in answer.headers


def test_what_is_not_known_is_not_said(app: App, ollama: FakeOllama) -> None:
    unknown = app.post("/v1/chat/completions", {**APIS["chat"][1], "model": "nobody"}, **ASKED)
    not_asked = app.ask("chat")

    assert unknown.status_code == 404
    for answer in (unknown, not_asked):
        assert PARAMS not in answer.headers
        assert ROUTE not in answer.headers


def test_pages_may_read_the_reasons() -> None:
    assert {PARAMS, ROUTE} <= set(EXPOSED.split(", "))


def test_the_header_is_short_and_ascii() -> None:
    said = header_of({f"option_{number}": [f"5µs{number}", "model"] for number in range(500)})

    assert said.startswith("option_0=5?s0 (model), option_1=")
    assert said.endswith(" (model)")
    assert said.isascii()
    assert 900 < len(said) <= MAX_CHARS
