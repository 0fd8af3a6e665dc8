"""The OpenAPI document: valid, complete, and true of what the gateway takes and gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
from openapi_spec_validator import validate

from fake_ollama import FakeOllama, Script
from gateway import create_app
from gateway.config import Secret, Settings
from gateway.core.options import NOT_AT_ROOT, OPTIONS
from gateway.dialects.shared import params as params
from gateway.openapi import messages, responses
from gateway.schemas import convert
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from tests.support.document import document
from tests.support.process import Gateway

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
GENERATING = ("ChatRequest", "CompletionRequest", "ResponseRequest", "MessagesRequest")


def _paths() -> Iterator[tuple[str, str]]:
    """Give every method and path of the document, aliases included."""
    for path, item in DOCUMENT["paths"].items():
        for method in ("get", "post", "delete", "put", "patch"):
            if method in item:
                for name in (path, *item.get("x-aliases", ())):
                    yield method.upper(), name


def _routes(tmp_path: Path) -> Iterator[tuple[str, str]]:
    settings = Settings(
        data_dir=tmp_path,
        database_url=f"sqlite:///{tmp_path / 'gateway.db'}",
        session_secret=Secret("x" * 32),
    )
    for rule in create_app(settings).url_map.iter_rules():
        if rule.endpoint.startswith(("api.", "admin_api.")):
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, path


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    assert sorted(_paths()) == sorted(_routes(tmp_path))


def test_operation_ids_are_unique() -> None:
    ids = re.findall(r'"operationId": "(\w+)"', json.dumps(DOCUMENT))

    assert len(ids) == len(set(ids))


def test_every_schema_is_used_and_every_reference_leads_somewhere() -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))

    assert used == set(SCHEMAS)


@pytest.mark.parametrize("name", GENERATING)
def test_every_option_of_ollama_is_described_at_the_root(name: str) -> None:
    described = set(SCHEMAS[name]["properties"])

    assert set(OPTIONS) - NOT_AT_ROOT - {"num_predict"} <= described
    assert {"num_predict", "options", "think", "keep_alive", "format", "truncate"} <= described


def test_options_that_mean_nothing_at_the_root_are_those_of_the_reader() -> None:
    assert set(OPTIONS) - set(params._AT_ROOT) == NOT_AT_ROOT


VENDOR_NAMES = [
    ("ChatRequest", params.OPENAI_NAMES),
    ("ResponseRequest", __import__("gateway.dialects.responses.dialect", fromlist=["x"]).NAMES),
    ("MessagesRequest", __import__("gateway.dialects.messages.dialect", fromlist=["x"]).NAMES),
]


@pytest.mark.parametrize(("name", "names"), VENDOR_NAMES, ids=[c[0] for c in VENDOR_NAMES])
def test_every_vendor_name_of_an_option_is_described(name: str, names: dict[str, Any]) -> None:
    assert set(names) <= set(SCHEMAS[name]["properties"])


def test_the_fields_of_a_key_are_those_that_are_read() -> None:
    assert set(SCHEMAS["AdminKeyBody"]["properties"]) == {*convert.fields_of(Key)}


def test_the_fields_of_a_server_are_those_that_are_read() -> None:
    assert set(SCHEMAS["AdminServerBody"]["properties"]) == {
        field for field in Server.__dataclass_fields__ if field != "id"
    }


def _check(instance: Any, schema: str) -> None:
    """Raise unless `instance` fits a schema of the document."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(instance)


def _strict(schema: str) -> None:
    """Make sure that the check can fail: an empty object fits no answer."""
    with pytest.raises(jsonschema.ValidationError):
        _check({}, schema)


CHAT = {"messages": [{"role": "user", "content": "When is low tide?"}]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ANSWERS = {
    "chat": ("/v1/chat/completions", "ChatRequest", {**CHAT, "model": "llama3.2"},
     "ChatCompletion"),
    "chat that thinks": ("/v1/chat/completions", "ChatRequest",
     {**CHAT, "model": "qwen3:8b", "think": True, "n": 2, "options": {"num_ctx": 2048}},
     "ChatCompletion"),
    "chat with a tool": ("/v1/chat/completions", "ChatRequest",
     {**CHAT, "model": "qwen3:8b", "tools": [WEATHER], "tool_choice": "required"},
     "ChatCompletion"),
    "chat with log-probabilities": ("/v1/chat/completions", "ChatRequest",
     {**CHAT, "model": "llama3.2", "logprobs": True, "top_logprobs": 2}, "ChatCompletion"),
    "completion": ("/v1/completions", "CompletionRequest",
     {"model": "llama3.2", "prompt": ["Once", "Twice"], "logprobs": 1}, "Completion"),
    "embeddings": ("/v1/embeddings", "EmbeddingRequest",
     {"model": "nomic-embed-text", "input": ["a", "b"]}, "EmbeddingList"),
    "embeddings as base64": ("/v1/embeddings", "EmbeddingRequest",
     {"model": "nomic-embed-text", "input": "a", "encoding_format": "base64"}, "EmbeddingList"),
    "response": ("/v1/responses", "ResponseRequest",
     {"model": "qwen3:8b", "input": "Low tide?", "reasoning": {"effort": "low"}}, "Response"),
    "response with a tool": ("/v1/responses", "ResponseRequest",
     {"model": "qwen3:8b", "input": "Weather?", "tool_choice": "required",
      "tools": [{"type": "function", **WEATHER["function"]}]}, "Response"),
    "message": ("/v1/messages", "MessagesRequest",
     {**CHAT, "model": "qwen3:8b", "max_tokens": 64,
      "thinking": {"type": "enabled", "budget_tokens": 1024}}, "Message"),
    "Ollama's chat": ("/api/chat", "OllamaChatRequest",
     {**CHAT, "model": "qwen3:8b", "think": True, "stream": False, "tools": [WEATHER]},
     "OllamaChat"),
    "Ollama's generation": ("/api/generate", "OllamaGenerateRequest",
     {"model": "qwen3:8b", "prompt": "Low tide?", "stream": False}, "OllamaGeneration"),
    "Ollama's vectors": ("/api/embed", "OllamaEmbedRequest",
     {"model": "nomic-embed-text", "input": ["a", "b"]}, "OllamaEmbeddings"),
    "Ollama's vector": ("/api/embeddings", "OllamaOlderEmbedRequest",
     {"model": "nomic-embed-text", "prompt": "a"}, "OllamaEmbedding"),
    "Ollama's description": ("/api/show", "OllamaShowRequest", {"model": "qwen3:8b"},
     "OllamaModel"),
    "count": ("/v1/messages/count_tokens", "MessagesRequest", {**CHAT, "model": "qwen3:8b"},
     "TokenCount"),
    "count for responses": ("/v1/responses/input_tokens", "ResponseRequest",
     {"model": "qwen3:8b", "input": "Low tide?"}, "InputTokens"),
}  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize(
    ("path", "request_schema", "body", "answer_schema"), ANSWERS.values(), ids=ANSWERS
)
def test_an_answer_is_as_described(
    live: Gateway, path: str, request_schema: str, body: Any, answer_schema: str
) -> None:
    _check(body, request_schema)
    answer = _post(live, path, body)

    assert answer.status_code == 200, answer.text
    _check(answer.json(), answer_schema)
    _strict(answer_schema)


STREAMS = {
    "Ollama's generation": ("/api/generate", {"model": "qwen3:8b", "prompt": "Low tide?"},
     "OllamaGeneration"),
    "Ollama's chat": ("/api/chat",
     {**CHAT, "model": "llama3.2", "logprobs": True, "top_logprobs": 2}, "OllamaChat"),
    "chat": ("/v1/chat/completions",
     {**CHAT, "model": "qwen3:8b", "think": True, "stream_options": {"include_usage": True}},
     "ChatCompletionChunk"),
    "chat with a tool": ("/v1/chat/completions",
     {**CHAT, "model": "qwen3:8b", "tools": [WEATHER], "tool_choice": "required"},
     "ChatCompletionChunk"),
    "completion": ("/v1/completions", {"model": "llama3.2", "prompt": "Once"}, "Completion"),
    "response": ("/v1/responses", {"model": "qwen3:8b", "input": "Low tide?"}, "ResponseEvent"),
    "message": ("/v1/messages",
     {**CHAT, "model": "qwen3:8b", "max_tokens": 64, "thinking": {"type": "enabled"}},
     "MessageEvent"),
}  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize(("path", "body", "event_schema"), STREAMS.values(), ids=STREAMS)
def test_every_event_of_a_stream_is_as_described(
    live: Gateway, path: str, body: Any, event_schema: str
) -> None:
    answer = _post(live, path, {**body, "stream": True})
    data = re.findall(r"^(?:data: )?(\{.+|\[DONE\])$", answer.text, re.M)
    events = [json.loads(line) for line in data if line != "[DONE]"]

    assert len(events) > 2, answer.text
    for event in events:
        _check(event, event_schema)
    _strict(event_schema)


ERRORS = {
    "no such model for Ollama": ("/api/chat", {**CHAT, "model": "none"}, 404, "OllamaError"),
    "no such model": ("/v1/chat/completions", {**CHAT, "model": "none"}, 404, "Error"),
    "no messages": ("/v1/chat/completions", {"model": "llama3.2", "messages": []}, 400, "Error"),
    "no such model for Anthropic": ("/v1/messages", {**CHAT, "model": "none"}, 404,
     "AnthropicError"),
    "an unsupported field": ("/v1/responses",
     {"model": "llama3.2", "input": "x", "background": True}, 400, "Error"),
}  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize(("path", "body", "status", "schema"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_as_described(
    live: Gateway, path: str, body: Any, status: int, schema: str
) -> None:
    answer = _post(live, path, body)

    assert answer.status_code == status
    assert str(status) in DOCUMENT["paths"][path]["post"]["responses"]
    _check(answer.json(), schema)


@pytest.mark.process
def test_models_and_stored_responses_are_as_described(live: Gateway) -> None:
    made = _post(live, "/v1/responses", {"model": "llama3.2", "input": "Hello"}).json()
    place = f"/v1/responses/{made['id']}"

    _check(_get(live, "/v1/models"), "ModelList")
    for path, schema in (("tags", "Tags"), ("ps", "Loaded"), ("version", "Version")):
        _check(_get(live, f"/api/{path}"), f"Ollama{schema}")
    _check(_get(live, "/v1/models/llama3.2"), "Model")
    _check(_get(live, place), "Response")
    _check(_get(live, f"{place}/input_items"), "ResponseItems")
    deleted = requests.delete(f"{live.url}{place}", headers=_headers(live), timeout=20)
    _check(deleted.json(), "ResponseDeleted")


@pytest.mark.process
def test_the_document_is_served_to_everybody(live: Gateway) -> None:
    served = requests.get(f"{live.url}/openapi.json", timeout=20)

    assert served.status_code == 200
    assert served.json()["paths"].keys() >= DOCUMENT["paths"].keys()


@pytest.mark.process
def test_streams_use_described_events_only(live: Gateway, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="At six."))
    response = _post(live, "/v1/responses", {"model": "qwen3:8b", "input": "x", "stream": True})
    message = _post(
        live, "/v1/messages",
        {**CHAT, "model": "qwen3:8b", "max_tokens": 9, "stream": True},
    )  # fmt: skip

    for answer, known in ((response, responses.EVENTS), (message, messages.EVENTS)):
        names = set(re.findall(r"^event: (.+)$", answer.text, re.M))
        assert len(names) > 4
        assert names <= set(known)


def _headers(gateway: Gateway) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.key}"}


def _get(gateway: Gateway, path: str) -> Any:
    return requests.get(f"{gateway.url}{path}", headers=_headers(gateway), timeout=20).json()


def _post(gateway: Gateway, path: str, body: Any) -> requests.Response:
    return requests.post(f"{gateway.url}{path}", headers=_headers(gateway), json=body, timeout=20)
