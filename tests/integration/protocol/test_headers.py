"""Headers that clients and proxies act on: ids, limits, retries, notices, CORS."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from fake_ollama import FakeOllama, Script, error
from tests.integration.conftest import Caller, Operator
from tests.support.asking import ENDPOINTS, GENERATING
from tests.support.wire import Wire, events, post

pytestmark = pytest.mark.process

ID = re.compile(r"req_[0-9a-f]{32}")
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("change", [{}, {"model": "nobody"}], ids=["answer", "refusal"])
def test_every_answer_has_an_id_of_its_own(
    caller: Caller, name: str, change: dict[str, str]
) -> None:
    endpoint = ENDPOINTS[name]

    replies = [caller.post(endpoint.path, endpoint.with_(**change)) for _ in range(2)]

    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == 2
    assert all(ID.fullmatch(one) for one in ids)
    for reply in replies:
        if endpoint.vendor == "anthropic":
            assert reply.headers["request-id"] == reply.headers["x-request-id"]
        else:
            assert "request-id" not in reply.headers
        if endpoint.vendor == "openai":
            assert reply.headers["openai-version"] == "2020-10-01"
            assert reply.headers["openai-processing-ms"].isdigit()
        if endpoint.vendor == "anthropic" and change:
            assert reply.json["request_id"] == reply.headers["request-id"]


@pytest.mark.parametrize("name", GENERATING)
def test_a_stream_has_the_headers_of_a_stream(caller: Caller, name: str) -> None:
    endpoint = GENERATING[name]

    reply = caller.post(endpoint.path, endpoint.with_(stream=True))

    is_native = endpoint.vendor == "ollama"
    media_type = "application/x-ndjson" if is_native else "text/event-stream; charset=utf-8"
    assert reply.headers["content-type"] == media_type
    assert reply.headers["cache-control"] == "no-cache, no-transform"
    assert reply.headers["x-accel-buffering"] == "no"
    assert "content-length" not in reply.headers
    assert ID.fullmatch(reply.headers["x-request-id"])


ADOPTED = ["X-Request-Id", "X-Client-Request-Id", "request-id"]


@pytest.mark.parametrize("name", ADOPTED)
def test_an_id_of_the_caller_is_never_adopted(caller: Caller, name: str) -> None:
    reply = caller.ask("GET", "/v1/models", {name: "req_of_mine"})

    assert ID.fullmatch(reply.headers["x-request-id"])


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "nonsense"])
def test_any_anthropic_version_is_taken_and_echoed(caller: Caller, version: str) -> None:
    reply = caller.post("/v1/messages", GENERATING["messages"].body, {"anthropic-version": version})
    without = caller.post("/v1/messages", GENERATING["messages"].body)

    assert (reply.status, reply.headers["anthropic-version"]) == (200, version)
    assert without.status == 200
    assert "anthropic-version" not in without.headers


def test_headers_of_other_vendors_change_nothing(caller: Caller, ollama: FakeOllama) -> None:
    noise = {
        "OpenAI-Organization": "org-1", "OpenAI-Project": "p", "OpenAI-Beta": "assistants=v2",
        "anthropic-beta": "unknown-2031-01-01", "anthropic-workspace-id": "w",
        "x-stainless-lang": "python", "x-app": "cli", "Idempotency-Key": "1", "HTTP-Referer": "x",
        "X-Title": "y", "X-Upstream": "http://127.0.0.1:9/",
    }  # fmt: skip

    assert caller.post(CHAT, GENERATING["chat"].body, noise).status == 200
    assert caller.post(CHAT, GENERATING["chat"].body).status == 200
    first, second = ollama.calls("/api/chat")
    assert first.body == second.body
    assert not {name.lower() for name in noise} & {name for name, _ in first.headers.items()}


LIMITED = {"requests_per_minute": 100, "tokens_per_minute": 100_000}
DURATION = re.compile(r"(\d+ms|(\d+h)?(\d+m)?(\d+(\.\d+)?s)?)")


@pytest.mark.parametrize("name", [*GENERATING, "embeddings"])
@pytest.mark.parametrize("bad", [False, True], ids=["answer", "upstream failure"])
def test_limits_are_told_in_the_vendors_own_form(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str, bad: bool
) -> None:
    endpoint = ENDPOINTS[name]
    if bad:
        ollama.script("*", Script(fault=error(500, "no")))

    reply = caller.post(endpoint.path, endpoint.body, key=operator.key(**LIMITED))

    assert reply.status == (502 if bad else 200)
    found = reply.headers
    for unit, limit in (("requests", 100), ("tokens", 100_000)):
        if endpoint.vendor == "anthropic":
            base = f"anthropic-ratelimit-{unit}"
            assert found[f"{base}-limit"] == str(limit)
            assert 0 <= int(found[f"{base}-remaining"]) <= limit
            assert datetime.fromisoformat(found[f"{base}-reset"]).tzinfo is not None
        else:
            assert found[f"x-ratelimit-limit-{unit}"] == str(limit)
            assert 0 <= int(found[f"x-ratelimit-remaining-{unit}"]) <= limit
            assert DURATION.fullmatch(found[f"x-ratelimit-reset-{unit}"])
    other = "x-ratelimit" if endpoint.vendor == "anthropic" else "anthropic-ratelimit"
    assert not any(header.startswith(other) for header in found)


def test_no_limit_no_header(caller: Caller) -> None:
    reply = caller.post(CHAT, GENERATING["chat"].body)

    assert not any("ratelimit" in name for name in reply.headers)


@pytest.mark.parametrize("name", [*GENERATING, "embeddings"])
def test_a_reached_rate_limit_says_when_to_come_again(
    caller: Caller, operator: Operator, name: str
) -> None:
    endpoint = ENDPOINTS[name]
    key = operator.key(requests_per_minute=1)
    caller.post(endpoint.path, endpoint.body, key=key)

    reply = caller.post(endpoint.path, endpoint.body, key=key)

    assert reply.status == 429
    assert endpoint.vendor != "openai" or reply.code == "rate_limit_exceeded"
    assert endpoint.vendor != "anthropic" or reply.code == "rate_limit_error"
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    remaining = (
        "anthropic-ratelimit-requests-remaining"
        if endpoint.vendor == "anthropic"
        else "x-ratelimit-remaining-requests"
    )
    assert reply.headers[remaining] == "0"


def test_calls_at_once_are_limited(caller: Caller, operator: Operator, ollama: FakeOllama) -> None:
    key = operator.key(concurrent=1)
    with ollama.hold("llama3.2", at=1) as gate:
        first = caller.wire()
        first.send(post(CHAT, GENERATING["chat"].with_(stream=True), key))
        gate.wait_reached()
        second = caller.post(CHAT, GENERATING["chat"].body, key=key)
    first.reply()
    third = caller.post(CHAT, GENERATING["chat"].body, key=key)

    assert (second.status, second.code) == (429, "concurrency_limit_exceeded")
    assert second.headers["retry-after"] == "1"
    assert third.status == 200


FAULTS = [
    (error(503, "Service Unavailable"), 503, "upstream_busy", "5", None),
    (error(500, "it broke"), 502, "upstream_error", None, "false"),
    (error(500, "model runner has unexpectedly stopped"), 502, "upstream_error", None, None),
    (error(401, "unauthorized"), 502, "upstream_unauthorized", None, "false"),
    (error(403, "cloud is off"), 403, "upstream_forbidden", None, None),
    (error(429, "slow down"), 429, "upstream_rate_limited", "10", None),
    (error(404, "404 page not found"), 502, "upstream_endpoint_missing", None, "false"),
    (error(500, "error parsing tool call: raw='{'"), 502, "tool_call_parse_error", None, None),
    (error(400, "bad thing"), 400, "upstream_invalid_request", None, None),
]


@pytest.mark.parametrize(("fault", "status", "code", "after", "retry"), FAULTS,
                         ids=[case[2] + (case[4] or "") for case in FAULTS])  # fmt: skip
def test_retry_headers_fit_the_failure(
    caller: Caller, ollama: FakeOllama, fault: object, status: int, code: str,
    after: str | None, retry: str | None,
) -> None:  # fmt: skip
    ollama.script("llama3.2", Script(fault=fault))

    reply = caller.post(CHAT, GENERATING["chat"].body)

    assert (reply.status, reply.code) == (status, code)
    assert reply.headers.get("retry-after") == after
    assert reply.headers.get("x-should-retry") == retry


def test_what_has_no_effect_is_named(caller: Caller) -> None:
    body = GENERATING["chat"].with_(
        chat_template_kwargs={"mirror": 1}, tools=[{"type": "web_search"}], chat_id="x"
    )

    for stream in (False, True):
        reply = caller.post(CHAT, {**body, "stream": stream})

        assert reply.status == 200
        named = reply.headers["x-gateway-ignored"].split(", ")
        assert "chat_template_kwargs.mirror" in named
        assert "tools[0]:web_search" in named
        assert not any("chat_id" in one for one in named)


def test_the_list_of_notices_is_bounded(caller: Caller) -> None:
    tools = [{"type": f"hosted_{'x' * 40}_{number}"} for number in range(200)]

    reply = caller.post(CHAT, GENERATING["chat"].with_(tools=tools))

    assert reply.status == 200
    assert len(reply.headers["x-gateway-ignored"]) <= 1000


HOSTILE = [
    "a\tb", "\xe9\xff", "a" * 8000, "<script>alert(1)</script>", "';--", "%0d%0aX-Bad: 1",
    "{{7*7}}", "../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_header_values_do_no_harm(caller: Caller, value: str) -> None:
    headers = {"X-Request-Id": value, "User-Agent": value, "anthropic-version": value,
               "anthropic-beta": value, "X-Forwarded-For": value, "Origin": value}  # fmt: skip

    reply = caller.post("/v1/messages", GENERATING["messages"].body, headers)

    assert reply.status == 200
    assert "x-bad" not in reply.headers


def test_a_model_name_cannot_write_headers(caller: Caller) -> None:
    reply = caller.post(CHAT, GENERATING["chat"].with_(model="x\r\nX-Bad: 1\r\n\r\n<b>"))

    assert (reply.status, reply.code) == (404, "model_not_found")
    assert "x-bad" not in reply.headers


PREFLIGHTS = ["/v1/chat/completions", "/v1/messages", "/v1/models/a/b", "/chat/completions",
              "/anthropic/v1/messages", "/v1/nothing-here"]  # fmt: skip
WANTED = "authorization,content-type,x-stainless-os,anthropic-dangerous-direct-browser-access"


def _preflight(caller: Caller, path: str, origin: str = "https://chat.example.org") -> Wire:
    wire = caller.wire()
    wire.send(
        f"OPTIONS {path} HTTP/1.1\r\nHost: gateway\r\nOrigin: {origin}\r\n"
        f"Access-Control-Request-Method: POST\r\n"
        f"Access-Control-Request-Headers: {WANTED}\r\n\r\n".encode()
    )
    return wire


@pytest.mark.parametrize("path", PREFLIGHTS)
def test_a_preflight_needs_no_key_and_repeats_what_it_was_asked(caller: Caller, path: str) -> None:
    reply = _preflight(caller, path).reply()

    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-headers"] == WANTED
    methods = reply.headers["access-control-allow-methods"].split(", ")
    assert set(methods) == {"GET", "POST", "DELETE", "OPTIONS"}
    assert reply.headers["access-control-max-age"] == "86400"
    assert "access-control-allow-credentials" not in reply.headers


def test_answers_and_refusals_may_be_read_by_pages(caller: Caller) -> None:
    origin = {"Origin": "https://chat.example.org"}

    for reply in (
        caller.post(CHAT, GENERATING["chat"].body, origin),
        caller.post(CHAT, GENERATING["chat"].with_(model="nobody"), origin),
        caller.post(CHAT, GENERATING["chat"].body, origin, key="sk-wrong-key"),
    ):
        assert reply.headers["access-control-allow-origin"] == "*"
        exposed = reply.headers["access-control-expose-headers"].replace(" ", "").split(",")
        assert {"x-request-id", "request-id", "retry-after", "x-should-retry",
                "x-gateway-ignored", "x-ratelimit-remaining-requests",
                "anthropic-ratelimit-tokens-reset"} <= set(exposed)  # fmt: skip


def test_origins_can_be_narrowed(caller: Caller, operator: Operator) -> None:
    with operator.settings(cors_allow_origins="https://a.example https://b.example"):
        allowed = _preflight(caller, "/v1/models", "https://b.example").reply()
        refused = _preflight(caller, "/v1/models", "https://c.example").reply()

    assert allowed.headers["access-control-allow-origin"] == "https://b.example"
    assert "access-control-allow-origin" not in refused.headers
    assert "Origin" in allowed.headers["vary"]
    assert "Origin" in refused.headers["vary"]


@pytest.mark.parametrize("path", ["/admin/", "/auth/login", "/api/admin/v1/keys", "/static/x"])
def test_the_console_has_no_cors(caller: Caller, path: str) -> None:
    asked = caller.ask("GET", path, {"Origin": "https://evil.example"})
    preflight = _preflight(caller, path, "https://evil.example").reply()

    for reply in (asked, preflight):
        assert not any(name.startswith("access-control") for name in reply.headers)


def test_ollamas_headers_stay_behind(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="Hello.", fault="set_cookie"))

    reply = caller.post(CHAT, GENERATING["chat"].with_(stream=True))

    assert "set-cookie" not in reply.headers
    assert events(reply.body)[-1][1] == "[DONE]"
    caller.post(CHAT, GENERATING["chat"].body)
    assert "cookie" not in ollama.calls("/api/chat")[-1].headers


def test_no_api_answer_is_sniffed_or_sets_a_cookie(caller: Caller) -> None:
    for reply in (caller.ask("GET", "/v1/models"), caller.post(CHAT, GENERATING["chat"].body)):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in reply.headers
