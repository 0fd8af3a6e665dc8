"""The playground: the API's own way, with the rights of the chosen key."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask import Flask

from fake_ollama import FakeOllama
from gateway.admin.playground.choices import MOST_KEYS
from gateway.admin.playground.embed import cosine
from gateway.core.requests import Filter
from gateway.store.usage import request_queries
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor, account


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
    assert re.search(r"[1-9]\d* out · .* · workstation · stop", events[-1]["html"])


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

        assert event["type"] == "failed"
        assert f"{status} · {code}" in event["html"]


@pytest.mark.usefixtures("served")
def test_an_unknown_key_is_refused(admin: Visitor) -> None:
    for key_id in (None, "x", 999, "", [1]):
        events = run(admin, key_id)

        assert events[0]["type"] == "failed"
        assert "Choose an API key." in events[0]["html"], key_id


def test_a_request_nobody_can_read_is_refused_as_the_api_would(
    admin: Visitor, parts: Services, key: int
) -> None:
    events = run(admin, key, messages="not a list")

    assert "400 · " in events[0]["html"]
    assert "messages" in events[0]["html"]


def test_parameters_tell_where_they_came_from(admin: Visitor, parts: Services, key: int) -> None:
    model = next(m for m in parts.catalog.models() if m.name == "qwen3:8b")
    parts.models.update(model.id, {"override": {"force": {"num_ctx": 8192}, "top_k": 20}}, ACTOR)
    done = run(admin, key, temperature=0.5, options={"num_ctx": 999})[-1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in done["html"].split("<tr>")]

    assert ["num_ctx", "8192", "fixed by the model"] in rows
    assert ["top_k", "20", "the model&#39;s parameters"] in rows
    assert ["temperature", "0.5", "the request"] in rows
    assert ["num_ctx", "another value is fixed"] in rows


def test_a_form_of_another_kind_is_not_taken(admin: Visitor, key: int) -> None:
    admin.get("/admin/playground")
    answer = admin.client.post(
        "/admin/playground/run", data={"key": "1", "csrf_token": admin.token}
    )

    assert "cannot be read" in answer.text or "nothing that can be read" in answer.text


def models_for(admin: Visitor, key: int) -> dict[str, str]:
    """Return what is done with each model that a key may use."""
    piece = admin.get(f"/admin/playground/models?key={key}").text.partition('id="second"')[0]
    return dict(re.findall(r'<option value="([^"]+)" data-mode="(\w+)"', piece))


@pytest.mark.usefixtures("served")
def test_the_models_are_those_of_the_key(admin: Visitor, parts: Services) -> None:
    limited, _ = parts.keys.issue({"name": "limited", "allow": ["gemma3*", "nomic*"]}, ACTOR)
    search, _ = parts.keys.issue({"name": "search", "scopes": ["embeddings"]}, ACTOR)

    assert models_for(admin, limited.id) == {"gemma3:4b": "chat", "nomic-embed-text": "embeddings"}
    assert set(models_for(admin, search.id).values()) == {"embeddings"}


def test_a_model_that_embeds_is_opened_itself(admin: Visitor, key: int) -> None:
    page = admin.get("/admin/playground?model=nomic-embed-text").text

    assert re.search(r'value="nomic-embed-text" data-mode="embeddings" selected', page)


@pytest.mark.usefixtures("served")
def test_a_model_that_the_key_may_not_use_is_told(admin: Visitor, parts: Services) -> None:
    narrow, _ = parts.keys.issue({"name": "narrow", "allow": ["gemma3*"]}, ACTOR)
    page = admin.get(f"/admin/playground?key={narrow.id}&model=llama3.2").text

    assert "The key “narrow” may not use llama3.2." in page


def embed(admin: Visitor, key: object, *texts: str) -> str:
    """Have texts embedded; give the piece of the page that says how they are."""
    admin.get("/admin/playground")
    answer = admin.client.post(
        "/admin/playground/embed",
        json={"key": key, "body": {"model": "nomic-embed-text", "input": list(texts)}},
        headers={"X-CSRFToken": admin.token},
    )
    assert answer.status_code == 200
    return str(json.loads(answer.text.removeprefix("data: "))["html"])


def test_two_texts_are_embedded_and_compared(admin: Visitor, key: int) -> None:
    alike, other = embed(admin, key, "a cat", "a cat"), embed(admin, key, "a cat", "the sea")
    facts = re.findall(r"<dd>(.*?)</dd>", alike)

    assert facts[:2] == ["768", "1"]
    assert [len(vector.split(", ")) for vector in facts[2:4]] == [9, 9]
    assert "<dd>1</dd>" not in other
    assert "Cosine similarity" not in embed(admin, key, "alone")


@pytest.mark.usefixtures("served")
def test_what_cannot_be_embedded_is_refused_with_its_status(
    admin: Visitor, parts: Services
) -> None:
    made, _ = parts.keys.issue({"name": "chats", "scopes": ["chat"]}, ACTOR)

    assert "403 · permission_denied" in embed(admin, made.id, "a cat")


ANGLES = [([1.0, 0.0], [1.0, 0.0], 1.0), ([1.0, 0.0], [0.0, 2.0], 0.0), ([1.0], [-3.0], -1.0)]


@pytest.mark.parametrize(("one", "other", "wanted"), ANGLES)
def test_how_alike_vectors_are(one: list[float], other: list[float], wanted: float) -> None:
    assert cosine(one, other) == pytest.approx(wanted)
    assert cosine(one, [0.0] * len(one)) is None


def test_a_viewer_is_told_that_nothing_can_be_sent(app: Flask, parts: Services, key: int) -> None:
    account(parts, "visitor", "viewer")
    viewer = Visitor(app)
    viewer.login("visitor")
    page = viewer.get("/admin/playground").text

    assert "Viewers cannot send." in page
    assert 'id="send"' not in page


def test_many_keys_do_not_make_the_page_heavy(admin: Visitor, parts: Services, key: int) -> None:
    for number in range(MOST_KEYS + 20):
        parts.keys.issue({"name": f"key {number}"}, ACTOR)
    page = admin.get(f"/admin/playground?key={key}").text

    assert page.count("sk-o2a-") == MOST_KEYS + 1  # the one asked for is beside them
    assert re.search(rf'<option value="{key}" selected', page)
    assert len(page) < 60_000
