"""Every call of a known key leaves exactly one record that says how it ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script, error
from tests.integration.conftest import Caller, Operator, Records
from tests.support.asking import ENDPOINTS, GENERATING
from tests.support.process import until
from tests.support.wire import events, post

CANARY = "the-hidden-bay"
pytestmark = pytest.mark.process

CHAT = GENERATING["chat"]
RECORDED = [name for name, one in ENDPOINTS.items() if one.upstream]

REFUSED = {
    "an unknown model": ({"model": "nobody"}, 404, "model_not_found"),
    "no model": ({"model": None}, 400, "missing_required_parameter"),
    "a wrong type": ({"keep_alive": []}, 400, "invalid_value"),
}


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize(("changes", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_call_refused_before_it_began_is_recorded(
    caller: Caller, records: Records, name: str, changes: Any, status: int, code: str
) -> None:
    endpoint = ENDPOINTS[name]

    reply = caller.post(endpoint.path, endpoint.with_(**changes))

    found = records.of(reply)
    assert reply.status == status
    assert (found["status"], found["error_code"], found["finish"]) == (status, code, "error")
    assert (found["endpoint"], found["key_name"]) == (name, "test key")
    asked = changes.get("model", endpoint.body["model"])
    assert found["requested_model"] == (asked or "")


def test_what_is_no_json_is_recorded(caller: Caller, records: Records) -> None:
    reply = caller.post(CHAT.path, b"{")

    assert records.of(reply)["error_code"] == "invalid_json"


def test_a_model_and_an_endpoint_that_are_not_allowed_are_recorded(
    caller: Caller, operator: Operator, records: Records
) -> None:
    key = operator.key(allow=["qwen3:8b"], scopes=["chat"])

    model = caller.post(CHAT.path, CHAT.body, key=key)
    scope = caller.post("/v1/messages", GENERATING["messages"].body, key=key)

    assert (records.of(model)["status"], records.of(model)["error_code"]) == (
        403,
        "model_access_denied",
    )
    assert (records.of(scope)["status"], records.of(scope)["error_code"]) == (
        403,
        "permission_denied",
    )


def test_a_refusal_takes_nothing_from_a_budget(caller: Caller, operator: Operator) -> None:
    key = operator.key(budgets=[{"metric": "requests", "period": "day", "limit": 1}])
    for _ in range(3):
        assert caller.post(CHAT.path, CHAT.with_(model="nobody"), key=key).status == 404

    assert caller.post(CHAT.path, CHAT.body, key=key).status == 200


def test_a_limit_is_recorded(caller: Caller, operator: Operator, records: Records) -> None:
    key = operator.key(requests_per_minute=1)
    caller.post(CHAT.path, CHAT.body, key=key)

    reply = caller.post(CHAT.path, CHAT.body, key=key)

    found = records.of(reply)
    assert (found["status"], found["error_code"]) == (429, "rate_limit_exceeded")
    assert found["model"] == "llama3.2"


@pytest.mark.parametrize("name", RECORDED)
def test_a_failure_of_ollama_is_recorded(
    caller: Caller, ollama: FakeOllama, records: Records, name: str
) -> None:
    endpoint = ENDPOINTS[name]
    words = f"prompt was {CANARY!r}: runner process has terminated"
    ollama.script(endpoint.body["model"], Script(fault=error(500, words)))

    reply = caller.post(endpoint.path, endpoint.body)

    found = records.of(reply)
    assert (reply.status, found["status"], found["error_code"]) == (502, 502, "upstream_error")
    assert found["error_message"] == "The Ollama server: runner process has terminated"
    assert CANARY in reply.body.decode()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_choices_count_their_common_prompt_once(
    caller: Caller, ollama: FakeOllama, records: Records, stream: bool
) -> None:
    ollama.script("llama3.2", Script(content="one two", prompt_eval_count=9, eval_count=2))

    reply = caller.post(CHAT.path, CHAT.with_(n=3, stream=stream))

    found = records.detail(reply)
    assert (found["row"]["prompt_tokens"], found["row"]["completion_tokens"]) == (9, 6)
    assert found["upstream_calls"] == 3


def test_two_passes_count_both_prompts(
    caller: Caller, ollama: FakeOllama, records: Records
) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    ollama.script(
        "llama3.2",
        Script(content="No.", prompt_eval_count=9, eval_count=2),
        Script(content="{}", prompt_eval_count=11, eval_count=3),
    )

    reply = caller.post(CHAT.path, CHAT.with_(tools=[tool], tool_choice="required"))

    found = records.detail(reply)
    assert (found["row"]["prompt_tokens"], found["row"]["completion_tokens"]) == (20, 5)
    assert (found["upstream_calls"], found["row"]["finish"]) == (2, "tool_calls")


def test_a_fallback_is_recorded_under_the_model_that_answered(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records
) -> None:
    other = operator.model("gemma3:4b")["id"]
    ollama.script("llama3.2", Script(fault=error(400, "exceeds the available context size")))
    with operator.changed_model("llama3.2:latest", fallbacks=[other]):
        reply = caller.post(CHAT.path, CHAT.body)

    found = records.detail(reply)
    assert reply.status == 200
    assert reply.headers["x-gateway-fallback"] == "gemma3:4b"
    assert found["row"]["model"] == "gemma3:4b"
    assert found["row"]["requested_model"] == "llama3.2"


def test_a_fallback_is_bounded_by_the_budget_like_the_first(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    key = operator.key(budgets=[{"metric": "tokens", "period": "day", "limit": 60}])
    other = operator.model("gemma3:4b")["id"]
    ollama.script("llama3.2", Script(fault=error(400, "exceeds the available context size")))
    with operator.changed_model("llama3.2:latest", fallbacks=[other]):
        reply = caller.post(CHAT.path, CHAT.body, key=key)

    first, second = (one.json["options"]["num_predict"] for one in ollama.calls("/api/chat"))
    assert reply.status == 200
    assert 0 < first <= 60
    assert 0 < second <= 60


def test_a_stream_that_fails_after_its_head_was_answered_200(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records
) -> None:
    """Also when not one word had come: the head was sent while the model was silent."""
    ollama.script("llama3.2", Script(fault="html_500"))
    with operator.settings(stream_commit_ms=50), ollama.hold("llama3.2"):
        wire = caller.wire()
        wire.send(post(CHAT.path, CHAT.with_(stream=True), caller.key))
        status, headers = wire.head()
        ollama.release()
        b"".join(wire.body(headers))

    found = records.of(headers["x-request-id"])
    assert (status, found["status"]) == (200, 200)
    assert (found["finish"], found["error_code"]) == ("error", "upstream_error")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_call_ended_by_an_admin_is_recorded_so(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records, stream: bool
) -> None:
    wire = caller.wire()
    with ollama.hold("llama3.2", at=2) as gate:
        wire.send(post(CHAT.path, CHAT.with_(stream=stream), caller.key))
        gate.wait_reached()
        (running,) = until(lambda: operator.call("GET", "/live")["data"], "the running call")
        operator.call("DELETE", f"/live/{running['request_id']}")
        reply = wire.reply()

    found = records.of(running["request_id"])
    assert found["finish"] == "cancelled"
    assert found["error_code"] == "cancelled"
    assert "cancelled" in reply.body.decode()


def test_a_call_of_a_revoked_key_ends_in_its_dialect(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records
) -> None:
    key = operator.key()
    messages = GENERATING["messages"]
    wire = caller.wire()
    with ollama.hold("llama3.2", at=2) as gate:
        wire.send(post(messages.path, messages.with_(stream=True), key))
        _, headers = wire.head()
        gate.wait_reached()
        operator.call("POST", f"/keys/{operator.key_id(key)}/revoke")
        name, last = events(b"".join(wire.body(headers)))[-1]

    found = records.of(headers["x-request-id"])
    assert (name, last["error"]["type"]) == ("error", "authentication_error")
    assert (found["status"], found["error_code"]) == (200, "api_key_revoked")


def test_a_call_left_in_the_middle_took_its_prompt(
    caller: Caller, ollama: FakeOllama, records: Records
) -> None:
    """Ollama's counts never come; who always leaves before the end would read for nothing."""
    ollama.script("llama3.2", Script(content=["a", "b", "c"]))
    long = [{"role": "user", "content": "ebb and flow " * 200}]
    wire = caller.wire()
    with ollama.hold("llama3.2", at=2) as gate:
        wire.send(post(CHAT.path, CHAT.with_(messages=long, stream=True), caller.key))
        _, headers = wire.head()
        gate.wait_reached()
        until(lambda: b'"b"' in wire.line(), "the second word")
        wire.sock.close()
        ollama.wait_disconnect()

    found = records.detail(headers["x-request-id"])
    assert (found["row"]["status"], found["row"]["finish"]) == (499, "client_closed")
    assert found["row"]["completion_tokens"] == 2
    assert 100 < found["row"]["prompt_tokens"] < 1600  # what a unit is worth was learned
    assert found["estimated"]


@pytest.mark.parametrize("name", RECORDED)
def test_a_record_holds_no_words_of_the_caller_and_little_of_a_long_request(
    caller: Caller, records: Records, name: str
) -> None:
    """However many options a caller makes up, and whatever its stop strings say."""
    endpoint = ENDPOINTS[name]
    made_up = {f"{CANARY}-{number}": CANARY for number in range(500)}

    reply = caller.post(
        endpoint.path, endpoint.with_(options=made_up | {"stop": [CANARY] * 9, "top_k": 7})
    )

    assert reply.status == 200
    kept = json.dumps([records.of(reply), records.detail(reply)])
    assert CANARY not in kept
    assert len(kept) < 5_000
