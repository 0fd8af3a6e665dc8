"""Streams of a key that loses rights end within a second, with an error of the dialect."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fake_ollama import FakeOllama
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING
from tests.support.cases import pairs
from tests.support.wire import Wire, events, post

pytestmark = pytest.mark.process

LIMIT_S = 3.0  # a second for the gateway, the rest for a busy machine

Change = Callable[[str], dict[str, Any]]
TAKEN: dict[str, tuple[Change, str]] = {
    "expired": (
        lambda _: {"expires_at": (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()},
        "api_key_expired",
    ),
    "disabled": (lambda _: {"enabled": False}, "api_key_revoked"),
    "other models": (lambda _: {"allow": ["qwen3"]}, "model_access_denied"),
    "model denied": (lambda _: {"deny": ["llama3.2"]}, "model_access_denied"),
    "other endpoints": (lambda name: {"scopes": ["models"]}, "permission_denied"),
    "other networks": (lambda _: {"cidrs": ["203.0.113.0/24"]}, "permission_denied"),
}
TOLD = {"responses": "server_error"}  # a failed response has one of a few codes
KEPT: dict[str, Change] = {
    "fewer others": lambda name: {
        "allow": ["llama3.2"],
        "deny": ["qwen3"],
        "scopes": [GENERATING[name].scope],
    },
    "networks around": lambda _: {"cidrs": ["127.0.0.0/8"]},
    "expires later": lambda _: {"expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
}


def _begin(caller: Caller, key: str, name: str, **more: Any) -> Wire:
    endpoint = GENERATING[name]
    wire = caller.wire()
    wire.send(post(endpoint.path, endpoint.with_(stream=True, **more), key))
    return wire


def _error_of(name: str, body: bytes) -> Any:
    """Return the error of a stream's last events, in whichever form."""
    if GENERATING[name].vendor == "ollama":
        return {"message": json.loads(body.splitlines()[-1])["error"]}
    found = [data for _, data in events(body) if isinstance(data, dict)]
    last = next(data for data in reversed(found) if "error" in data or "response" in data)
    return last.get("error") or last["response"]["error"]


@pytest.mark.parametrize(("how", "name"), pairs(TAKEN, GENERATING, 3))
def test_a_stream_ends_when_it_would_be_refused_now(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str, how: str
) -> None:
    key = operator.key()
    path = f"/keys/{operator.key_id(key)}"
    change, code = TAKEN[how]
    with ollama.hold("llama3.2", at=2) as gate:
        wire = _begin(caller, key, name)
        gate.wait_reached()
        operator.call("PATCH", path, change(name))
        gone = ollama.wait_disconnect(timeout=LIMIT_S)
        reply = wire.reply()

    error = _error_of(name, reply.body)
    assert len(gone) == 1
    assert reply.status == 200
    assert error.get("code", code) == TOLD.get(name, code), error
    assert error["message"]


@pytest.mark.parametrize(("how", "name"), pairs(KEPT, GENERATING, 3))
def test_a_stream_goes_on_while_it_would_be_allowed(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str, how: str
) -> None:
    key, other = operator.key(), operator.key()
    with ollama.hold("llama3.2", at=2) as gate:
        wires = [_begin(caller, secret, name) for secret in (key, other)]
        gate.wait_reached()
        operator.call("PATCH", f"/keys/{operator.key_id(key)}", KEPT[how](name))
        operator.call("POST", f"/keys/{operator.key_id(other)}/revoke")
        refused = wires[1].reply()
    reply = wires[0].reply()

    assert b"revoked" in refused.body
    assert b'"error"' not in reply.body.replace(b'"error":null', b"")


def test_an_alias_that_is_allowed_no_more_ends_its_stream_too(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    model = operator.model("llama3.2:latest")
    with operator.changed_model("llama3.2:latest", aliases={**model["aliases"], "bluebell": {}}):
        key = operator.key(allow=["bluebell"])
        with ollama.hold("llama3.2", at=2) as gate:
            wire = _begin(caller, key, "chat", model="bluebell")
            gate.wait_reached()
            operator.call("PATCH", f"/keys/{operator.key_id(key)}", {"allow": ["qwen3"]})
            gone = ollama.wait_disconnect(timeout=LIMIT_S)
            reply = wire.reply()

    assert len(gone) == 1
    assert _error_of("chat", reply.body)["code"] == "model_access_denied"
