"""Decisions through the whole gateway: parts, servers, limits, refusals, records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fake_ollama import FakeOllama, Fault, Script, error
from gateway.scheduling.probes import Prober
from tests.api.apps import App, application, told
from tests.support.document import document

NOUL = {"type": "noul", "instructions": "Is it safe?"}
CHOICE = {"type": "choice", "instructions": "Which?", "criteria": {"b": None, "a": "The bay."}}
DOCUMENT = document()
CANARY = "the-hidden-bay"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with FakeOllama(version="0.35.0") as ollama:
        yield ollama


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory, server: FakeOllama) -> Iterator[App]:
    """An application whose key may ask for decisions."""
    with application(tmp_path_factory.mktemp("decisions"), server) as app:
        app.use_key(scopes=["decisions", "chat", "embeddings"])
        yield app


@pytest.fixture
def ollama(server: FakeOllama) -> FakeOllama:
    server.reset()
    return server


@pytest.fixture
def app(shared_app: App, ollama: FakeOllama) -> App:
    shared_app.rest()
    learn_versions(shared_app)
    return shared_app


def ask(app: App, questions: Any = None, **more: Any) -> Any:
    body = {"model": "nimble", "state": CANARY, "questions": questions or {"q": NOUL}, **more}
    return app.post("/v1/systemone", body)


def learn_versions(app: App) -> None:
    scheduler = app.services.scheduler
    for server in scheduler.servers.values():
        Prober(scheduler).probe(server)


def check(found: Any, schema: str) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", **DOCUMENT}
    jsonschema.Draft202012Validator(whole).validate(found)


def test_questions_are_answered(app: App, ollama: FakeOllama) -> None:
    answer = ask(app, {"z": CHOICE, "a": NOUL}, keep_alive=60, temperature=1)
    found = answer.get_json()

    assert answer.status_code == 200, found
    check(found, "SystemOneResponse")
    assert answer.headers["x-request-id"].startswith("req_")
    assert found["model"] == "nimble"
    assert 0 < found["answers"]["a"]["noul"] < 1
    assert set(found["answers"]["z"]["probabilities"]) == {"a", "b"}
    assert ollama.calls("/v1/systemone")[0].json == {
        "model": "nimble:latest",
        "state": CANARY,
        "questions": {"z": CHOICE, "a": NOUL},
        "keep_alive": 60,
    }


def test_openais_questions_are_answered(app: App, ollama: FakeOllama) -> None:
    choices = [{"value": "b"}, {"value": "a", "description": "The bay."}]
    questions = [
        {"type": "choice", "instructions": "Which?", "choices": choices},
        {"type": "predicate", "name": "q", "instructions": "Is it safe?"},
    ]
    body = {"model": "nimble", "input": CANARY, "questions": questions}
    theirs = ask(app, {"1": CHOICE, "q": NOUL}).get_json()["answers"]

    answer = app.post("/v1/decisions", body)

    found = answer.get_json()
    assert answer.status_code == 200, found
    check(found, "Decision")
    assert found["answers"][0]["choice"] == theirs["1"]["choice"]
    assert found["answers"][1] == {
        "type": "predicate",
        "name": "q",
        "probability": theirs["q"]["noul"],
    }
    first, second = ollama.calls("/v1/systemone")
    assert first.json == second.json


def test_many_questions_are_asked_in_parts(app: App, ollama: FakeOllama) -> None:
    questions = {f"q{n:03}": NOUL for n in range(150)}

    found = ask(app, questions).get_json()

    parts = [one.json["questions"] for one in ollama.calls("/v1/systemone")]
    assert [len(part) for part in parts] == [64, 64, 22]
    assert list(found["answers"]) == list(questions)
    assert found["usage"]["output_tokens"] == 150


def test_a_refused_part_refuses_the_call(app: App, ollama: FakeOllama) -> None:
    ollama.script("nimble", Script(), Script(fault=error(500, "it broke")))

    answer = ask(app, {f"q{n}": NOUL for n in range(65)})

    assert (answer.status_code, told(answer)["code"]) == (502, "upstream_error")


BAD: dict[str, Script] = {
    "missing": Script(final={"answers": {}}),
    "no number": Script(final={"answers": {"q": {"type": "noul", "noul": None}}}),
    "broken": Script(fault=Fault("reset_mid_line")),
}


@pytest.mark.parametrize("script", BAD.values(), ids=BAD)
def test_a_bad_answer_is_no_decision(app: App, ollama: FakeOllama, script: Script) -> None:
    ollama.script("nimble", script)

    answer = ask(app)

    assert answer.status_code == 502
    assert CANARY not in answer.get_data(as_text=True)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a chat model": (
        "/v1/systemone",
        {"model": "llama3.2", "state": "x", "questions": {"q": NOUL}},
        "decisions_not_supported",
    ),
    "a chat model in OpenAI's form": (
        "/v1/decisions",
        {
            "model": "llama3.2",
            "input": "x",
            "questions": [{"type": "predicate", "instructions": "It is safe."}],
        },
        "decisions_not_supported",
    ),
    "a chat": (
        "/v1/chat/completions",
        {"model": "nimble", "messages": [{"role": "user", "content": "Hello?"}]},
        "chat_not_supported",
    ),
    "an embedding": (
        "/v1/embeddings",
        {"model": "nimble", "input": "x"},
        "embeddings_not_supported",
    ),
}


@pytest.mark.parametrize(("path", "body", "code"), REFUSED.values(), ids=REFUSED)
def test_a_model_is_asked_for_what_it_can(
    app: App, ollama: FakeOllama, path: str, body: dict[str, Any], code: str
) -> None:
    answer = app.post(path, body)

    assert (answer.status_code, told(answer)["code"], told(answer)["param"]) == (400, code, "model")


PREDICATE = {"type": "predicate", "instructions": "It is safe."}
FORMS: dict[str, dict[str, Any]] = {
    "decisions": {"model": "nimble", "input": CANARY, "questions": [PREDICATE] * 70},
    "systemone": {
        "model": "nimble",
        "state": CANARY,
        "questions": {f"q{number}": NOUL for number in range(70)},
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_a_call_has_the_limits_and_record_of_every_call(
    app: App, ollama: FakeOllama, name: str
) -> None:
    app.use_key(scopes=["decisions"], requests_per_minute=1)
    answer = app.post(f"/v1/{name}", FORMS[name], **{"x-gateway-explain": "1"})
    limited = app.post(f"/v1/{name}", FORMS[name])
    app.use_key(scopes=["decisions", "chat", "embeddings"])
    found = app.record(answer)

    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit-requests"] == "1"
    assert "x-gateway-explain-route" in answer.headers
    assert (limited.status_code, told(limited)["code"]) == (429, "rate_limit_exceeded")
    assert (found.row.endpoint, found.row.status) == (name, 200)
    assert found.row.prompt_tokens == answer.get_json()["usage"]["input_tokens"]
    assert found.row.completion_tokens == 70
    assert found.explain["sent"]["path"] == "/v1/systemone"
    assert CANARY not in str(found)


def test_a_key_without_the_scope_is_refused(tmp_path: Path, ollama: FakeOllama) -> None:
    with application(tmp_path, ollama) as app:
        answer = ask(app)

    assert answer.status_code == 403
    assert told(answer)["message"] == "This API key may not use decisions."


def test_only_a_server_that_knows_decisions_is_asked(tmp_path: Path) -> None:
    with (
        FakeOllama(version="0.34.2") as old,
        FakeOllama(version="0.35.0") as new,
        application(tmp_path, old, new) as app,
    ):
        app.use_key(scopes=["decisions"])
        learn_versions(app)
        answers = [ask(app) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert not old.calls("/v1/systemone")


@pytest.mark.parametrize("is_known", [False, True], ids=["asked", "known"])
def test_a_server_too_old_is_named(tmp_path: Path, is_known: bool) -> None:
    with FakeOllama(version="0.34.2") as old, application(tmp_path, old) as app:
        app.use_key(scopes=["decisions"])
        if is_known:
            learn_versions(app)
        answer = ask(app)

    assert (answer.status_code, told(answer)["code"]) == (400, "decisions_not_supported")
    assert "0.35" in told(answer)["message"]
    assert len(old.calls("/v1/systemone")) == (not is_known)


def test_another_server_answers_when_one_is_away(tmp_path: Path) -> None:
    busy = Script(fault=error(503, "server busy, please try again"))
    with (
        FakeOllama(version="0.35.0") as one,
        FakeOllama(version="0.35.0") as other,
        application(tmp_path, one, other) as app,
    ):
        app.use_key(scopes=["decisions"])
        one.script("nimble", busy)
        answers = [ask(app) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200] * 4


def test_overrides_decide_how_the_model_is_loaded(tmp_path: Path, ollama: FakeOllama) -> None:
    with application(tmp_path, ollama) as app:
        app.use_key(
            scopes=["decisions"],
            forced_params={"num_ctx": 2048, "keep_alive": "10m", "temperature": 1, "think": True},
        )
        ask(app)

    sent = ollama.calls("/v1/systemone")[0].json
    assert (sent["keep_alive"], sent["options"]) == ("10m", {"num_ctx": 2048})
