"""anthropic-python against the gateway: what the client gets, and what reached Ollama."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from pydantic import BaseModel

from fake_ollama import FakeOllama, Script, error
from tests.integration.clients.things import BREAKS, CLAUDE_TOOL, HELLO, LEFT, sent
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]

THINK = {"type": "enabled", "budget_tokens": 1024}


def test_a_plain_answer_arrives_whole(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("qwen3:8b", Script(content="Hello there.", prompt_eval_count=11))

    answer = claude.messages.create(
        model="qwen3:8b", max_tokens=100, messages=HELLO, system="Be kind."
    )

    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].text == "Hello there."
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.input_tokens == 11
    assert answer.id.startswith("msg_")
    assert answer._request_id.startswith("req_")
    body = sent(shared_ollama)
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}
    assert body["options"] == {"num_predict": 100}
    assert body["think"] is False
    assert body["stream"] is True


def test_thinking_comes_as_a_signed_block_before_the_text(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Let me see.", content="Hello."))

    answer = claude.messages.create(
        model="qwen3:8b", max_tokens=2000, messages=HELLO, thinking=THINK
    )

    thought, text = answer.content
    assert (thought.type, thought.thinking) == ("thinking", "Let me see.")
    assert thought.signature.startswith("ogw.")
    assert text.text == "Hello."
    assert sent(shared_ollama)["think"] is True


def test_the_stream_helper_builds_thinking_text_and_calls(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(
            thinking="Which city?",
            content="Looking.",
            tool_calls=[("get_weather", {"city": "Oban"}), ("get_weather", {"city": "Leith"})],
        ),
    )

    with claude.messages.stream(
        model="qwen3:8b", max_tokens=2000, messages=HELLO, thinking=THINK, tools=[CLAUDE_TOOL]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()

    assert [block.type for block in final.content] == [
        "thinking", "text", "tool_use", "tool_use",
    ]  # fmt: skip
    assert final.content[0].thinking == "Which city?"
    assert final.content[0].signature.startswith("ogw.")
    assert final.content[1].text == "Looking."
    assert [block.input for block in final.content[2:]] == [{"city": "Oban"}, {"city": "Leith"}]
    assert len({block.id for block in final.content[2:]}) == 2
    assert all(block.id.startswith("toolu_") for block in final.content[2:])
    assert final.stop_reason == "tool_use"
    assert final.usage.output_tokens > 0
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("content_block_stop") == 4


def test_raw_events_keep_the_order_of_the_contract(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Hi."))

    events = list(
        claude.messages.create(
            model="qwen3:8b", max_tokens=2000, messages=HELLO, thinking=THINK, stream=True
        )
    )

    assert events[0].message.content == []
    assert events[0].message.usage.input_tokens > 0
    kinds = [
        f"{e.type}:{e.delta.type}" if e.type == "content_block_delta" else e.type for e in events
    ]
    order = list(dict.fromkeys(kinds))
    assert order == [
        "message_start",
        "content_block_start",
        "content_block_delta:thinking_delta",
        "content_block_delta:signature_delta",
        "content_block_stop",
        "content_block_delta:text_delta",
        "message_delta",
        "message_stop",
    ]
    indexes = [e.index for e in events if e.type == "content_block_start"]
    assert indexes == [0, 1]


@pytest.mark.parametrize("model", ["qwen3:8b", "llama3.2"])
def test_a_tool_loop_runs_to_its_answer(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama, model: str
) -> None:
    shared_ollama.script(
        model,
        Script(tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="It rains in Oban."),
    )
    messages: list[Any] = [{"role": "user", "content": "Weather in Oban?"}]

    first = claude.messages.create(
        model=model, max_tokens=500, messages=messages, tools=[CLAUDE_TOOL]
    )
    call = first.content[-1]
    messages.append({"role": "assistant", "content": first.content})
    result = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "rain", "is_error": True},
        {"type": "text", "text": "Go on."},
    ]
    messages.append({"role": "user", "content": result})
    second = claude.messages.create(
        model=model, max_tokens=500, messages=messages, tools=[CLAUDE_TOOL]
    )

    assert first.stop_reason == "tool_use"
    assert call.input == {"city": "Oban"}
    assert second.content[0].text == "It rains in Oban."
    asked, called, told, more = sent(shared_ollama)["messages"]
    assert asked["role"] == "user"
    assert called["tool_calls"][0]["function"]["arguments"] == {"city": "Oban"}
    assert (told["role"], told["tool_name"], told["content"]) == (
        "tool", "get_weather", "Error: rain",
    )  # fmt: skip
    assert more == {"role": "user", "content": "Go on."}


def test_the_tool_runner_loops_by_itself(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    @beta_tool
    def get_weather(city: str) -> str:
        """Tell the weather of a city.

        Args:
            city: which city
        """
        return f"rain in {city}"

    shared_ollama.script(
        "qwen3:8b",
        Script(tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="Take a coat."),
    )

    runner = claude.beta.messages.tool_runner(
        model="qwen3:8b", max_tokens=500, messages=HELLO, tools=[get_weather]
    )
    final = runner.until_done()

    assert final.content[0].text == "Take a coat."
    assert sent(shared_ollama)["messages"][-1]["content"] == "rain in Oban"
    assert shared_ollama.calls("/api/chat")[0].json["tools"][0]["function"]["name"] == "get_weather"


CHOICES = {"any": {"type": "any"}, "tool": {"type": "tool", "name": "get_weather"}}


@pytest.mark.parametrize("model", ["llama3.2", "gemma3:4b"])
@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_a_forced_call_comes_even_from_a_model_that_would_chat(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama, model: str, choice: dict[str, str]
) -> None:
    shared_ollama.script(
        model,
        Script(content="I would rather chat.", when=lambda body: not body.get("format")),
        Script(content='{"city":"Oban"}', when=lambda body: bool(body.get("format"))),
    )

    answer = claude.messages.create(
        model=model, max_tokens=500, messages=HELLO, tools=[CLAUDE_TOOL], tool_choice=choice
    )

    assert answer.stop_reason == "tool_use"
    assert [block.type for block in answer.content] == ["tool_use"]
    assert answer.content[0].input == {"city": "Oban"}


def test_parallel_tool_use_can_be_switched_off(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(tool_calls=[("get_weather", {"city": "Oban"}), ("get_weather", {"city": "Leith"})]),
    )

    answer = claude.messages.create(
        model="qwen3:8b",
        max_tokens=500,
        messages=HELLO,
        tools=[CLAUDE_TOOL],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )

    assert [block.input for block in answer.content] == [{"city": "Oban"}]
    assert answer.stop_reason == "tool_use"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_stop_sequence_is_named_and_cut(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama, stream: bool
) -> None:
    shared_ollama.script("llama3.2", Script(content=["Yes</bl", "ock> and", " more"], delay_s=0))

    wanted: dict[str, Any] = {
        "model": "llama3.2",
        "max_tokens": 64,
        "messages": HELLO,
        "stop_sequences": ["</block>", "   "],
    }
    if stream:
        with claude.messages.stream(**wanted) as running:
            answer = running.get_final_message()
    else:
        answer = claude.messages.create(**wanted)

    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "</block>")
    assert answer.content[0].text == "Yes"
    assert "stop" not in sent(shared_ollama)["options"]


def test_structured_output_is_parsed(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    class City(BaseModel):
        name: str
        people: int

    answer = claude.messages.parse(
        model="qwen3:8b", max_tokens=500, messages=HELLO, output_format=City
    )

    assert isinstance(answer.parsed_output, City)
    assert set(sent(shared_ollama)["format"]["properties"]) == {"name", "people"}


def test_tokens_are_counted_without_asking_ollama_for_an_answer(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    small = claude.messages.count_tokens(model="qwen3:8b", messages=HELLO)
    large = claude.messages.count_tokens(
        model="qwen3:8b", messages=HELLO, system="word " * 400, tools=[CLAUDE_TOOL]
    )

    assert 0 < small.input_tokens < 50
    assert large.input_tokens > small.input_tokens + 200
    assert shared_ollama.calls("/api/chat") == []


def test_models_are_listed_in_pages_and_retrieved(claude: anthropic.Anthropic) -> None:
    listed = [model.id for model in claude.models.list(limit=3)]
    again = [model.id for model in claude.models.list(limit=1000)]

    assert listed == again
    assert "llama3.2" in listed
    one = claude.models.retrieve("hf.co/user/Model-GGUF:Q4_K_M")
    assert (one.type, one.display_name) == ("model", "hf.co/user/Model-GGUF:Q4_K_M")


def test_text_of_any_kind_arrives_as_it_was_said(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content=list(LEFT)))

    with claude.messages.stream(model="llama3.2", max_tokens=500, messages=HELLO) as stream:
        text = "".join(stream.text_stream)

    assert text == LEFT


ERRORS = {
    "unknown model": ({"model": "nobody"}, anthropic.NotFoundError, "not_found_error"),
    "no messages": ({"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
    "zero tokens": ({"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error"),
}


@pytest.mark.parametrize(("change", "kind", "word"), ERRORS.values(), ids=ERRORS)
def test_a_bad_request_raises_its_exception(
    claude: anthropic.Anthropic, change: dict[str, Any], kind: type[Exception], word: str
) -> None:
    with pytest.raises(kind) as caught:
        claude.messages.create(
            **{"model": "llama3.2", "messages": HELLO, "max_tokens": 10, **change}
        )

    body = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == word
    assert body["request_id"] == caught.value.request_id
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_key_is_an_authentication_error(live: Gateway) -> None:
    with (
        anthropic.Anthropic(base_url=live.url, api_key="sk-wrong-key", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        stranger.messages.create(model="llama3.2", messages=HELLO, max_tokens=10)

    assert caught.value.body["error"]["type"] == "authentication_error"


UPSTREAM = {
    "crashed": (error(500, "model runner has unexpectedly stopped"), 502, "api_error"),
    "busy": (error(503, "Service Unavailable"), 503,
     "overloaded_error"),
    "signed out": (error(401, "unauthorized"), 502, "api_error"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fault", "status", "word"), UPSTREAM.values(), ids=UPSTREAM)
def test_an_early_failure_of_ollama_is_a_status(
    claude: anthropic.Anthropic,
    shared_ollama: FakeOllama,
    stream: bool,
    fault: Any,
    status: int,
    word: str,
) -> None:
    shared_ollama.script("llama3.2", Script(fault=fault))

    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(model="llama3.2", messages=HELLO, max_tokens=10, stream=stream)

    assert (caught.value.status_code, caught.value.body["error"]["type"]) == (status, word)


def test_a_failure_in_mid_stream_raises_after_the_text(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", BREAKS)
    text: list[str] = []

    def read() -> None:
        stream = claude.messages.create(
            model="llama3.2", messages=HELLO, max_tokens=10, stream=True
        )
        text.extend(
            e.delta.text
            for e in stream
            if e.type == "content_block_delta" and e.delta.type == "text_delta"
        )

    with pytest.raises(anthropic.APIStatusError) as caught:
        read()

    assert "".join(text) == "one two"
    assert caught.value.body["error"]["type"] == "api_error"
    assert caught.value.body["request_id"].startswith("req_")


def test_silence_is_an_empty_text_block(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content=""))

    whole = claude.messages.create(model="llama3.2", messages=HELLO, max_tokens=10)
    with claude.messages.stream(model="llama3.2", messages=HELLO, max_tokens=10) as stream:
        streamed = stream.get_final_message()

    assert [block.text for block in whole.content] == [""]
    assert [block.text for block in streamed.content] == [""]


async def _converse(live: Gateway) -> tuple[str, str, int]:
    async with anthropic.AsyncAnthropic(base_url=live.url, api_key=live.key) as client:
        whole = await client.messages.create(model="llama3.2", max_tokens=50, messages=HELLO)
        async with client.messages.stream(
            model="llama3.2", max_tokens=50, messages=HELLO
        ) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        count = await client.messages.count_tokens(model="llama3.2", messages=HELLO)
        return whole.content[0].text, text, count.input_tokens


def test_the_asynchronous_client_does_the_same(live: Gateway, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="All is well."))

    whole, streamed, tokens = asyncio.run(_converse(live))

    assert whole == streamed == "All is well."
    assert tokens > 0


def test_an_aborted_stream_ends_the_call_to_ollama(
    claude: anthropic.Anthropic, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content="on and on ", endless=True, delay_s=0.01))

    with claude.messages.stream(model="llama3.2", max_tokens=500, messages=HELLO) as stream:
        next(iter(stream.text_stream))

    shared_ollama.wait_disconnect(timeout=1.0)
