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
    assert is_refusal(reply.json, endpoint.vendor)
    told = reply.json["error"]
    if endpoint.vendor == "anthropic":
        assert told["type"] == refusal.anthropic
    elif endpoint.vendor == "openai":
        assert (told["code"], told["param"]) == (refusal.code, refusal.param)
    for name, value in refusal.headers.items():
        assert reply.headers[name] == value
    words = reply.body.decode()
    assert "Traceback" not in words
    assert "127.0.0.1" not in words


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


UPSTREAM: dict[str, Any] = {
    "busy": (error(503, "Service Unavailable"), 503, "upstream_busy", "overloaded_error"),
    "a page": (Fault("html_500"), 502, "upstream_error", "api_error"),
    "closed": (Fault("close"), 502, "upstream_unreachable", "api_error"),
    "forbidden": (error(403, "cloud is off"), 403, "upstream_forbidden", "permission_error"),
    "model gone": (error(404, "model 'x' not found"), 404, "model_not_found", "not_found_error"),
    "limited": (error(429, "slow down"), 429, "upstream_rate_limited", "rate_limit_error"),
    "bad request": (error(400, "no such thing"), 400, "upstream_invalid_request",
     "invalid_request_error"),
}  # fmt: skip
"""A failure of each type that the dialects know; how each is told from others is tried in
`tests/integration/faults/test_upstream_faults.py`."""


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize(("fault", "status", "code", "anthropic"), UPSTREAM.values(), ids=UPSTREAM)
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
        assert is_refusal(reply.json, endpoint.vendor)
        if endpoint.vendor == "openai":
            assert reply.code == code
        elif endpoint.vendor == "anthropic":
            assert reply.code == anthropic
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
        ("messages", [{"role": "king", "content": "x"}], "messages[0].role"),
        ("temperature", "warm", "temperature"),
        ("stop", ["x"] * 65, "stop"),
        ("n", 1000, "n"),
        ("stream", "perhaps", "stream"),
        ("response_format", {"type": "xml"}, "response_format.type"),
        ("options", [], "options"),
    ],
    "completions": [("prompt", [1, 2], "prompt"), ("best_of", 4, "best_of")],
    "responses": [
        ("input", [{"type": "unheard_of"}], "input[0].type"),
        ("background", True, "background"),
        ("options", {"stop": ["x"] * 65}, "options.stop"),
    ],
    "messages": [
        ("messages", [{"role": "user", "content": [{"type": "image", "source":
                                                   {"type": "file", "file_id": "f"}}]}],
         "messages[0].content[0]"),
        ("max_tokens", 0, "max_tokens"),
        ("tool_choice", {"type": "tool", "name": "x"}, "tool_choice"),
    ],
    "embeddings": [("input", [[["x"]]], "input"), ("dimensions", 0, "dimensions")],
}  # fmt: skip
"""Some of each dialect: all are tried in `tests/dialects`."""


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
    if endpoint.vendor == "anthropic":
        assert param in told["message"]
    elif endpoint.vendor == "ollama":
        assert param in told
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
    assert is_refusal(reply.json, endpoint.vendor)
    assert int(reply.headers["retry-after"]) in {2, 5}
