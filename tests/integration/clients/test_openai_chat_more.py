"""openai-python against the gateway: the rarer fields of chat completions."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from fake_ollama import FakeOllama, Script, error
from tests.integration.clients.things import CITY, HELLO, LEFT, sent
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]

OBAN = ("get_weather", {"city": "Oban"})
FUNCTION = {"name": "get_weather", "description": "Tell the weather.", "parameters": CITY}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_old_form_of_functions_is_answered_in_the_old_form(
    client: openai.OpenAI, shared_ollama: FakeOllama, stream: bool
) -> None:
    shared_ollama.script("llama3.2", Script(tool_calls=[OBAN]))

    given = client.chat.completions.create(
        model="llama3.2", messages=HELLO, functions=[FUNCTION], function_call="auto", stream=stream
    )

    if stream:
        chunks = [chunk.choices[0] for chunk in given if chunk.choices]
        calls = [chunk.delta.function_call for chunk in chunks if chunk.delta.function_call]
        name = "".join(call.name or "" for call in calls)
        arguments = "".join(call.arguments or "" for call in calls)
        reason = chunks[-1].finish_reason
    else:
        choice = given.choices[0]
        name, arguments = choice.message.function_call.name, choice.message.function_call.arguments
        reason = choice.finish_reason
    assert (name, json.loads(arguments), reason) == (
        "get_weather", {"city": "Oban"}, "function_call",
    )  # fmt: skip
    assert sent(shared_ollama)["tools"][0]["function"]["name"] == "get_weather"


def test_log_probabilities_are_those_of_the_text(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="qwen3:8b", messages=HELLO, logprobs=True, top_logprobs=3, max_tokens=60
    )
    plain = client.chat.completions.create(model="llama3.2", messages=HELLO)

    told = answer.choices[0].logprobs.content
    assert "".join(one.token for one in told) == answer.choices[0].message.content
    assert all(len(one.top_logprobs) <= 3 for one in told)
    assert plain.choices[0].logprobs is None


def test_streamed_log_probabilities_add_up(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content="All is well."))

    with client.chat.completions.stream(model="llama3.2", messages=HELLO, logprobs=True) as stream:
        final = stream.get_final_completion()

    choice = final.choices[0]
    assert "".join(one.token for one in choice.logprobs.content) == choice.message.content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_hidden_thinking_is_counted_but_not_shown(
    client: openai.OpenAI, shared_ollama: FakeOllama, stream: bool
) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="A long thought.", content="Hello."))

    given = client.chat.completions.create(
        model="qwen3:8b", messages=HELLO, stream=stream, extra_body={"reasoning": {"exclude": True}}
    )

    parts = list(given) if stream else [given]
    assert "thought" not in "".join(part.model_dump_json() for part in parts)
    assert parts[-1].usage.completion_tokens_details.reasoning_tokens > 0
    assert sent(shared_ollama)["think"] is True


def test_custom_tools_take_plain_text(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(tool_calls=[("patch", {"input": "*** Begin"})]))

    answer = client.chat.completions.create(
        model="qwen3:8b", messages=HELLO, tools=[{"type": "custom", "custom": {"name": "patch"}}]
    )

    call = answer.choices[0].message.tool_calls[0]
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "patch", "*** Begin")


class Boat(BaseModel):
    kind: Literal["ketch", "yawl"]
    crew: list[str]


def test_parse_takes_strict_tools(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    shared_ollama.script(
        "qwen3:8b", Script(tool_calls=[("Boat", {"kind": "yawl", "crew": ["Ada"]})])
    )

    answer = client.chat.completions.parse(
        model="qwen3:8b", messages=HELLO, tools=[openai.pydantic_function_tool(Boat)]
    )

    call = answer.choices[0].message.tool_calls[0]
    assert call.function.parsed_arguments == Boat(kind="yawl", crew=["Ada"])


class Node(BaseModel):
    name: str
    children: list[Node]


@pytest.mark.parametrize("model", ["llama3.2", "qwen3:8b"])
def test_parse_takes_a_type_that_holds_itself(
    client: openai.OpenAI, shared_ollama: FakeOllama, model: str
) -> None:
    answer = client.chat.completions.parse(model=model, messages=HELLO, response_format=Node)

    tree = answer.choices[0].message.parsed
    assert isinstance(tree, Node)
    assert tree.children
    assert "Node" in sent(shared_ollama)["format"]["$defs"]


def test_parse_takes_a_tool_that_holds_itself(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    leaf = {"name": "leaf", "children": []}
    shared_ollama.script(
        "qwen3:8b", Script(tool_calls=[("Node", {"name": "root", "children": [leaf]})])
    )

    answer = client.chat.completions.parse(
        model="qwen3:8b", messages=HELLO, tools=[openai.pydantic_function_tool(Node)]
    )

    call = answer.choices[0].message.tool_calls[0]
    assert call.function.parsed_arguments == Node(name="root", children=[Node(**leaf)])
    parameters = sent(shared_ollama)["tools"][0]["function"]["parameters"]
    assert "Node" in parameters["$defs"]


def test_a_json_object_is_asked_for(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    answer = client.chat.completions.create(
        model="llama3.2", messages=HELLO, response_format={"type": "json_object"}
    )

    assert isinstance(json.loads(answer.choices[0].message.content), dict)
    assert sent(shared_ollama)["format"] == {"type": "object"}


def test_sounds_and_files_reach_a_model_that_takes_them(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    sound = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
    parts: list[Any] = [
        {"type": "text", "text": "What is said?"},
        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.md", "file_data": "IyBUaWRlcw=="}},
    ]

    client.chat.completions.create(
        model="voxtral:3b", messages=[{"role": "user", "content": parts}]
    )
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="llama3.2", messages=[{"role": "user", "content": parts}]
        )

    message = sent(shared_ollama)["messages"][0]
    assert message["images"] == [sound]
    assert "a.md" in message["content"]
    assert "# Tides" in message["content"]
    assert caught.value.code == "audio_not_supported"


def test_notices_ids_and_limits_can_be_read_from_the_answer(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="llama3.2", messages=HELLO, tools=[{"type": "web_search"}], service_tier="auto"
    )

    assert raw.headers["x-gateway-ignored"] == "tools[0]:web_search"
    assert raw.request_id.startswith("req_")
    assert raw.parse().service_tier == "default"


def test_n_answers_fail_together(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    def moody(body: dict[str, Any]) -> Script:
        return Script(fault="html_500") if body["options"]["seed"] == 8 else Script(content="One.")

    shared_ollama.script("llama3.2", moody)

    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="llama3.2", messages=HELLO, n=2, seed=7)


@pytest.mark.parametrize("pieces", [list(LEFT), [LEFT]], ids=["by character", "in one"])
def test_text_of_any_kind_arrives_as_it_was_said(
    client: openai.OpenAI, shared_ollama: FakeOllama, pieces: list[str]
) -> None:
    shared_ollama.script("llama3.2", Script(content=pieces))

    whole = client.chat.completions.create(model="llama3.2", messages=HELLO)
    with client.chat.completions.stream(model="llama3.2", messages=HELLO) as stream:
        streamed = stream.get_final_completion()

    assert whole.choices[0].message.content == LEFT
    assert streamed.choices[0].message.content == LEFT


def test_the_client_repeats_what_may_help(live: Gateway, shared_ollama: FakeOllama) -> None:
    """A runner that crashes twice is told, and worth another try; SDKs make two by themselves."""
    stopped = error(500, "model runner has unexpectedly stopped")
    shared_ollama.script(
        "llama3.2", Script(fault=stopped), Script(fault=stopped), Script(content="Here again.")
    )

    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=live.key, max_retries=2) as client:
        answer = client.chat.completions.create(model="llama3.2", messages=HELLO)

    assert answer.choices[0].message.content == "Here again."
    assert len(shared_ollama.calls("/api/chat")) == 3


def test_the_client_does_not_repeat_what_cannot_help(
    live: Gateway, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(fault=error(500, "it broke")))

    with (
        openai.OpenAI(base_url=f"{live.url}/v1", api_key=live.key, max_retries=2) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model="llama3.2", messages=HELLO)

    assert len(shared_ollama.calls("/api/chat")) == 1


async def _at_once(live: Gateway) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.key) as client:

        async def ask(number: int) -> str:
            async with client.chat.completions.stream(
                model="llama3.2", messages=[{"role": "user", "content": f"Say {number}."}]
            ) as stream:
                return (await stream.get_final_completion()).choices[0].message.content

        return await asyncio.gather(*(ask(number) for number in range(20)))


def test_answers_of_many_at_once_are_not_mixed_up(live: Gateway, shared_ollama: FakeOllama) -> None:
    def echo(body: dict[str, Any]) -> Script:
        return Script(content=f"You said: {body['messages'][-1]['content']}")

    shared_ollama.script("llama3.2", echo)

    assert asyncio.run(_at_once(live)) == [f"You said: Say {number}." for number in range(20)]
