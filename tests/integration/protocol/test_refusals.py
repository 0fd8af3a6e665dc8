"""Every endpoint times every refusal, in the caller's dialect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script, error
from tests.integration.conftest import Caller, Operator
from tests.support.asking import ENDPOINTS, GENERATING, Endpoint, asked, is_refusal
from tests.support.wire import Reply

pytestmark = pytest.mark.process

CALLING = [name for name, endpoint in ENDPOINTS.items() if endpoint.upstream]


@dataclass(frozen=True)
class Refusal:
    """One way to be refused: what is done to the gateway, what is sent, what has to come back."""

    status: int
    code: str
    anthropic: str
    send: Callable[[Caller, Operator, Endpoint], Reply]
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _send(**changes: Any) -> Callable[[Caller, Operator, Endpoint], Reply]:
    return lambda caller, _, endpoint: caller.post(endpoint.path, endpoint.with_(**changes))


def _with_key(**fields: Any) -> Callable[[Caller, Operator, Endpoint], Reply]:
    def send(caller: Caller, operator: Operator, endpoint: Endpoint) -> Reply:
        return caller.post(endpoint.path, endpoint.body, key=operator.key(**fields))

    return send


def _twice(**fields: Any) -> Callable[[Caller, Operator, Endpoint], Reply]:
    def send(caller: Caller, operator: Operator, endpoint: Endpoint) -> Reply:
        key = operator.key(**fields)
        caller.post(endpoint.path, endpoint.body, key=key)
        return caller.post(endpoint.path, endpoint.body, key=key)

    return send


def _raw(raw: bytes, **headers: str) -> Callable[[Caller, Operator, Endpoint], Reply]:
    return lambda caller, _, endpoint: caller.post(endpoint.path, raw, headers)


def _without(name: str) -> Callable[[Caller, Operator, Endpoint], Reply]:
    def send(caller: Caller, _: Operator, endpoint: Endpoint) -> Reply:
        body = {field: value for field, value in endpoint.body.items() if field != name}
        return caller.post(endpoint.path, body)

    return send


def _method(name: str) -> Callable[[Caller, Operator, Endpoint], Reply]:
    return lambda caller, _, endpoint: caller.ask(name, endpoint.path)


BEFORE: dict[str, Refusal] = {
    "no key": Refusal(
        401,
        "missing_api_key",
        "authentication_error",
        lambda caller, _, endpoint: caller.post(endpoint.path, b"{}", {"Authorization": ""}),
        headers={"www-authenticate": "Bearer"},
    ),
    "unknown key": Refusal(
        401,
        "invalid_api_key",
        "authentication_error",
        lambda caller, _, endpoint: caller.post(endpoint.path, endpoint.body, key="sk-nobody-1"),
        headers={"www-authenticate": "Bearer"},
    ),
    "other address": Refusal(
        403, "permission_denied", "permission_error", _with_key(cidrs=["203.0.113.0/24"])
    ),
    "other endpoint": Refusal(
        403, "permission_denied", "permission_error", _with_key(scopes=["models"])
    ),
    "other model": Refusal(
        403, "model_access_denied", "permission_error", _with_key(allow=["gemma3:4b"]), "model"
    ),
    "no model at all": Refusal(
        403, "model_access_denied", "permission_error", _with_key(allow=[]), "model"
    ),
    "unknown model": Refusal(
        404, "model_not_found", "not_found_error", _send(model="nobody"), "model"
    ),
    "model left out": Refusal(
        400, "missing_required_parameter", "invalid_request_error", _without("model"), "model"
    ),
    "model empty": Refusal(
        400, "missing_required_parameter", "invalid_request_error", _send(model="  "), "model"
    ),
    "model a number": Refusal(
        400, "invalid_type", "invalid_request_error", _send(model=5), "model"
    ),
    "model a list": Refusal(
        400, "invalid_type", "invalid_request_error", _send(model=["llama3.2"]), "model"
    ),
    "no JSON": Refusal(400, "invalid_json", "invalid_request_error", _raw(b"{")),
    "empty": Refusal(400, "invalid_json", "invalid_request_error", _raw(b"")),
    "a list": Refusal(400, "invalid_json", "invalid_request_error", _raw(b"[]")),
    "too many values": Refusal(
        400, "invalid_json", "invalid_request_error", _raw(b'{"a":[' + b"1," * 250_001 + b"1]}")
    ),
    "unknown packing": Refusal(
        415,
        "unsupported_encoding",
        "invalid_request_error",
        _raw(b"{}", **{"Content-Encoding": "br"}),
    ),
    "too large": Refusal(
        413,
        "request_too_large",
        "request_too_large",
        _raw(b"", **{"Content-Length": str(1 << 40)}),
        headers={"connection": "close"},
    ),
    "wrong method": Refusal(405, "method_not_allowed", "invalid_request_error", _method("PUT")),
}
ADMITTING: dict[str, Refusal] = {
    "too often": Refusal(
        429, "rate_limit_exceeded", "rate_limit_error", _twice(requests_per_minute=1)
    ),
    "budget used up": Refusal(
        429,
        "insufficient_quota",
        "rate_limit_error",
        _twice(budgets=[{"metric": "requests", "period": "total", "limit": 1}]),
        headers={"x-should-retry": "false"},
    ),
}


def _check(refusal: Refusal, endpoint: Endpoint, reply: Reply) -> None:
    assert reply.status == refusal.status
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    assert is_refusal(reply.json, anthropic=endpoint.anthropic)
    told = reply.json["error"]
    if endpoint.anthropic:
        assert told["type"] == refusal.anthropic
    else:
        assert (told["code"], told["param"]) == (refusal.code, refusal.param)
    for name, value in refusal.headers.items():
        assert reply.headers[name] == value
    assert "Traceback" not in told["message"]
    assert "127.0.0.1" not in told["message"]


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("refusal", BEFORE.values(), ids=BEFORE)
def test_a_refusal_needs_no_ollama(
    caller: Caller, operator: Operator, ollama: FakeOllama, refusal: Refusal, name: str
) -> None:
    endpoint = ENDPOINTS[name]

    reply = refusal.send(caller, operator, endpoint)

    _check(refusal, endpoint, reply)
    assert asked(ollama) == []


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize("refusal", ADMITTING.values(), ids=ADMITTING)
def test_a_limit_is_told_in_the_dialect(
    caller: Caller, operator: Operator, refusal: Refusal, name: str
) -> None:
    _check(refusal, ENDPOINTS[name], refusal.send(caller, operator, ENDPOINTS[name]))


UPSTREAM: list[tuple[str, Any, int, str, str]] = [
    ("unreadable", Fault("garbage_status"), 502, "upstream_bad_response", "api_error"),
    ("reset", Fault("reset"), 502, "upstream_unreachable", "api_error"),
    ("closed", Fault("close"), 502, "upstream_unreachable", "api_error"),
    ("busy", error(503, "Service Unavailable"), 503, "upstream_busy", "overloaded_error"),
    ("broken", error(500, "it broke"), 502, "upstream_error", "api_error"),
    ("a page", Fault("html_500"), 502, "upstream_error", "api_error"),
    ("a page for an answer", Fault("html_200"), 502, "upstream_bad_response", "api_error"),
    ("nothing", Fault("empty_200"), 502, "upstream_bad_response", "api_error"),
    ("no content", Fault("no_content_204"), 502, "upstream_bad_response", "api_error"),
    ("elsewhere", Fault("redirect_307"), 502, "upstream_bad_response", "api_error"),
    ("signed out", error(401, "unauthorized"), 502, "upstream_unauthorized", "api_error"),
    ("forbidden", error(403, "cloud is off"), 403, "upstream_forbidden", "permission_error"),
    ("model gone", error(404, "model 'x' not found"), 404, "model_not_found", "not_found_error"),
    ("path gone", error(404, "404 page not found"), 502, "upstream_endpoint_missing",
     "api_error"),
    ("limited", error(429, "slow down"), 429, "upstream_rate_limited", "rate_limit_error"),
    ("bad request", error(400, "no such thing"), 400, "upstream_invalid_request",
     "invalid_request_error"),
]  # fmt: skip


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize(
    ("fault", "status", "code", "anthropic"),
    [case[1:] for case in UPSTREAM],
    ids=[case[0] for case in UPSTREAM],
)
def test_a_failure_of_ollama_is_told_in_the_dialect(
    caller: Caller, ollama: FakeOllama, name: str, fault: Any, status: int, code: str,
    anthropic: str,
) -> None:  # fmt: skip
    endpoint = ENDPOINTS[name]
    assert _recovered(caller, endpoint)
    ollama.script(endpoint.upstream, Script(fault=fault))

    for stream in (False, True) if endpoint.streams else (False,):
        reply = caller.post(endpoint.path, endpoint.with_(stream=stream))

        assert reply.status == status
        assert is_refusal(reply.json, anthropic=endpoint.anthropic)
        assert reply.json["error"]["type" if endpoint.anthropic else "code"] == (
            anthropic if endpoint.anthropic else code
        )
        assert "127.0.0.1" not in reply.body.decode()
        assert "<html" not in reply.body.decode().lower()


def _recovered(caller: Caller, endpoint: Endpoint) -> bool:
    """Ask until an answer comes: too many failures have the server left alone for a moment."""
    pause = threading.Event()
    for _ in range(400):
        if caller.post(endpoint.path, endpoint.body).status == 200:
            return True
        pause.wait(0.02)
    return False


WRONG: dict[str, list[tuple[str, Any, str]]] = {
    "chat": [
        ("messages", None, "messages"),
        ("messages", "Hello?", "messages"),
        ("messages", [], "messages"),
        ("messages", ["Hello?"], "messages[0]"),
        ("messages", [{"role": "king", "content": "x"}], "messages[0].role"),
        ("messages", [{"role": "user"}], "messages[0].content"),
        ("messages", [{"role": "user", "content": 5}], "messages[0].content"),
        ("messages", [{"role": "user", "content": [{"type": "video"}]}],
         "messages[0].content[0].type"),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url":
                                                   {"url": "data:image/png;base64,%%%"}}]}],
         "messages[0].content[0].image_url"),
        ("temperature", "warm", "temperature"),
        ("temperature", 3, "temperature"),
        ("top_p", -0.1, "top_p"),
        ("presence_penalty", 2.5, "presence_penalty"),
        ("max_tokens", 0, "max_tokens"),
        ("max_completion_tokens", -7, "max_completion_tokens"),
        ("n", 0, "n"),
        ("n", 1000, "n"),
        ("stop", {"a": 1}, "stop"),
        ("stop", [5], "stop[0]"),
        ("stop", ["x"] * 65, "stop"),
        ("seed", 1.5, "seed"),
        ("stream", "perhaps", "stream"),
        ("stream_options", "x", "stream_options"),
        ("top_logprobs", 21, "top_logprobs"),
        ("logit_bias", {"5": 1}, "logit_bias"),
        ("response_format", {"type": "xml"}, "response_format.type"),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}},
         "response_format.json_schema.schema"),
        ("tools", {}, "tools"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name"),
        ("tool_choice", {"type": "function", "function": {"name": "x"}}, "tool_choice"),
        ("modalities", ["text", "audio"], "modalities"),
        ("web_search_options", {}, "web_search_options"),
        ("moderation", {"model": "x"}, "moderation"),
        ("options", [], "options"),
        ("num_ctx", "many", "num_ctx"),
        ("keep_alive", "soon", "keep_alive"),
        ("timeout_ms", -1, "timeout_ms"),
    ],
    "completions": [
        ("prompt", None, "prompt"),
        ("prompt", [], "prompt"),
        ("prompt", {"a": 1}, "prompt"),
        ("prompt", [1, 2], "prompt"),
        ("suffix", 5, "suffix"),
        ("stop", "x" * 1_025, "stop"),
        ("best_of", 4, "best_of"),
        ("logprobs", 6, "logprobs"),
        ("echo", "perhaps", "echo"),
    ],
    "responses": [
        ("input", None, "input"),
        ("input", 5, "input"),
        ("input", [{"type": "unheard_of"}], "input[0].type"),
        ("input", [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
         "input[0].content[0].file_id"),
        ("tools", [{"type": "function"}], "tools[0].name"),
        ("text", {"format": {"type": "xml"}}, "text.format.type"),
        ("reasoning", "high", "reasoning"),
        ("background", True, "background"),
        ("metadata", {"k": "v" * 513}, "metadata.k"),
        ("truncation", "some", "truncation"),
        ("options", {"stop": ["x"] * 65}, "options.stop"),
    ],
    "messages": [
        ("messages", [], "messages"),
        ("messages", [{"role": "user", "content": [{"type": "image", "source":
                                                   {"type": "file", "file_id": "f"}}]}],
         "messages[0].content[0]"),
        ("max_tokens", 0, "max_tokens"),
        ("stop_sequences", ["x"] * 65, "stop_sequences"),
        ("mcp_servers", [{"name": "x"}], "mcp_servers"),
        ("tools", [{"type": "computer_20250124", "name": "computer"}], "tools[0]"),
        ("tool_choice", {"type": "tool", "name": "x"}, "tool_choice"),
        ("thinking", 5, "thinking"),
        ("system", 5, "system"),
    ],
    "embeddings": [
        ("input", None, "input"),
        ("input", [[["x"]]], "input"),
        ("encoding_format", "hex", "encoding_format"),
        ("dimensions", 0, "dimensions"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "field", "value", "param"),
    [(name, *case) for name, cases in WRONG.items() for case in cases],
)
def test_a_wrong_field_is_named(
    caller: Caller, ollama: FakeOllama, name: str, field: str, value: Any, param: str
) -> None:
    endpoint = ENDPOINTS[name]

    reply = caller.post(endpoint.path, endpoint.with_(**{field: value}))

    assert reply.status == 400
    told = reply.json["error"]
    if endpoint.anthropic:
        assert param in told["message"]
    else:
        assert str(told["param"]).startswith(param)
    assert ollama.calls(endpoint.upstream) == []


@pytest.mark.parametrize("name", GENERATING)
def test_a_server_that_is_gone_is_a_bad_gateway(
    caller: Caller, ollama: FakeOllama, name: str
) -> None:
    endpoint = GENERATING[name]
    ollama.stop()
    try:
        reply = caller.post(endpoint.path, endpoint.body)
    finally:
        ollama.start()
        recovered = _recovered(caller, endpoint)

    assert recovered
    assert reply.status in {502, 503}
    assert is_refusal(reply.json, anthropic=endpoint.anthropic)
    assert int(reply.headers["retry-after"]) in {2, 5}
