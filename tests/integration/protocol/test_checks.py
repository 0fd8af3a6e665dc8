"""Checks in which gateways before Ollama most often fail, one test each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script, error
from tests.integration.clients.things import CHAT_TOOL, RED_DOT, sent
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING, HELLO, TEXT_OF
from tests.support.wire import events

pytestmark = pytest.mark.process

CHAT = "/v1/chat/completions"
OBAN = ("get_weather", {"city": "Oban"})
LEITH = ("get_weather", {"city": "Leith"})


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "llama3.2", "messages": HELLO, **changes}


# 1


def test_two_calls_of_two_records_stay_two_and_the_role_comes_once(
    caller: Caller, ollama: FakeOllama
) -> None:
    ollama.script("qwen3:8b", Script(tool_calls=[OBAN, LEITH]))

    reply = caller.post(CHAT, chat(model="qwen3:8b", tools=[CHAT_TOOL], stream=True, n=2))

    chunks = [data for _, data in events(reply.body)]
    deltas = [choice for chunk in chunks[:-1] for choice in chunk["choices"]]
    for index in (0, 1):
        mine = [one["delta"] for one in deltas if one["index"] == index]
        assert [delta["role"] for delta in mine if "role" in delta] == ["assistant"]
        calls = [call for delta in mine for call in delta.get("tool_calls", ())]
        assert [call["index"] for call in calls] == [0, 0, 1, 1]
        assert [call["id"] for call in calls if "id" in call] == list(
            dict.fromkeys(call["id"] for call in calls if "id" in call)
        )
        joined = ["".join(c["function"]["arguments"] for c in calls if c["index"] == number)
                  for number in (0, 1)]  # fmt: skip
        assert [json.loads(text) for text in joined] == [OBAN[1], LEITH[1]]
    assert [one["index"] for one in deltas][:2] == [0, 1]
    assert chunks[-1] == "[DONE]"


# 2 is in test_waiting.py

# 3


def test_an_error_after_text_is_an_event_and_before_text_a_status(
    caller: Caller, ollama: FakeOllama
) -> None:
    ollama.script("llama3.2", Script(content="a b c", fault=Fault("error_line", after=2)))
    late = caller.post(CHAT, chat(stream=True))
    ollama.script("llama3.2", Script(content="a b c", fault=Fault("error_line", after=0)))
    early = caller.post(CHAT, chat(stream=True))

    assert late.status == 200
    last = events(late.body)[-1][1]
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert last["error"]["code"] == "upstream_error"
    assert (early.status, early.code) == (502, "upstream_error")


# 4, 5: tests/integration/clients; here the unusual order of an Anthropic stream


def test_each_block_is_closed_before_the_next_opens(caller: Caller, ollama: FakeOllama) -> None:
    pieces = [{"thinking": "A"}, {"content": "b"}, {"thinking": "C"}, {"content": "d"}]
    ollama.script("qwen3:8b", Script(chunks=[{"role": "assistant", **one} for one in pieces]))

    reply = caller.post(
        "/v1/messages",
        {"model": "qwen3:8b", "messages": HELLO, "max_tokens": 99, "stream": True,
         "thinking": {"type": "enabled", "budget_tokens": 1024}},
    )  # fmt: skip

    found = events(reply.body)
    assert all(name == data["type"] for name, data in found)
    assert found[0][1]["message"]["usage"]["input_tokens"] > 0
    opened: list[int] = []
    for _, data in found:
        if data["type"] == "content_block_start":
            assert opened == []
            opened = [data["index"]]
        elif data["type"] == "content_block_delta":
            assert opened == [data["index"]]
        elif data["type"] == "content_block_stop":
            assert opened.pop() == data["index"]
    kinds = [d["content_block"]["type"] for _, d in found if d["type"] == "content_block_start"]
    assert kinds == ["thinking", "text", "thinking", "text"]
    assert found[-1][0] == "message_stop"


# 6

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


# 7


def test_scalars_in_the_wrong_clothes_are_understood(caller: Caller, ollama: FakeOllama) -> None:
    reply = caller.post(
        CHAT, chat(stop="END", temperature="0.5", keep_alive="300", top_k="40", seed=7.0)
    )

    assert reply.status == 200
    body = sent(ollama)
    assert body["options"] == {"stop": ["END"], "temperature": 0.5, "top_k": 40, "seed": 7}
    assert body["keep_alive"] == 300


# 8


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


# 9


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


# 10 is in test_pictures.py

# 11


def test_an_empty_conversation_never_reaches_ollama(caller: Caller, ollama: FakeOllama) -> None:
    reply = caller.post(CHAT, chat(messages=[], keep_alive=0))

    assert (reply.status, reply.code) == (400, "missing_required_parameter")
    assert reply.json["error"]["param"] == "messages"
    assert ollama.calls("/api/chat") == []


# 12


def test_a_model_with_a_slash_is_found_however_it_is_encoded(caller: Caller) -> None:
    for path in ("hf.co%2Fuser%2FModel-GGUF:Q4_K_M", "hf.co/user/Model-GGUF%3AQ4_K_M"):
        reply = caller.ask("GET", f"/v1/models/{path}")

        assert reply.status == 200
        assert reply.json["id"] == "hf.co/user/Model-GGUF:Q4_K_M"


# 13


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


NAMES = [
    ("other case", "LLAMA3.2"),
    ("with its tag", "llama3.2:latest"),
    ("with a registry", "library/llama3.2"),
    ("with a vendor", "openai/llama3.2"),
    ("with spaces", "  llama3.2 "),
    ("an alias", "gpt-4o"),
    ("a pattern", "claude-9-haiku-20300101"),
]


@pytest.mark.parametrize("name", [case[1] for case in NAMES], ids=[case[0] for case in NAMES])
def test_a_key_for_one_model_may_use_all_its_names(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str
) -> None:
    key = operator.key(allow=["llama3.2"])

    with operator.changed_model("llama3.2:latest", aliases={"gpt-4o": {}, "claude-*haiku*": {}}):
        reply = caller.post(CHAT, chat(model=name), key=key)

    assert reply.status == 200
    assert reply.json["model"] == name
    assert sent(ollama)["model"] == "llama3.2:latest"


def test_a_model_that_is_not_allowed_is_403_and_an_unknown_one_404(
    caller: Caller, operator: Operator
) -> None:
    key = operator.key(allow=["llama3.2"])

    refused = caller.post(CHAT, chat(model="qwen3:8b"), key=key)
    unknown = caller.post(CHAT, chat(model="nobody"), key=key)

    assert (refused.status, refused.code) == (403, "model_access_denied")
    assert (unknown.status, unknown.code) == (404, "model_not_found")


def test_prompts_do_not_leave_the_house_by_a_cloud_model(
    caller: Caller, ollama: FakeOllama
) -> None:
    for name in ("deepseek-v3.1:671b-cloud", "deepseek-v3.1:cloud", "deepseek-v3.1:671b:cloud"):
        reply = caller.post(CHAT, chat(model=name))

        assert reply.status == 404
    assert ollama.calls("/api/chat") == []


# 14 is in test_leaving.py

# 15


def test_a_used_up_budget_is_not_worth_a_retry(caller: Caller, operator: Operator) -> None:
    key = operator.key(budgets=[{"metric": "requests", "period": "day", "limit": 1}])
    caller.post(CHAT, chat(), key=key)

    reply = caller.post(CHAT, chat(), key=key)

    assert (reply.status, reply.code) == (429, "insufficient_quota")
    assert reply.json["error"]["type"] == "insufficient_quota"
    assert reply.headers["x-should-retry"] == "false"


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
    words = {"chat": '"length"', "completions": '"length"', "messages": '"max_tokens"',
             "responses": '"max_output_tokens"'}  # fmt: skip
    assert words[name] in reply.body.decode()
    assert after.code == "insufficient_quota" if name != "messages" else after.status == 429
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


# 16


def test_the_billing_block_of_an_agent_changes_nothing_upstream(
    caller: Caller, ollama: FakeOllama
) -> None:
    rest = {"type": "text", "text": "You are useful."}
    for note in ("x-anthropic-billing-header: a=1", "x-anthropic-billing-header: b=2", ""):
        system = [{"type": "text", "text": note}, rest] if note else [rest]
        caller.post("/v1/messages", GENERATING["messages"].with_(system=system))

    assert len({call.body for call in ollama.calls("/api/chat")}) == 1


# 17


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


# 18


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_the_last_record_says_is_not_lost(
    caller: Caller, ollama: FakeOllama, stream: bool
) -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Oban"}}}
    last = {"message": {"role": "assistant", "content": "Bye.", "tool_calls": [call]}}
    ollama.script("llama3.2", Script(content="Hi. ", final=last))

    reply = caller.post(CHAT, chat(tools=[CHAT_TOOL], stream=stream))

    if stream:
        chunks = [data for _, data in events(reply.body)][:-1]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
        names = [c["function"]["name"] for d in deltas for c in d.get("tool_calls", ())
                 if "name" in c["function"]]  # fmt: skip
    else:
        message = reply.json["choices"][0]["message"]
        text = message["content"]
        names = [call["function"]["name"] for call in message["tool_calls"]]
    assert text == "Hi. Bye."
    assert names == ["get_weather"]


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
    assert reply.code in {"upstream_bad_response", "api_error"}


# 19


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_schema_holds_on_a_model_that_skips_its_thinking(
    caller: Caller, ollama: FakeOllama, stream: bool
) -> None:
    ollama.script(
        "qwen3:8b",
        Script(content="Well, Oban.", when=lambda body: body.get("think") is not False),
        Script(content='{"city":"Oban"}', when=lambda body: body.get("think") is False),
    )
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}

    reply = caller.post(CHAT, chat(model="qwen3:8b", response_format=wanted, stream=stream))

    if stream:
        chunks = [data for _, data in events(reply.body)][:-1]
        text = "".join(
            choice["delta"].get("content") or "" for c in chunks for choice in c["choices"]
        )
    else:
        text = TEXT_OF["chat"](reply.json)
    assert json.loads(text) == {"city": "Oban"}
    assert sent(ollama)["format"] == schema


# 20

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
    if endpoint.anthropic:
        assert told["message"] == "prompt is too long: 9000 tokens > 4096 maximum"
    else:
        assert told["code"] == "context_length_exceeded"
        assert told["param"] == endpoint.prompt
        assert "{" not in told["message"]


def test_an_image_reaches_ollama_bare(caller: Caller, ollama: FakeOllama) -> None:
    parts = [{"type": "image_url", "image_url": f"data:image/png;base64,{RED_DOT}"}]

    reply = caller.post(CHAT, chat(model="llava:7b", messages=[{"role": "user", "content": parts}]))

    assert reply.status == 200
    assert sent(ollama)["messages"][0]["images"] == [RED_DOT]
