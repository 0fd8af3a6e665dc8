"""The playground: the API's own way, with the rights of the chosen key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama
from gateway.core.requests import Filter
from gateway.store.usage import request_queries
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor


def run(admin: Visitor, key: object, **body: Any) -> list[dict[str, Any]]:
    """Send a message; give the events of the answer."""
    admin.get("/admin/playground")
    sent = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "Why?"}], "stream": True}
    answer = admin.client.post(
        "/admin/playground/run",
        json={"key": key, "body": sent | body},
        headers={"X-CSRFToken": admin.token},
    )
    assert answer.status_code == 200
    text = answer.text
    answer.close()
    return [json.loads(frame[6:]) for frame in text.split("\n\n") if frame]


@pytest.fixture
def key(parts: Services, served: FakeOllama) -> int:
    """A key that may use everything."""
    return parts.keys.issue({"name": "one"}, ACTOR)[0].id


def test_an_answer_is_streamed_with_its_figures(admin: Visitor, parts: Services, key: int) -> None:
    events = run(admin, key, reasoning_effort="high")
    kinds = [event["type"] for event in events]
    text = "".join(event["text"] for event in events if event["type"] == "text")

    assert kinds[0] == "start"
    assert '"content": "Why?"' in events[0]["copies"]["curl"]
    assert kinds[-1] == "done"
    assert kinds.index("thinking") < kinds.index("text")
    assert len(text) > 20
    assert events[-1]["output"] > 0
    assert events[-1]["server"] == "workstation"


def test_the_call_is_recorded_as_the_keys_own(admin: Visitor, parts: Services, key: int) -> None:
    run(admin, key)
    parts.usage.start()
    parts.usage.flush(5)
    parts.usage.stop()
    call = parts.store.read(request_queries.page, Filter())[0]

    assert (call.key_id, call.client_app, call.endpoint, call.status) == (
        key,
        "playground",
        "chat",
        200,
    )


REFUSED = [
    ({"allow": ["gemma3*"]}, 403, "model_access_denied"),
    ({"scopes": ["embeddings"]}, 403, "permission_denied"),
    ({"enabled": False}, 401, "api_key_revoked"),
]


@pytest.mark.usefixtures("served")
def test_the_limits_of_the_key_hold(admin: Visitor, parts: Services) -> None:
    for limits, status, code in REFUSED:
        made, _ = parts.keys.issue({"name": "narrow", **limits}, ACTOR)
        (event,) = run(admin, made.id)

        assert (event["type"], event["status"], event["code"]) == ("failed", status, code)


@pytest.mark.usefixtures("served")
def test_an_unknown_key_is_refused(admin: Visitor) -> None:
    for key_id in (None, "x", 999, "", [1]):
        events = run(admin, key_id)

        assert (events[0]["type"], events[0]["param"]) == ("failed", "key"), key_id


def test_a_request_nobody_can_read_is_refused_as_the_api_would(
    admin: Visitor, parts: Services, key: int
) -> None:
    events = run(admin, key, messages="not a list")

    assert (events[0]["status"], events[0]["param"]) == (400, "messages")


def test_parameters_tell_where_they_came_from(admin: Visitor, parts: Services, key: int) -> None:
    model = next(m for m in parts.catalog.models() if m.name == "qwen3:8b")
    parts.models.update(model.id, {"override": {"force": {"num_ctx": 8192}, "top_k": 20}}, ACTOR)
    done = run(admin, key, temperature=0.5, options={"num_ctx": 999})[-1]
    found = {name: (value, layer) for name, value, layer in done["parameters"]}

    assert found["num_ctx"] == ("8192", "fixed by the model")
    assert found["top_k"] == ("20", "the model's parameters")
    assert found["temperature"] == ("0.5", "the request")
    assert ["num_ctx", "another value is fixed"] in done["changes"]


def test_a_form_of_another_kind_is_not_taken(admin: Visitor, key: int) -> None:
    admin.get("/admin/playground")
    answer = admin.client.post(
        "/admin/playground/run", data={"key": "1", "csrf_token": admin.token}
    )

    assert "cannot be read" in answer.text or "nothing that can be read" in answer.text
