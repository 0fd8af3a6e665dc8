"""Large bodies are read beside the event loop: nothing of an answer depends on it."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ollama import FakeOllama
from gateway.web.request_body import LARGE_BYTES
from tests.integration.conftest import Caller
from tests.support.asking import ENDPOINTS, GENERATING, Endpoint

pytestmark = pytest.mark.process

LONG = "a b " * (LARGE_BYTES // 4)
RESPONSES = GENERATING["responses"]


def _with(endpoint: Endpoint, text: str) -> dict[str, Any]:
    """Return the body of an endpoint with a text."""
    if endpoint.prompt == "messages":
        parts = [{"type": "text", "text": text}, {"type": "text", "text": "c"}]
        content = text if endpoint.vendor == "ollama" else parts
        return endpoint.with_(messages=[{"role": "user", "content": content}])
    return endpoint.with_(**{endpoint.prompt: text})


@pytest.mark.parametrize("name", [*GENERATING, "count_tokens"])
def test_a_large_body_is_answered(caller: Caller, ollama: FakeOllama, name: str) -> None:
    endpoint = ENDPOINTS[name]
    body = _with(endpoint, LONG)

    reply = caller.post(endpoint.path, {**body, "options": {"num_ctx": 200_000}})

    assert reply.status == 200
    if endpoint.upstream:
        assert LONG[:1000] in str(ollama.calls(endpoint.upstream)[-1].body)


@pytest.mark.parametrize("name", ["completions", "messages", "embeddings"])
def test_texts_of_more_than_any_model_reads_are_refused(caller: Caller, name: str) -> None:
    endpoint = ENDPOINTS[name]

    reply = caller.post(endpoint.path, _with(endpoint, "a" * (17 << 20)))

    assert reply.status == 400
    assert "at most 16,777,216 characters" in reply.json["error"]["message"]
    assert (reply.json.get("type") == "error") is (endpoint.vendor == "anthropic")


def test_a_large_body_may_refer_to_stored_responses(caller: Caller, ollama: FakeOllama) -> None:
    first = caller.post(RESPONSES.path, RESPONSES.body).json
    options = {"num_ctx": 200_000}
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    turn = {"role": "user", "content": LONG}

    for more in (
        {"previous_response_id": first["id"], "input": LONG},
        {"input": [reference, turn]},
    ):
        reply = caller.post(RESPONSES.path, RESPONSES.with_(**more, options=options))

        assert reply.status == 200
        said = [turn["role"] for turn in ollama.calls("/api/chat")[-1].json["messages"]]
        assert said[-2:] == ["assistant", "user"]
    unknown = RESPONSES.with_(previous_response_id="resp_none", input=LONG)
    refused = caller.post(RESPONSES.path, unknown).json["error"]
    assert refused["code"] == "previous_response_not_found"
