"""LangChain's clients of both vendors and of Ollama, against the gateway."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, RED_DOT, sent
from tests.support.process import Gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sdk,
    pytest.mark.process,
    pytest.mark.usefixtures("untidy"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

TIMEOUT_S = 20.0


class City(BaseModel):
    """A city."""

    name: str
    people: int


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING", "LANGCHAIN_TRACING"):
        monkeypatch.setenv(name, "false")


def chat(live: Gateway, model: str, **more: Any) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model=model,
        base_url=f"{live.url}/v1",
        api_key=SecretStr(live.key),
        max_retries=0,
        timeout=TIMEOUT_S,
        **more,
    )


def claude(live: Gateway, model: str, **more: Any) -> Any:
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(
        model_name=model,
        base_url=live.url,
        api_key=SecretStr(live.key),
        max_retries=0,
        timeout=TIMEOUT_S,
        stop=None,
        **{"max_tokens_to_sample": 500, **more},
    )


KINDS = {
    "chat": lambda live, model: chat(live, model),
    "responses": lambda live, model: chat(live, model, use_responses_api=True),
    "messages": lambda live, model: claude(live, model),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_is_answered_whole_and_streamed(
    live: Gateway, shared_ollama: FakeOllama, kind: str
) -> None:
    shared_ollama.script("llama3.2", Script(content="Hello there.", prompt_eval_count=12))
    model = KINDS[kind](live, "llama3.2")

    whole = model.invoke([("system", "Be kind."), ("human", "Hello?")])
    streamed = None
    for chunk in model.stream("Hello?"):
        streamed = chunk if streamed is None else streamed + chunk

    assert whole.text == "Hello there."
    assert whole.usage_metadata["input_tokens"] == 12
    assert streamed is not None
    assert streamed.text == "Hello there."
    first = sent(shared_ollama, 0)["messages"]
    assert [message["role"] for message in first] == ["system", "user"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_loop_runs_to_its_answer(
    live: Gateway, shared_ollama: FakeOllama, kind: str
) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    shared_ollama.script(
        "qwen3:8b",
        Script(thinking="A tool.", tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="Take a coat."),
    )
    model = KINDS[kind](live, "qwen3:8b").bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("Weather in Oban?")]

    first = model.invoke(messages)
    call = first.tool_calls[0]
    messages += [first, ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"])]
    second = model.invoke(messages)

    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oban"})
    assert second.text == "Take a coat."
    told = sent(shared_ollama)["messages"][-1]
    assert (told["tool_name"], told["content"]) == ("get_weather", "rain in Oban")


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("model", ["llama3.2", "gemma3:4b"])
def test_structured_output_is_certain(live: Gateway, model: str, method: Any) -> None:
    structured = chat(live, model).with_structured_output(City, method=method)

    assert isinstance(structured.invoke("Which city?"), City)


def test_structured_output_over_messages_is_certain(live: Gateway) -> None:
    structured = claude(live, "llama3.2").with_structured_output(City)

    assert isinstance(structured.invoke("Which city?"), City)


def test_streamed_calls_are_put_together(live: Gateway, shared_ollama: FakeOllama) -> None:
    cities = [("get_weather", {"city": "Oban"}), ("get_weather", {"city": "Leith"})]
    shared_ollama.script("qwen3:8b", Script(tool_calls=cities))
    model = chat(live, "qwen3:8b", stream_usage=True).bind_tools([get_weather])

    whole = None
    for chunk in model.stream("Weather?"):
        whole = chunk if whole is None else whole + chunk

    assert whole is not None
    assert [call["args"]["city"] for call in whole.tool_calls] == ["Oban", "Leith"]
    assert whole.usage_metadata["total_tokens"] > 0


def test_an_image_reaches_the_model(live: Gateway, shared_ollama: FakeOllama) -> None:
    from langchain_core.messages import HumanMessage

    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED_DOT}"}}
    chat(live, "llava:7b").invoke([HumanMessage([{"type": "text", "text": "This?"}, image])])

    assert sent(shared_ollama)["messages"][0]["images"] == [RED_DOT]


def test_thinking_over_messages_is_a_block(live: Gateway, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Hello."))

    answer = claude(
        live,
        "qwen3:8b",
        max_tokens_to_sample=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ).invoke("Hello?")

    assert [block["type"] for block in answer.content] == ["thinking", "text"]
    assert answer.text == "Hello."


@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_a_broken_stream_raises(live: Gateway, shared_ollama: FakeOllama, kind: str) -> None:
    import anthropic
    import openai

    shared_ollama.script("llama3.2", BREAKS)

    with pytest.raises((openai.APIError, anthropic.APIError)):
        list(KINDS[kind](live, "llama3.2").stream("Hello?"))


def test_vectors_are_made_of_text(live: Gateway, shared_ollama: FakeOllama) -> None:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model="nomic-embed-text",
        base_url=f"{live.url}/v1",
        api_key=SecretStr(live.key),
        check_embedding_ctx_length=False,
    )

    assert [len(vector) for vector in embeddings.embed_documents(["a", "b"])] == [768, 768]
    assert sent(shared_ollama, path="/api/embed")["input"] == ["a", "b"]


def test_its_client_of_ollama_is_answered(live: Gateway, shared_ollama: FakeOllama) -> None:
    from langchain_ollama import ChatOllama, OllamaEmbeddings

    headers = {"Authorization": f"Bearer {live.key}"}
    place: dict[str, Any] = {"base_url": live.url, "client_kwargs": {"headers": headers}}
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Rain."))
    chat = ChatOllama(model="qwen3:8b", reasoning=True, validate_model_on_init=True, **place)

    whole = chat.invoke("Weather?")
    streamed = "".join(str(chunk.content) for chunk in chat.stream("Weather?"))
    vectors = OllamaEmbeddings(model="nomic-embed-text", **place).embed_documents(["a", "b"])

    assert (whole.content, streamed) == ("Rain.", "Rain.")
    assert whole.additional_kwargs["reasoning_content"] == "Hm."
    assert len(vectors) == 2
