"""Keys in every header that clients use, and nowhere else."""

from __future__ import annotations

import pytest

from fake_ollama import FakeOllama
from tests.integration.conftest import Caller, Operator
from tests.support.asking import ENDPOINTS, asked, is_refusal
from tests.support.wire import Reply

pytestmark = pytest.mark.process

WRONG = "sk-o2a-" + "A" * 49
"""Of the right shape, but nobody's."""

GOOD = {
    "bearer": {"Authorization": "Bearer KEY"},
    "bearer in lower case": {"Authorization": "bearer KEY"},
    "bearer in upper case": {"Authorization": "BEARER KEY"},
    "two spaces": {"Authorization": "Bearer   KEY"},
    "quotes": {"Authorization": 'Bearer "KEY"'},
    "no scheme": {"Authorization": "KEY"},
    "x-api-key": {"x-api-key": "KEY"},
    "x-api-key in other case": {"X-API-Key": " KEY "},
    "api-key": {"api-key": "KEY"},
    "a stale bearer": {"Authorization": f"Bearer {WRONG}", "x-api-key": "KEY"},
    "a stale x-api-key": {"x-api-key": WRONG, "api-key": "KEY"},
    "a placeholder bearer": {"Authorization": "Bearer null", "api-key": "KEY"},
    "an empty bearer": {"Authorization": "Bearer ", "x-api-key": "KEY"},
}
BAD = {
    "nothing": ({}, "missing_api_key"),
    "empty": ({"Authorization": ""}, "missing_api_key"),
    "unknown": ({"Authorization": f"Bearer {WRONG}"}, "invalid_api_key"),
    "unknown twice": ({"Authorization": f"Bearer {WRONG}", "x-api-key": WRONG[::-1]},
     "invalid_api_key"),
    "basic": ({"Authorization": "Basic dXNlcjpwYXNz"}, "invalid_api_key"),
    "short": ({"Authorization": "Bearer x"}, "invalid_api_key"),
    "long": ({"Authorization": "Bearer " + "k" * 8000}, "invalid_api_key"),
    "not ASCII": ({"Authorization": "Bearer sk-\xe9\xff" + "k" * 40}, "invalid_api_key"),
    "in a cookie": ({"Cookie": "api_key=KEY; session=KEY"}, "missing_api_key"),
    "in another header": ({"x-goog-api-key": "KEY", "Proxy-Authorization": "Bearer KEY"},
     "missing_api_key"),
}  # fmt: skip


def _get(caller: Caller, path: str, headers: dict[str, str]) -> Reply:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    wire = caller.wire()
    wire.send(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{lines}\r\n".encode("latin-1"))
    return wire.reply()


@pytest.mark.parametrize("headers", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("path", ["/v1/models", "/anthropic/v1/models"])
def test_a_key_is_found_in_any_header_and_the_first_valid_one_wins(
    caller: Caller, path: str, headers: dict[str, str]
) -> None:
    reply = _get(caller, path, {n: v.replace("KEY", caller.key) for n, v in headers.items()})

    assert reply.status == 200


@pytest.mark.parametrize(("headers", "code"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("path", ["/v1/models", "/anthropic/v1/models"])
def test_without_a_valid_key_the_answer_says_what_is_wrong(
    caller: Caller, operator: Operator, path: str, headers: dict[str, str], code: str
) -> None:
    headers = {n: v.replace("KEY", caller.key) for n, v in headers.items()}

    reply = _get(caller, path, headers)

    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    anthropic = path.startswith("/anthropic")
    assert is_refusal(reply.json, "anthropic" if anthropic else "openai")
    assert reply.code == ("authentication_error" if anthropic else code)
    assert "KKKK" not in reply.body.decode()


@pytest.mark.parametrize("query", ["key", "api_key", "api-key", "access_token", "Authorization"])
def test_a_key_in_the_address_opens_nothing(caller: Caller, query: str) -> None:
    reply = _get(caller, f"/v1/models?{query}={caller.key}", {})

    assert (reply.status, reply.code) == (401, "missing_api_key")
    assert caller.key not in reply.body.decode()


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_key_in_the_body_opens_nothing(caller: Caller, ollama: FakeOllama, name: str) -> None:
    endpoint = ENDPOINTS[name]

    reply = caller.post(
        endpoint.path,
        endpoint.with_(api_key=caller.key, key=caller.key),
        {"Authorization": "Bearer nobody-knows-me"},
    )

    assert reply.status == 401
    assert asked(ollama) == []


def test_the_key_is_judged_before_the_body_is_read(caller: Caller) -> None:
    wire = caller.wire()
    wire.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
        b"Content-Length: 100000000000\r\n\r\n"
    )

    assert wire.reply().status == 401


@pytest.mark.parametrize("how", ["revoke", "disable"])
def test_a_key_that_was_taken_away_is_refused_at_once(
    caller: Caller, operator: Operator, how: str
) -> None:
    key = operator.key()
    assert caller.ask("GET", "/v1/models", key=key).status == 200
    key_id = operator.key_id(key)

    if how == "revoke":
        operator.call("POST", f"/keys/{key_id}/revoke")
    else:
        operator.call("PATCH", f"/keys/{key_id}", {"enabled": False})
    reply = caller.ask("GET", "/v1/models", key=key)

    assert (reply.status, reply.code) == (401, "api_key_revoked")


def test_a_key_may_be_bound_to_networks(caller: Caller, operator: Operator) -> None:
    elsewhere = operator.key(cidrs=["203.0.113.0/24"])
    here = operator.key(cidrs=["127.0.0.0/8"])

    refused = caller.ask("GET", "/v1/models", {"X-Forwarded-For": "203.0.113.9"}, key=elsewhere)

    assert (refused.status, refused.code) == (403, "permission_denied")
    assert caller.ask("GET", "/v1/models", key=here).status == 200


SCOPES = {
    "chat": "chat",
    "completions": "completions",
    "embeddings": "embeddings",
    "responses": "responses",
    "input_tokens": "responses",
    "messages": "messages",
    "count_tokens": "messages",
}


@pytest.mark.parametrize("name", SCOPES)
def test_a_key_may_be_bound_to_endpoints(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str
) -> None:
    others = sorted({"chat", "completions", "embeddings", "responses", "messages", "models"}
                    - {SCOPES[name]})  # fmt: skip
    endpoint = ENDPOINTS[name]

    refused = caller.post(endpoint.path, endpoint.body, key=operator.key(scopes=others))
    allowed = caller.post(endpoint.path, endpoint.body, key=operator.key(scopes=[SCOPES[name]]))

    assert refused.status == 403
    assert is_refusal(refused.json, endpoint.vendor)
    assert allowed.status == 200


def test_the_admin_token_is_no_key_and_a_key_no_admin_token(
    caller: Caller, operator: Operator
) -> None:
    reply = caller.ask("GET", "/api/admin/v1/keys")

    assert reply.status == 401
    token = operator.call("POST", "/tokens", {"name": "x", "role": "viewer"})["secret"]
    assert caller.ask("GET", "/v1/models", key=token).status == 401
