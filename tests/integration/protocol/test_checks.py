"""Checks in which gateways before Ollama most often fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script, error
from tests.integration.clients.things import CHAT_TOOL, sent
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING, HELLO, TEXT_OF, is_refusal
from tests.support.wire import events

pytestmark = pytest.mark.process

CHAT = "/v1/chat/completions"


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "llama3.2", "messages": HELLO, **changes}


LENGTH = [
    ("chat", {"max_tokens": 2}, lambda answer: answer["choices"][0]["finish_reason"], "length"),
    ("completions", {"max_tokens": 2}, lambda answer: answer["choices"][0]["finish_reason"],
     "length"),
    ("messages", {"max_tokens": 2}, lambda answer: answer["stop_reason"], "max_tokens"),
    ("responses", {"max_output_tokens": 2}, lambda answer: answer["status"], "incomplete"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "told", "word"), LENGTH, ids=[case[0] for case in LENGTH]
)
def test_a_reached_limit_is_told(
    caller: Caller, name: str, change: dict[str, int], told: Any, word: str
) -> None:
    endpoint = GENERATING[name]

    reply = caller.post(endpoint.path, endpoint.with_(**change))

    assert told(reply.json) == word


def test_scalars_in_the_wrong_clothes_are_understood(caller: Caller, ollama: FakeOllama) -> None:
    reply = caller.post(
        CHAT, chat(stop="END", temperature="0.5", keep_alive="300", top_k="40", seed=7.0)
    )

    assert reply.status == 200
    body = sent(ollama)
    assert body["options"] == {"stop": ["END"], "temperature": 0.5, "top_k": 40, "seed": 7}
    assert body["keep_alive"] == 300


@pytest.mark.parametrize("model", ["llama3.2", "gemma3:4b"], ids=["chatty", "without tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_forced_call_comes_whatever_the_model_prefers(
    caller: Caller, ollama: FakeOllama, model: str, stream: bool
) -> None:
    ollama.script(
        model,
        Script(content="I would rather chat.", when=lambda body: not body.get("format")),
        Script(content='{"city":"Oban"}', when=lambda body: bool(body.get("format"))),
    )
    forced = {"type": "function", "function": {"name": "get_weather"}}

    reply = caller.post(
        CHAT, chat(model=model, tools=[CHAT_TOOL], tool_choice=forced, stream=stream)
    )

    if stream:
        chunks = [data for _, data in events(reply.body)][:-1]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        arguments = "".join(call["function"]["arguments"] for call in calls)
        reason = chunks[-1]["choices"][0]["finish_reason"]
        assert "".join(delta.get("content") or "" for delta in deltas) == ""
    else:
        choice = reply.json["choices"][0]
        arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
        reason = choice["finish_reason"]
        assert choice["message"]["content"] is None
    assert json.loads(arguments) == {"city": "Oban"}
    assert reason == "tool_calls"


def test_an_effort_a_model_cannot_make_is_left_out(caller: Caller, ollama: FakeOllama) -> None:
    reply = caller.post(CHAT, chat(reasoning_effort="high"))

    assert reply.status == 200
    assert "think" not in sent(ollama)


def test_a_level_an_old_server_refuses_is_weakened(caller: Caller, ollama: FakeOllama) -> None:
    def old(body: dict[str, Any]) -> Script:
        if isinstance(body.get("think"), str):
            return Script(fault=error(400, f"invalid think value: {body['think']!r}"))
        return Script(content="Well.")

    ollama.script("qwen3:8b", old)

    reply = caller.post(CHAT, chat(model="qwen3:8b", reasoning_effort="max"))

    assert reply.status == 200
    assert TEXT_OF["chat"](reply.json) == "Well."
    assert sent(ollama)["think"] is True


def test_an_empty_conversation_never_reaches_ollama(caller: Caller, ollama: FakeOllama) -> None:
    reply = caller.post(CHAT, chat(messages=[], keep_alive=0))

    assert (reply.status, reply.code) == (400, "missing_required_parameter")
    assert reply.json["error"]["param"] == "messages"
    assert ollama.calls("/api/chat") == []


def test_a_model_with_a_slash_is_found_however_it_is_encoded(caller: Caller) -> None:
    for path in ("hf.co%2Fuser%2FModel-GGUF:Q4_K_M", "hf.co/user/Model-GGUF%3AQ4_K_M"):
        reply = caller.ask("GET", f"/v1/models/{path}")

        assert reply.status == 200
        assert reply.json["id"] == "hf.co/user/Model-GGUF:Q4_K_M"


def test_a_disabled_model_does_not_exist(caller: Caller, operator: Operator) -> None:
    with operator.changed_model("tinyllama:latest", enabled=False):
        asked = caller.post(CHAT, chat(model="tinyllama"))
        unknown = caller.post(CHAT, chat(model="nobody"))
        listed = caller.ask("GET", "/v1/models").json["data"]
        one = caller.ask("GET", "/v1/models/tinyllama")

    assert (asked.status, asked.code) == (404, "model_not_found")
    assert (
        asked.json["error"]["message"].replace("tinyllama", "nobody")
        == (unknown.json["error"]["message"])
    )
    assert one.status == 404
    assert "tinyllama" not in [model["id"] for model in listed]


NAMES = {
    "other case": "LLAMA3.2",
    "with its tag": "llama3.2:latest",
    "with a registry": "library/llama3.2",
    "with a vendor": "openai/llama3.2",
    "with spaces": "  llama3.2 ",
    "an alias": "gpt-4o",
    "a pattern": "claude-9-haiku-20300101",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_key_for_one_model_may_use_all_its_names(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str
) -> None:
    key = operator.key(allow=["llama3.2"])

    with operator.changed_model("llama3.2:latest", aliases={"gpt-4o": {}, "claude-*haiku*": {}}):
        reply = caller.post(CHAT, chat(model=name), key=key)

    assert reply.status == 200
    assert reply.json["model"] == name
    assert sent(ollama)["model"] == "llama3.2:latest"


def test_prompts_do_not_leave_the_house_by_a_cloud_model(
    caller: Caller, ollama: FakeOllama
) -> None:
    for name in ("deepseek-v3.1:671b-cloud", "deepseek-v3.1:cloud", "deepseek-v3.1:671b:cloud"):
        reply = caller.post(CHAT, chat(model=name))

        assert reply.status == 404
    assert ollama.calls("/api/chat") == []


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_ollama_that_ignores_num_predict_is_cut_where_the_budget_ends(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str, stream: bool
) -> None:
    key = operator.key(budgets=[{"metric": "tokens", "period": "day", "limit": 60}])
    fault = Fault("flood", after=2, size=5_000)
    ollama.script("llama3.2", Script(content="one two three four", fault=fault))
    endpoint = GENERATING[name]

    reply = caller.post(endpoint.path, endpoint.with_(stream=stream), key=key)
    after = caller.post(endpoint.path, endpoint.with_(stream=stream), key=key)

    assert reply.status == 200
    words = {"messages": '"max_tokens"', "responses": '"max_output_tokens"'}
    assert words.get(name, '"length"') in reply.body.decode()
    assert after.status == 429
    assert endpoint.vendor != "openai" or after.code == "insufficient_quota"
    ollama.wait_idle()


def test_calls_that_failed_do_not_use_up_a_budget(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    """SDKs repeat by themselves: three failures are three records, and none of the budget."""
    key = operator.key(budgets=[{"metric": "requests", "period": "day", "limit": 1}])
    failing = Script(fault=error(500, "cudaMalloc failed: out of memory"))
    ollama.script("llama3.2", failing, failing, failing, Script(content="Here again."))

    statuses = [caller.post(CHAT, chat(), key=key).status for _ in range(5)]

    assert statuses == [502, 502, 502, 200, 429]


def test_a_time_limit_is_not_worth_a_retry(caller: Caller, ollama: FakeOllama) -> None:
    with ollama.hold("llama3.2"):
        reply = caller.post(CHAT, chat(timeout_ms=200))

    assert (reply.status, reply.code) == (504, "upstream_timeout")
    assert reply.headers["x-should-retry"] == "false"


def test_no_one_is_told_to_wait_longer_than_a_minute(caller: Caller, ollama: FakeOllama) -> None:
    limited = Fault("status", status=429, body={"error": "slow"}, headers={"Retry-After": "7200"})
    ollama.script("llama3.2", Script(fault=limited))

    reply = caller.post(CHAT, chat())

    assert (reply.status, reply.code) == (429, "upstream_rate_limited")
    assert reply.headers["retry-after"] == "60"
    assert reply.headers["x-should-retry"] == "false"
    assert "7200 seconds" in reply.json["error"]["message"]


def test_the_billing_block_of_an_agent_changes_nothing_upstream(
    caller: Caller, ollama: FakeOllama
) -> None:
    rest = {"type": "text", "text": "You are useful."}
    for note in ("x-anthropic-billing-header: a=1", "x-anthropic-billing-header: b=2", ""):
        system = [{"type": "text", "text": note}, rest] if note else [rest]
        caller.post("/v1/messages", GENERATING["messages"].with_(system=system))

    assert len({call.body for call in ollama.calls("/api/chat")}) == 1


def test_a_stored_response_is_hidden_from_other_keys(caller: Caller, operator: Operator) -> None:
    made = caller.post("/v1/responses", GENERATING["responses"].body).json["id"]
    stranger = operator.key()

    for method, path in (
        ("GET", f"/v1/responses/{made}"),
        ("GET", f"/v1/responses/{made}/input_items"),
        ("DELETE", f"/v1/responses/{made}"),
    ):
        reply = caller.ask(method, path, key=stranger)
        assert (reply.status, reply.code) == (404, "response_not_found")
    follow = GENERATING["responses"].with_(previous_response_id=made)
    reply = caller.post("/v1/responses", follow, key=stranger)
    assert (reply.status, reply.code) == (400, "previous_response_not_found")
    assert caller.ask("GET", f"/v1/responses/{made}").status == 200


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_without_its_last_record_has_failed(
    caller: Caller, ollama: FakeOllama, name: str, stream: bool
) -> None:
    ollama.script("llama3.2", Script(content="one two", fault="nodone"))
    endpoint = GENERATING[name]

    reply = caller.post(endpoint.path, endpoint.with_(stream=stream))

    assert reply.status == (200 if stream else 502)
    body = reply.body.decode()
    assert "broke in the middle of the answer" in body
    assert ("one" in body) is stream
    assert not any(
        word in body for word in ("[DONE]", "message_stop", "max_tokens", "response.completed")
    )


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_no_record_at_all_is_a_bad_gateway(
    caller: Caller, ollama: FakeOllama, name: str, stream: bool
) -> None:
    ollama.script("llama3.2", Script(fault="zero_lines"))
    endpoint = GENERATING[name]

    reply = caller.post(endpoint.path, endpoint.with_(stream=stream))

    assert reply.status == 502
    assert is_refusal(reply.json, endpoint.vendor)
    assert endpoint.vendor != "openai" or reply.code == "upstream_bad_response"


NESTED = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 4096,
    }
}


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("status", [400, 500])
def test_a_nested_context_error_is_readable(
    caller: Caller, ollama: FakeOllama, name: str, status: int
) -> None:
    ollama.script("llama3.2", Script(fault=error(status, json.dumps(NESTED))))
    endpoint = GENERATING[name]

    reply = caller.post(endpoint.path, endpoint.body)

    assert reply.status == 400
    told = reply.json["error"]
    if endpoint.vendor == "anthropic":
        assert told["message"] == "prompt is too long: 9000 tokens > 4096 maximum"
    elif endpoint.vendor == "ollama":
        assert told == NESTED["error"]["message"]
    else:
        assert told["code"] == "context_length_exceeded"
        assert told["param"] == endpoint.prompt
        assert "{" not in told["message"]
