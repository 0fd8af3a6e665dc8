"""openai-python against the gateway: what the client gets, and what reached Ollama."""

from __future__ import annotations

import json

import openai
import pytest
from pydantic import BaseModel

from fake_ollama import FakeOllama, Script, error
from tests.integration.clients.things import BREAKS, CHAT_TOOL, HELLO, RED_DOT
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]


def test_a_thinking_answer_arrives_whole(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Let me see.", content="Hello there."))

    answer = client.chat.completions.create(model="qwen3:8b", messages=HELLO)

    message = answer.choices[0].message
    assert message.content == "Hello there."
    assert message.model_extra["reasoning_content"] == "Let me see."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    assert shared_ollama.calls("/api/chat")[0].json["stream"] is True


def test_a_thinking_answer_streams_thought_first(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Let me see.", content="Hello there."))

    chunks = list(
        client.chat.completions.create(
            model="qwen3:8b", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thought = "".join((d.model_extra or {}).get("reasoning_content", "") for d in deltas)
    text = "".join(d.content or "" for d in deltas)
    assert (thought, text) == ("Let me see.", "Hello there.")
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0


def test_the_stream_helper_accepts_the_whole_stream(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(content="Checking.", tool_calls=[("get_weather", {"city": "Oban"}),
                                                ("get_weather", {"city": "Leith"})]),
    )  # fmt: skip

    with client.chat.completions.stream(
        model="qwen3:8b", messages=HELLO, tools=[CHAT_TOOL]
    ) as stream:
        final = stream.get_final_completion()

    choice = final.choices[0]
    assert choice.message.role == "assistant"
    assert [json.loads(call.function.arguments)["city"] for call in choice.message.tool_calls] == [
        "Oban",
        "Leith",
    ]
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize("model", ["qwen3:8b", "llama3.2"])
def test_a_tool_loop_runs_to_its_answer(
    client: openai.OpenAI, shared_ollama: FakeOllama, model: str
) -> None:
    shared_ollama.script(
        model,
        Script(tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="It rains in Oban."),
    )
    messages = [{"role": "user", "content": "Weather in Oban?"}]

    first = client.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL])
    call = first.choices[0].message.tool_calls[0]
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "rain, 9 degrees"})
    second = client.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL])

    assert second.choices[0].message.content == "It rains in Oban."
    sent = shared_ollama.calls("/api/chat")[-1].json["messages"]
    assert sent[-1]["tool_name"] == "get_weather"
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Oban"}


def test_an_image_reaches_the_model(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED_DOT}"}},
    ]

    answer = client.chat.completions.create(
        model="llava:7b", messages=[{"role": "user", "content": parts}]
    )

    assert answer.choices[0].message.content
    sent = shared_ollama.calls("/api/chat")[0].json["messages"][0]
    assert sent["images"] == [RED_DOT]
    assert sent["content"] == "What is this?"


def test_n_answers_come_in_one_stream(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="One answer."))

    with client.chat.completions.stream(model="llama3.2", messages=HELLO, n=2, seed=7) as stream:
        final = stream.get_final_completion()

    assert [choice.message.content for choice in final.choices] == ["One answer.", "One answer."]
    seeds = {call.json["options"]["seed"] for call in shared_ollama.calls("/api/chat")}
    assert seeds == {7, 8}


class City(BaseModel):
    name: str
    population: int


class Country(BaseModel):
    capital: City
    cities: list[City]


def test_parse_gives_a_nested_model(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    answer = client.chat.completions.parse(
        model="qwen3:8b", messages=HELLO, response_format=Country
    )

    assert isinstance(answer.choices[0].message.parsed, Country)
    assert "$ref" not in json.dumps(shared_ollama.calls("/api/chat")[-1].json["format"])


ERRORS = {
    "unknown model": ({"model": "nobody"}, openai.NotFoundError, "model_not_found"),
    "no messages": ({"messages": []}, openai.BadRequestError, "missing_required_parameter"),
}


@pytest.mark.parametrize(("change", "kind", "code"), ERRORS.values(), ids=ERRORS)
def test_a_bad_request_raises_its_exception(
    client: openai.OpenAI, change: dict, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": "llama3.2", "messages": HELLO, **change})

    assert caught.value.code == code
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_key_is_an_authentication_error(live: Gateway) -> None:
    stranger = openai.OpenAI(base_url=f"{live.url}/v1", api_key="sk-wrong-key", max_retries=0)

    with pytest.raises(openai.AuthenticationError) as caught:
        stranger.models.list()

    assert caught.value.code == "invalid_api_key"


UPSTREAM = {
    "crashed": (error(500, "model runner has unexpectedly stopped"), 502, "upstream_error"),
    "busy": (error(503, "Service Unavailable"), 503,
     "upstream_busy"),
    "gone": (error(404, "model 'llama3.2' not found"), 404, "model_not_found"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "status", "code"), UPSTREAM.values(), ids=UPSTREAM)
def test_an_early_failure_of_ollama_is_a_status(
    client: openai.OpenAI, shared_ollama: FakeOllama, stream: bool, fault, status: int, code: str
) -> None:
    shared_ollama.script("llama3.2", Script(fault=fault))

    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="llama3.2", messages=HELLO, stream=stream)

    assert (caught.value.status_code, caught.value.code) == (status, code)


def test_a_failure_in_mid_stream_raises_after_the_text(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", BREAKS)
    text: list[str] = []

    def read() -> None:
        for chunk in client.chat.completions.create(model="llama3.2", messages=HELLO, stream=True):
            text.extend(choice.delta.content or "" for choice in chunk.choices)

    with pytest.raises(openai.APIError) as caught:
        read()

    assert "".join(text) == "one two"
    assert caught.value.code == "upstream_error"


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]

    assert "llama3.2" in listed
    assert "hf.co/user/Model-GGUF:Q4_K_M" in listed
    assert client.models.retrieve("hf.co/user/Model-GGUF:Q4_K_M").owned_by == "ollama"


async def _stream_async(live: Gateway) -> str:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.key) as client:
        stream = await client.chat.completions.create(model="llama3.2", messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_the_asynchronous_client_streams(live: Gateway, shared_ollama: FakeOllama) -> None:
    import asyncio

    shared_ollama.script("llama3.2", Script(content="All is well."))

    assert asyncio.run(_stream_async(live)) == "All is well."
