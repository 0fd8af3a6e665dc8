"""Requests that bring no key: whose they are, and what holds for them (D62)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.admin import SYSTEM
from gateway.errors import InvalidFields
from gateway.schemas.key import Key
from gateway.store.usage import request_queries
from gateway.web.context import Services
from tests.api.homes import INSIDE, OUTSIDE, Home
from tests.support.asking import ENDPOINTS, HELLO

NATIVE: dict[str, dict[str, Any]] = {
    "/api/chat": {"model": "llama3.2", "messages": HELLO},
    "/api/generate": {"model": "llama3.2", "prompt": "Hello?"},
    "/api/embed": {"model": "nomic-embed-text", "input": "Hello?"},
    "/api/show": {"model": "llama3.2"},
}
LISTS = ["/v1/models", "/models", "/api/tags", "/api/version", "/api/ps"]
CALLS = {one.path: one.body for one in ENDPOINTS.values()} | NATIVE


@pytest.mark.parametrize("path", LISTS)
def test_what_is_listed_needs_no_key(open_home: Home, path: str) -> None:
    assert open_home.send(path).status_code == 200
    assert open_home.send(path, OUTSIDE).status_code == 401


@pytest.mark.usefixtures("ollama")
def test_vs_codes_ollama_provider_needs_no_key(open_home: Home) -> None:
    """The calls of `extensions/copilot/src/extension/byok/vscode-node/ollamaProvider.ts`."""
    version = open_home.send("/api/version").get_json()["version"]
    names = [model["model"] for model in open_home.send("/api/tags").get_json()["models"]]
    shown = open_home.send("/api/show", body={"model": "qwen3:8b"}).get_json()
    asked = {"model": "qwen3:8b", "messages": HELLO, "stream": True}
    answer = open_home.send("/v1/chat/completions", body=asked, Authorization="Bearer ")

    assert len([int(number) for number in version.split(".")]) == 3
    assert "qwen3:8b" in names
    assert "tools" in shown["capabilities"]
    assert shown["model_info"][f"{shown['model_info']['general.architecture']}.context_length"] > 0
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("data: [DONE]")


@pytest.mark.usefixtures("ollama")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", CALLS)
def test_a_call_needs_no_key(open_home: Home, path: str, stream: bool) -> None:
    answer = open_home.send(path, body={**CALLS[path], "stream": stream})

    assert answer.status_code == 200, answer.text


def test_another_address_is_refused_in_the_form_of_each_api(open_home: Home) -> None:
    words = "No API key was sent. Use the header 'Authorization: Bearer YOUR_KEY'."
    chat = open_home.send("/v1/chat/completions", OUTSIDE, {})
    messages = open_home.send("/v1/messages", OUTSIDE, {})
    native = open_home.send("/api/chat", OUTSIDE, {})

    assert [one.status_code for one in (chat, messages, native)] == [401, 401, 401]
    assert chat.get_json()["error"] == {
        "message": words,
        "type": "invalid_request_error",
        "param": None,
        "code": "missing_api_key",
    }
    assert messages.get_json()["error"] == {"type": "authentication_error", "message": words}
    assert native.get_json() == {"error": words}
    assert chat.headers["WWW-Authenticate"] == "Bearer"


def test_without_an_anonymous_key_the_refusal_is_the_same(open_home: Home, home: Home) -> None:
    refused, unknown = open_home.send(address=OUTSIDE), home.send()

    assert refused.status_code == unknown.status_code == 401
    assert refused.get_json() == unknown.get_json()


@pytest.mark.parametrize("header", ["Authorization", "x_api_key", "api_key"])
def test_a_wrong_key_is_refused(open_home: Home, header: str) -> None:
    answer = open_home.send("/v1/models", INSIDE, **{header: "wrong-key"})

    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == "invalid_api_key"


def test_an_empty_header_is_no_key(open_home: Home) -> None:
    assert open_home.status(Authorization="Bearer ") == 200
    assert open_home.status(x_api_key="") == 200


def test_its_secret_is_that_of_an_ordinary_key(home: Home) -> None:
    _, secret = home.issued()
    bearer = f"Bearer {secret}"

    assert home.status(Authorization=bearer) == 200
    assert home.status(Authorization=bearer, Origin="https://chat.example.org") == 200
    assert home.status(OUTSIDE, Authorization=bearer) == 403


CHOICES = [
    ("192.168.1.20", "home"),
    ("192.168.1.7", "desk"),
    ("::ffff:192.168.1.7", "desk"),
    ("10.0.0.1", "first of two"),
    ("fd00::5", "six"),
    ("fe80::5%eth0", "link"),
    ("198.51.100.7", None),
    ("", None),
    ("unix:", None),
]


@pytest.mark.parametrize(("address", "name"), CHOICES)
def test_the_most_specific_network_wins_then_the_oldest_key(
    home: Home, address: str, name: str | None
) -> None:
    home.issue("home", ("192.168.0.0/16", "172.16.0.0/12"))
    home.issue("desk", ("192.168.1.7",))
    home.issue("first of two", ("10.0.0.0/8",))
    home.issue("second of two", ("10.0.0.0/8",))
    home.issue("six", ("fd00::/8",))
    home.issue("link", ("fe80::/64",))
    home.parts.keys.issue({"name": "ordinary", "cidrs": ["192.168.1.20"]}, SYSTEM)

    found = home.parts.keyring.anonymous(address)

    assert (found and found.name) == name


ENDS: dict[str, Callable[[Services, Key], object]] = {
    "disabled": lambda parts, key: parts.keys.enable([key.id], False, SYSTEM),
    "revoked": lambda parts, key: parts.keys.revoke([key.id], SYSTEM),
    "deleted": lambda parts, key: parts.keys.delete(key.id, SYSTEM),
    "no longer anonymous": lambda parts, key: parts.keys.update(
        key.id, {"anonymous": False}, SYSTEM
    ),
    "other addresses": lambda parts, key: parts.keys.update(
        key.id, {"cidrs": ["10.0.0.0/8"]}, SYSTEM
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_key_that_ends_is_as_if_there_were_none(
    home: Home, end: Callable[[Services, Key], object]
) -> None:
    key = home.issue()
    before = home.status()

    end(home.parts, key)

    assert before == 200
    answer = home.send()
    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == "missing_api_key"


def test_a_key_that_expires_leaves_its_addresses_to_a_wider_one(home: Home) -> None:
    now = datetime.now(UTC)
    home.issue("wide", ("192.168.0.0/16",))
    home.issue("guests", expires_at=(now + timedelta(hours=1)).isoformat())
    keyring = home.parts.keyring

    before = keyring.anonymous(INSIDE)
    keyring.now = lambda: now + timedelta(hours=2)
    after = keyring.anonymous(INSIDE)

    assert before is not None
    assert after is not None
    assert (before.name, after.name) == ("guests", "wide")


def test_a_rotated_key_is_followed_by_its_successor(home: Home) -> None:
    key = home.issue()
    successor, _ = home.parts.keys.rotate(key.id, 0, SYSTEM)

    found = home.parts.keyring.anonymous(INSIDE)

    assert found == successor


def test_its_rules_hold(home: Home) -> None:
    home.issue(scopes=["models", "chat"], allow=["llama3.2"], requests_per_minute=1)
    body = {"model": "llama3.2", "messages": HELLO}

    names = [model["id"] for model in home.send().get_json()["data"]]
    other_api = home.send("/v1/messages", body={**body, "max_tokens": 5})
    other_model = home.send("/v1/chat/completions", body={**body, "model": "qwen3:8b"})
    first = home.send("/v1/chat/completions", body=body)
    second = home.send("/api/chat", body=body)

    assert names == ["llama3.2"]
    assert other_api.status_code == other_model.status_code == 403
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert (first.status_code, second.status_code) == (200, 429)


def test_what_ollama_run_asks_is_answered(home: Home) -> None:
    """`ollama run llama3.2` greets, asks for the model, loads it, and then talks."""
    home.issue(scopes=["models", "chat", "load"])
    with home.app.test_client().head("/", environ_base={"REMOTE_ADDR": INSIDE}) as greeting:
        shown = home.send("/api/show", body={"model": "llama3.2"})
    loaded = home.send("/api/chat", body={"model": "llama3.2", "messages": [], "stream": False})
    talk = home.send("/api/chat", body={"model": "llama3.2", "messages": HELLO})

    assert (greeting.status_code, shown.status_code) == (200, 200)
    assert loaded.get_json()["done_reason"] == "load"
    assert b'"done":true' in talk.get_data()


def test_its_calls_are_recorded_and_counted_as_those_of_the_key(home: Home) -> None:
    key = home.issue(budgets=[{"metric": "requests", "period": "day", "limit": 1}])
    body = {"model": "llama3.2", "messages": HELLO}

    first = home.send("/v1/chat/completions", body=body)
    second = home.send("/v1/chat/completions", body=body)
    usage = home.parts.usage
    usage.start()
    usage.flush(5)
    usage.stop()
    call = home.parts.store.read(request_queries.detail, first.headers["x-request-id"])

    assert (call.row.key_id, call.row.status, call.client_ip) == (key.id, 200, INSIDE)
    assert second.get_json()["error"]["code"] == "insufficient_quota"
    assert home.parts.keys.get(key.id).last_used_at is not None


@pytest.mark.parametrize("path", ["/metrics", "/api/admin/v1/keys"])
def test_metrics_and_admin_api_want_credentials_of_their_own(home: Home, path: str) -> None:
    home.issue()

    assert home.send(path).status_code in {401, 403}


def test_the_console_wants_a_session(home: Home) -> None:
    home.issue()
    answer = home.send("/admin/keys")

    assert answer.status_code == 303
    assert "/auth/login" in answer.headers["Location"]


def test_an_anonymous_key_needs_addresses(home: Home) -> None:
    with pytest.raises(InvalidFields, match="'cidrs' must say which addresses need no key"):
        home.issue(cidrs=())
    key = home.issue()
    with pytest.raises(InvalidFields, match="'cidrs' must say which addresses need no key"):
        home.parts.keys.update(key.id, {"cidrs": []}, SYSTEM)
    home.parts.keys.update(key.id, {"cidrs": [], "anonymous": False}, SYSTEM)

    assert home.status() == 401
