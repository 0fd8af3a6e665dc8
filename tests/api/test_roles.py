"""Names of roles at the API: who answers, and what the answer, the list and the record say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_ollama import FakeOllama
from gateway.core.admin import SYSTEM
from tests.api.apps import APIS, App, application
from tests.support.asking import ENDPOINTS, asked


@pytest.fixture
def own(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    """An application whose key names models for roles."""
    with application(tmp_path, ollama) as app:
        app.use_key(opus_model="qwen3:8b", haiku_model="llama3.2")
        yield app


@pytest.mark.parametrize("api", APIS)
def test_the_keys_model_answers_under_the_name_asked_for(
    own: App, ollama: FakeOllama, api: str
) -> None:
    answer = own.ask(api, model="claude-opus-4-1")

    assert answer.get_json()["model"] == "claude-opus-4-1"
    assert [call.model for call in asked(ollama)] == ["qwen3:8b"]


def test_the_record_holds_both_names(own: App) -> None:
    found = own.record(own.ask("messages", model="claude-3-5-haiku-20241022"))

    assert found.row.requested_model == "claude-3-5-haiku-20241022"
    assert found.row.model == "llama3.2"


def test_a_model_that_is_not_there_any_more_is_passed_over(own: App) -> None:
    own.set(fallback_model="llama3.2")
    qwen = next(one for one in own.services.catalog.models() if one.name == "qwen3:8b")
    own.services.models.enable([qwen.id], False, SYSTEM)

    assert own.record(own.ask("chat", model="opus")).row.model == "llama3.2"


@pytest.mark.parametrize("api", ENDPOINTS)
def test_an_unknown_model_is_refused_in_words_clients_look_for(app: App, api: str) -> None:
    endpoint = ENDPOINTS[api]

    answer = app.post(endpoint.path, endpoint.with_(model="lama3.2"))

    assert answer.status_code == 404
    error = answer.get_json()["error"]
    assert (error if isinstance(error, str) else error["message"]) == (
        "The model 'lama3.2' was not found: it does not exist or is not available here. "
        "Did you mean 'llama3.2'?"
    )


def test_one_model_is_found_by_its_role_and_the_list_stays_that_of_models(own: App) -> None:
    found = own.get("/v1/models/claude-opus-4-1").get_json()
    listed = own.get("/v1/models").get_json()

    assert found["id"] == "qwen3:8b"
    assert not any("opus" in one["id"] for one in listed["data"])
