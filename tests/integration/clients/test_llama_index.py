"""LlamaIndex's clients of Ollama's own API, against the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, sent
from tests.support.process import Gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sdk,
    pytest.mark.process,
    pytest.mark.usefixtures("untidy"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def place(live: Gateway) -> dict[str, Any]:
    return {"base_url": live.url, "headers": {"Authorization": f"Bearer {live.key}"}}


@pytest.fixture
def llm(live: Gateway) -> Any:
    """Make its language model."""
    from llama_index.llms.ollama import Ollama

    return lambda model, **more: Ollama(model=model, **place(live), **more)


def test_a_text_is_completed_whole_and_streamed(llm: Any, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="Low tide."))
    model = llm("llama3.2", additional_kwargs={"num_predict": 64}, keep_alive="5m")

    whole = model.complete("When?").text
    streamed = "".join(part.delta or "" for part in model.stream_complete("When?"))

    assert whole == streamed == "Low tide."
    body = sent(shared_ollama)  # it makes a conversation of a text
    assert body["messages"] == [{"role": "user", "content": "When?"}]
    assert (body["options"]["num_predict"], body["keep_alive"]) == (64, "5m")


def test_a_conversation_goes_on_whole_and_streamed(llm: Any, shared_ollama: FakeOllama) -> None:
    from llama_index.core.llms import ChatMessage

    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Rain."))
    model = llm("qwen3:8b", thinking=True)
    messages = [ChatMessage(role="system", content="Be kind."), ChatMessage(content="Weather?")]

    whole = model.chat(messages).message.content
    streamed = "".join(part.delta or "" for part in model.stream_chat(messages))

    assert whole == streamed == "Rain."
    body = sent(shared_ollama)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["think"] is True


def test_a_tool_is_called(llm: Any, shared_ollama: FakeOllama) -> None:
    from llama_index.core.tools import FunctionTool

    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"rain in {city}"

    shared_ollama.script("qwen3:8b", Script(tool_calls=[("get_weather", {"city": "Oban"})]))
    model = llm("qwen3:8b")

    answer = model.chat_with_tools([FunctionTool.from_defaults(get_weather)], "Weather?")

    (call,) = model.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Oban"})


def test_the_window_is_read_from_the_description(llm: Any) -> None:
    assert llm("qwen3:8b", context_window=-1).metadata.context_window > 4096


def test_a_broken_stream_raises(llm: Any, shared_ollama: FakeOllama) -> None:
    import ollama

    shared_ollama.script("llama3.2", BREAKS)

    with pytest.raises(ollama.ResponseError):
        list(llm("llama3.2").stream_complete("When?"))


def test_vectors_are_made_of_text(live: Gateway, shared_ollama: FakeOllama) -> None:
    from llama_index.embeddings.ollama import OllamaEmbedding

    given = place(live)
    embedding = OllamaEmbedding(
        model_name="nomic-embed-text",
        base_url=given["base_url"],
        client_kwargs={"headers": given["headers"]},
    )

    vectors = embedding.get_text_embedding_batch(["tide", "sea"])

    assert [len(vector) for vector in vectors] == [768, 768]
    assert sent(shared_ollama, path="/api/embed")["input"] == ["tide", "sea"]
