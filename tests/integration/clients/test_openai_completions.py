"""openai-python's completions and embeddings against the gateway."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import openai
import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, LEFT, sent
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]

GENERATE = "/api/generate"
CODER = "qwen2.5-coder:7b"


def test_a_prompt_is_continued(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    shared_ollama.script(CODER, Script(content=" jumps over", prompt_eval_count=9, eval_count=3))

    answer = client.completions.create(
        model=CODER, prompt="The fox", max_tokens=20, temperature=0.1, stop=["\n"]
    )

    assert answer.object == "text_completion"
    assert answer.choices[0].text == " jumps over"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)
    body = sent(shared_ollama, path=GENERATE)
    assert body["prompt"] == "The fox"
    assert body["options"] == {"num_predict": 20, "temperature": 0.1, "stop": ["\n"]}
    assert "raw" not in body


@pytest.mark.parametrize("asked", [False, True], ids=["by itself", "usage asked for"])
def test_a_streamed_text_adds_up(
    client: openai.OpenAI, shared_ollama: FakeOllama, asked: bool
) -> None:
    shared_ollama.script(CODER, Script(content=list(LEFT)))
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asked else {}

    chunks = list(client.completions.create(model=CODER, prompt="Say.", stream=True, **options))

    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == LEFT
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert (chunks[-1].choices == []) is asked
    assert chunks[-1].usage.total_tokens > 0


def test_a_suffix_fills_in_the_middle(client: openai.OpenAI, shared_ollama: FakeOllama) -> None:
    client.completions.create(model=CODER, prompt="def add(a, b):\n", suffix="\n\nprint(add(1, 2))")

    body = sent(shared_ollama, path=GENERATE)
    assert body["suffix"] == "\n\nprint(add(1, 2))"
    assert "raw" not in body


def test_a_suffix_needs_a_model_that_can_insert(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="llama3.2", prompt="a", suffix="b")

    assert (caught.value.code, caught.value.param) == ("insert_not_supported", "suffix")


def test_ready_made_prompts_pass_the_template(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    client.completions.create(model=CODER, prompt="<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>")

    assert sent(shared_ollama, path=GENERATE)["raw"] is True


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_echo_puts_the_prompt_before_the_text(
    client: openai.OpenAI, shared_ollama: FakeOllama, stream: bool
) -> None:
    shared_ollama.script(CODER, Script(content=" lazy dog"))

    given = client.completions.create(model=CODER, prompt="The", echo=True, stream=stream)

    parts = list(given) if stream else [given]
    assert "".join(choice.text for part in parts for choice in part.choices) == "The lazy dog"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_prompt_has_its_n_answers_in_order(
    client: openai.OpenAI, shared_ollama: FakeOllama, stream: bool
) -> None:
    def told(body: dict[str, Any]) -> Script:
        return Script(content=f"{body['prompt']}/{body['options']['seed']}")

    shared_ollama.script(CODER, told)

    given = client.completions.create(model=CODER, prompt=["a", "b"], n=2, seed=5, stream=stream)

    texts = ["", "", "", ""]
    for part in list(given) if stream else [given]:
        for choice in part.choices:
            texts[choice.index] += choice.text
    assert texts == ["a/5", "a/6", "b/5", "b/6"]


def test_log_probabilities_come_in_parallel_lists(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=CODER, prompt="Hello", logprobs=2, max_tokens=5)

    told = answer.choices[0].logprobs
    assert "".join(told.tokens) == answer.choices[0].text
    assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset)
    assert all(1 <= len(top) <= 2 for top in told.top_logprobs)


def test_no_thinking_is_asked_for_or_shown(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    answer = client.completions.create(model="qwen3:8b", prompt="Hello")

    assert sent(shared_ollama, path=GENERATE)["think"] is False
    assert "The user says" not in answer.choices[0].text


def test_a_failure_in_mid_stream_raises_after_the_text(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(CODER, BREAKS)
    texts: list[str] = []

    def read() -> None:
        for chunk in client.completions.create(model=CODER, prompt="a", stream=True):
            texts.extend(choice.text for choice in chunk.choices)

    with pytest.raises(openai.APIError) as caught:
        read()

    assert "".join(texts) == "one two"
    assert caught.value.code == "upstream_error"


async def _complete(live: Gateway) -> str:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.key) as client:
        stream = await client.completions.create(model=CODER, prompt="a", stream=True)
        return "".join([chunk.choices[0].text async for chunk in stream if chunk.choices])


def test_the_asynchronous_client_streams(live: Gateway, shared_ollama: FakeOllama) -> None:
    shared_ollama.script(CODER, Script(content="All is well."))

    assert asyncio.run(_complete(live)) == "All is well."


def test_vectors_come_in_input_order_and_in_base64_unless_asked(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("nomic-embed-text", Script(embeddings=[[0.5, -1.0], [0.25, 2.0]]))

    raw = client.embeddings.with_raw_response.create(model="nomic-embed-text", input=["a", "b"])

    assert [one.embedding for one in raw.parse().data] == [[0.5, -1.0], [0.25, 2.0]]
    text = raw.http_response.json()["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(text)) == (0.5, -1.0)
    assert sent(shared_ollama, path="/api/embed")["input"] == ["a", "b"]
    assert raw.parse().usage.prompt_tokens > 0


def test_dimensions_are_honoured_or_refused(
    client: openai.OpenAI, shared_ollama: FakeOllama
) -> None:
    short = client.embeddings.create(model="nomic-embed-text", input="a", dimensions=64)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="nomic-embed-text", input="a", dimensions=100_000)

    assert len(short.data[0].embedding) == 64
    assert sent(shared_ollama, 0, "/api/embed")["dimensions"] == 64
    assert (caught.value.code, caught.value.param) == ("invalid_value", "dimensions")
    assert "768" in caught.value.message


def test_a_chat_model_makes_no_vectors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="llama3.2", input="a")

    assert caught.value.code == "embeddings_not_supported"


def test_an_embedding_model_does_not_chat(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="nomic-embed-text", messages=[{"role": "user", "content": "Hello?"}]
        )

    assert caught.value.code == "chat_not_supported"
