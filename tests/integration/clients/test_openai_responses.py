"""openai-python's Responses API against the gateway: answers, events, state, every kind of tool."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, FLAT_TOOL, HELLO, LEFT, sent
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]


class City(BaseModel):
    name: str
    people: int


class Country(BaseModel):
    capital: City
    cities: list[City]


def test_an_answer_has_its_items_in_order(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Let me see.", content="Hello there."))

    answer = client.responses.create(
        model="qwen3:8b", input="Hello?", instructions="Be kind.", max_output_tokens=90,
        temperature=0.2, metadata={"a": "b"},
    )  # fmt: skip

    thought, message = answer.output
    assert (thought.type, thought.summary[0].text) == ("reasoning", "Let me see.")
    assert message.content[0].text == answer.output_text == "Hello there."
    assert answer.status == "completed"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    assert (answer.temperature, answer.metadata) == (0.2, {"a": "b"})
    assert answer.id.startswith("resp_")
    body = sent(shared_ollama)
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello?"},
    ]
    assert body["options"] == {"num_predict": 90, "temperature": 0.2}


def test_the_stream_helper_accepts_reasoning_text_and_calls(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(
            thinking="Two cities.",
            content="Looking.",
            tool_calls=[("get_weather", {"city": "Oban"}), ("get_weather", {"city": "Leith"})],
        ),
    )

    with client.responses.stream(model="qwen3:8b", input="Weather?", tools=[FLAT_TOOL]) as stream:
        events = list(stream)
        final = stream.get_final_response()

    assert [item.type for item in final.output] == [
        "reasoning", "message", "function_call", "function_call",
    ]  # fmt: skip
    assert [json.loads(item.arguments)["city"] for item in final.output[2:]] == ["Oban", "Leith"]
    assert final.output_text == "Looking."
    numbers = [event.sequence_number for event in events if hasattr(event, "sequence_number")]
    assert numbers == sorted(set(numbers))


EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
]


def test_raw_events_keep_the_order_of_the_contract(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(thinking=["Hm."], content=["Hi."], tool_calls=[("get_weather", {"city": "Oban"})]),
    )

    events = list(
        client.responses.create(model="qwen3:8b", input="Weather?", tools=[FLAT_TOOL], stream=True)
    )

    assert [event.type for event in events] == EVENTS
    assert [event.sequence_number for event in events] == list(range(len(EVENTS)))
    assert events[0].response.status == "in_progress"
    assert events[0].response.usage is None
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1


@pytest.mark.parametrize("model", ["qwen3:8b", "gemma3:4b"])
def test_parse_gives_a_nested_model(
    client: openai.OpenAI, shared_ollama: FakeOllama, model: str
) -> None:
    answer = client.responses.parse(model=model, input="Which country?", text_format=Country)

    assert isinstance(answer.output_parsed, Country)
    assert "$ref" not in json.dumps(sent(shared_ollama)["format"])


def test_streamed_output_is_parsed(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    with client.responses.stream(model="qwen3:8b", input="Which city?", text_format=City) as stream:
        final = stream.get_final_response()

    assert isinstance(final.output_parsed, City)


def test_a_conversation_goes_on_from_the_previous_response(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "llama3.2", Script(content="I am a lighthouse."), Script(content="On an island.")
    )

    first = client.responses.create(
        model="llama3.2", input="Who are you?", instructions="Speak as a lighthouse."
    )
    second = client.responses.create(
        model="llama3.2", input="Where?", previous_response_id=first.id
    )

    assert second.output_text == "On an island."
    assert second.previous_response_id == first.id
    assert [(m["role"], m["content"]) for m in sent(shared_ollama)["messages"]] == [
        ("user", "Who are you?"),
        ("assistant", "I am a lighthouse."),
        ("user", "Where?"),
    ]


def test_a_tool_loop_over_previous_responses(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(thinking="A tool.", tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="It rains."),
    )

    first = client.responses.create(model="qwen3:8b", input="Weather in Oban?", tools=[FLAT_TOOL])
    call = next(item for item in first.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = client.responses.create(
        model="qwen3:8b", input=[result], tools=[FLAT_TOOL], previous_response_id=first.id
    )

    assert second.output_text == "It rains."
    asked, called, told = sent(shared_ollama)["messages"]
    assert asked["content"] == "Weather in Oban?"
    assert called["thinking"] == "A tool."
    assert called["tool_calls"][0]["function"]["arguments"] == {"city": "Oban"}
    assert (told["tool_name"], told["content"]) == ("get_weather", "rain")


def test_a_stateless_loop_hands_everything_back(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(thinking="A tool.", tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="It rains."),
    )
    items: list[Any] = [{"role": "user", "content": "Weather in Oban?"}]
    options: dict[str, Any] = {
        "model": "qwen3:8b",
        "tools": [FLAT_TOOL],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }

    first = client.responses.create(input=items, **options)
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({
        "type": "function_call_output", "call_id": first.output[-1].call_id, "output": "rain",
    })  # fmt: skip
    second = client.responses.create(input=items, **options)

    assert second.output_text == "It rains."
    assert first.output[0].encrypted_content.startswith("ogw1.")
    messages = sent(shared_ollama)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["thinking"] == "A tool."
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_stored_response_is_read_listed_and_deleted(
    client: openai.OpenAI, shared_ollama: FakeOllama, stream: bool
) -> None:
    shared_ollama.script("llama3.2", Script(content="Hello."))
    given = client.responses.create(model="llama3.2", input="Hello?", stream=stream)
    made = list(given)[-1].response if stream else given

    again = client.responses.retrieve(made.id)
    items = list(client.responses.input_items.list(made.id))
    client.responses.delete(made.id)

    assert again.output_text == "Hello."
    assert again.model_dump() == made.model_dump()
    assert items[0].content[0].text == "Hello?"
    assert items[0].role == "user"
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.retrieve(made.id)
    assert caught.value.code == "response_not_found"


def test_input_items_come_in_pages(client: openai.OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": f"number {number}"} for number in range(7)]
    made = client.responses.create(model="llama3.2", input=items)

    first = client.responses.input_items.list(made.id, limit=3, order="asc")
    everything = [item.content[0].text for item in first]

    assert len(first.data) == 3
    assert first.has_more
    assert everything == [f"number {number}" for number in range(7)]


def test_a_custom_tool_takes_and_gives_plain_text(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(tool_calls=[("apply_patch", {"input": "*** Begin Patch\n*** End Patch"})]),
        Script(content="Done."),
    )
    tool: Any = {
        "type": "custom",
        "name": "apply_patch",
        "description": "Change files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
    }

    with client.responses.stream(model="qwen3:8b", input="Patch it.", tools=[tool]) as stream:
        events = list(stream)
        first = stream.get_final_response()
    call = first.output[-1]
    result: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}
    second = client.responses.create(
        model="qwen3:8b", input=[result], tools=[tool], previous_response_id=first.id
    )

    assert (call.type, call.input) == ("custom_tool_call", "*** Begin Patch\n*** End Patch")
    kinds = [event.type for event in events]
    assert "response.custom_tool_call_input.delta" in kinds
    assert "response.custom_tool_call_input.done" in kinds
    assert second.output_text == "Done."
    function = sent(shared_ollama, 0)["tools"][0]["function"]
    assert function["name"] == "apply_patch"
    assert function["parameters"]["required"] == ["input"]
    assert "start: /.+/" in function["description"]
    assert sent(shared_ollama)["messages"][-1]["tool_name"] == "apply_patch"


def test_a_forced_call_comes_from_a_model_that_would_chat(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "llama3.2",
        Script(content="I would rather chat.", when=lambda body: not body.get("format")),
        Script(content='{"city":"Oban"}', when=lambda body: bool(body.get("format"))),
    )

    answer = client.responses.create(
        model="llama3.2",
        input="Hello?",
        tools=[FLAT_TOOL],
        tool_choice={"type": "function", "name": "get_weather"},
    )

    assert [item.type for item in answer.output] == ["function_call"]
    assert json.loads(answer.output[0].arguments) == {"city": "Oban"}


def test_length_makes_an_incomplete_response(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    answer = client.responses.create(model="llama3.2", input="Hello?", max_output_tokens=2)
    events = list(
        client.responses.create(model="llama3.2", input="Hello?", max_output_tokens=2, stream=True)
    )

    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output[0].status == "incomplete"


def test_a_failure_in_mid_stream_ends_with_a_failed_response(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", BREAKS)

    events = list(client.responses.create(model="llama3.2", input="Hello?", stream=True))

    last = events[-1]
    assert last.type == "response.failed"
    assert (last.response.status, last.response.error.code) == ("failed", "server_error")
    assert last.response.error.message
    assert client.responses.retrieve(last.response.id).status == "failed"


def test_nothing_can_be_cancelled_or_compacted(client: openai.OpenAI) -> None:
    made = client.responses.create(model="llama3.2", input="Hello?")

    with pytest.raises(openai.BadRequestError) as cancelled:
        client.responses.cancel(made.id)
    with pytest.raises(openai.NotFoundError) as compacted:
        client.responses.compact(model="llama3.2")

    assert cancelled.value.code == "unsupported_operation"
    assert compacted.value.code == "unsupported_endpoint"


def test_input_tokens_are_estimated(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    counted = client.responses.input_tokens.count(model="llama3.2", input="word " * 100)

    assert 80 < counted.input_tokens < 400
    assert shared_ollama.calls("/api/chat") == []


def test_text_of_any_kind_arrives_as_it_was_said(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content=list(LEFT)))

    with client.responses.stream(model="llama3.2", input="Say it.") as stream:
        final = stream.get_final_response()

    assert final.output_text == LEFT


async def _converse(live: Gateway) -> tuple[str, str]:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.key) as client:
        whole = await client.responses.create(model="llama3.2", input=HELLO)
        async with client.responses.stream(model="llama3.2", input="Hello?") as stream:
            streamed = await stream.get_final_response()
        return whole.output_text, streamed.output_text


def test_the_asynchronous_client_does_the_same(live: Gateway, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="All is well."))

    assert asyncio.run(_converse(live)) == ("All is well.", "All is well.")
