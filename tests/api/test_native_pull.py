"""Pulls by keys, over Ollama's own API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from fake_ollama import FakeOllama
from gateway.core.admin import SYSTEM
from gateway.schemas.key import DEFAULT_SCOPES
from gateway.store import audit
from tests.api.apps import App, application
from tests.support.process import until

pytestmark = pytest.mark.usefixtures("quick_jobs")

NEW = "smollm2:135m"
LONG = "registry.ollama.ai/library/" + NEW


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as server:
        yield server


@pytest.fixture
def app(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    with application(tmp_path, ollama) as made:
        use_key(made)
        yield made
        made.services.pulls.stop()


def use_key(app: App, **fields: Any) -> None:
    app.use_key(scopes=[*DEFAULT_SCOPES, "pull"], **fields)


def lines(answer: TestResponse) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in answer.get_data().splitlines()]


def pulled(app: App, name: str = NEW, **more: Any) -> TestResponse:
    return app.post("/api/pull", {"model": name, **more})


def test_the_progress_of_a_pull_is_told_in_ollamas_lines(app: App, ollama: FakeOllama) -> None:
    with (
        ollama.hold("/api/pull", at=4) as gate,
        app.open("/api/pull", {"model": NEW}) as answer,
    ):
        pieces = answer.iter_encoded()
        first = next(pieces)
        gate.wait_reached()
        second = next(pieces)
        ollama.release()
        *_, last = b"".join(pieces).splitlines()
    (layer,) = [orjson.loads(line) for line in second.splitlines()]

    assert answer.mimetype == "application/x-ndjson"
    assert (orjson.loads(first), orjson.loads(last)) == (
        {"status": "pulling manifest"},
        {"status": "success"},
    )
    assert 0 < layer["completed"] < layer["total"]
    assert layer["status"] == f"pulling {layer['digest'].removeprefix('sha256:')[:12]}"
    assert NEW in [one.name for one in app.services.catalog.models()]
    (entry,) = [one for one in app.services.store.read(audit.page) if one.action == "model.pull"]
    assert (entry.actor_kind, entry.actor_name, entry.object_name) == ("key", "test", NEW)


def test_a_pull_in_one_piece_is_answered_at_its_end(app: App) -> None:
    answer = pulled(app, stream=False)

    assert answer.get_json() == {"status": "success"}
    assert NEW in [one.name for one in app.services.catalog.models()]


def test_two_who_ask_for_the_same_model_share_one_pull(app: App, ollama: FakeOllama) -> None:
    answers: list[TestResponse] = []
    with ollama.hold("/api/pull", at=3):
        asking = [Thread(target=lambda: answers.append(pulled(app))) for _ in range(2)]
        for one in asking:
            one.start()
        until(lambda: app.services.pulls.all(), "the job")
    for one in asking:
        one.join(20)

    assert len(ollama.calls("/api/pull")) == 1
    assert [lines(answer)[-1] for answer in answers] == [{"status": "success"}] * 2


def test_a_model_that_turns_out_too_large_is_ended(app: App, ollama: FakeOllama) -> None:
    app.set(pull_limit_gb=1)

    with ollama.hold("/api/pull", at=3):
        streamed = pulled(app, "mistral:7b")
        ollama.wait_disconnect()
    whole = pulled(app, "mistral:7b", stream=False)

    sentence = "The model is larger than the 1 GB that keys may pull."
    assert lines(streamed)[-1] == whole.get_json() == {"error": sentence}
    assert (streamed.status_code, whole.status_code) == (200, 502)
    app.set(pull_limit_gb=0)
    assert lines(pulled(app, "mistral:7b"))[-1] == {"status": "success"}


def test_a_model_nobody_has_is_a_sentence(app: App) -> None:
    streamed, whole = pulled(app, "none:1b"), pulled(app, "none:1b", stream=False)

    sentence = "The registry does not know this model: check its name and tag."
    assert lines(streamed)[-1] == whole.get_json() == {"error": sentence}
    assert whole.status_code == 502


def test_a_server_that_is_gone_is_a_sentence(app: App, ollama: FakeOllama) -> None:
    ollama.stop()
    last = lines(pulled(app))[-1]
    server = next(iter(app.services.scheduler.servers.values()))
    server.open = False
    refused = pulled(app)

    assert list(last) == ["error"]
    assert "cannot be reached" in last["error"]
    assert refused.status_code == 503
    assert list(refused.get_json()) == ["error"]


def test_a_pull_goes_on_when_its_caller_leaves(app: App, ollama: FakeOllama) -> None:
    with (
        ollama.hold("/api/pull", at=3) as gate,
        app.open("/api/pull", {"model": NEW}) as answer,
    ):
        next(answer.iter_encoded())
        gate.wait_reached()
    until(lambda: app.services.pulls.all()[0].job.state == "done", "the end of the job")

    assert NEW in [one.name for one in app.services.catalog.models()]


def test_a_pull_that_an_administrator_stops_is_a_sentence(app: App, ollama: FakeOllama) -> None:
    answers: list[TestResponse] = []
    with ollama.hold("/api/pull", at=3) as gate:
        asking = Thread(target=lambda: answers.append(pulled(app)))
        asking.start()
        gate.wait_reached()
        app.services.pulls.cancel(app.services.pulls.all()[0].job.id, SYSTEM)
        asking.join(20)

    assert lines(answers[0])[-1] == {"error": "The pull was cancelled."}


MAY = {
    "all": ({}, NEW, 200),
    "this one": ({"allow": [NEW]}, NEW, 200),
    "this one by a pattern": ({"allow": ["smollm*"]}, NEW, 200),
    "others": ({"allow": ["llama3.2"]}, NEW, 403),
    "others, in another spelling": ({"allow": ["llama3.2"]}, LONG, 403),
    "all but this one": ({"allow": ["*"], "deny": [NEW]}, "library/" + NEW, 403),
    "one there is, by its other name": ({"deny": ["house/thinker"]}, "qwen3:8b", 403),
}  # fmt: skip


@pytest.mark.parametrize("case", MAY)
def test_a_key_pulls_what_it_may_use(app: App, ollama: FakeOllama, case: str) -> None:
    rules, name, status = MAY[case]
    model = next(one for one in app.services.catalog.models() if one.name == "qwen3:8b")
    app.services.models.update(model.id, {"display_name": "house/thinker"}, SYSTEM)
    use_key(app, **rules)

    assert pulled(app, name, stream=False).status_code == status
    assert len(ollama.calls("/api/pull")) == (status == 200)


def test_a_model_there_is_may_be_named_as_clients_see_it(app: App, ollama: FakeOllama) -> None:
    model = next(one for one in app.services.catalog.models() if one.name == "qwen3:8b")
    app.services.models.update(model.id, {"display_name": "house/thinker"}, SYSTEM)

    assert pulled(app, "house/thinker", stream=False).status_code == 200
    assert ollama.calls("/api/pull")[0].json["model"] == "qwen3:8b"


def test_a_key_that_may_not_pull_is_told_whether_the_model_is_there(app: App) -> None:
    app.use_key()
    misspelt, known = pulled(app, "lama3.2"), pulled(app, "llama3.2")

    refused = "This API key may not use pulls of models."
    assert misspelt.status_code == known.status_code == 403
    assert known.get_json() == {"error": refused}
    assert misspelt.get_json()["error"].startswith("The model 'lama3.2' was not found")
    assert misspelt.get_json()["error"].endswith(f"Did you mean 'llama3.2'? {refused}")


@pytest.mark.parametrize("body", [{}, {"model": " "}, {"model": 3}, {"model": "a b/c"}])
def test_what_is_no_name_is_refused(app: App, body: dict[str, Any]) -> None:
    answer = app.post("/api/pull", body)

    assert answer.status_code == 400
    assert list(answer.get_json()) == ["error"]


def test_pulls_count_in_the_requests_per_minute(app: App) -> None:
    use_key(app, requests_per_minute=1)

    assert [pulled(app, stream=False).status_code for _ in range(2)] == [200, 429]
