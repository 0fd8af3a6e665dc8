"""Ollama's own Python client before a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, CHAT_TOOL, CITY, HELLO, RED_DOT, sent
from tests.integration.conftest import Operator
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]


@pytest.fixture
def ollama_client(live: Gateway) -> Iterator[Any]:
    """The client, with the key where its documentation puts one."""
    import ollama

    headers = {"Authorization": f"Bearer {live.key}"}
    with ollama.Client(host=live.url, headers=headers) as made:
        yield made


def test_a_chat_is_answered_whole_and_streamed(
    ollama_client: Any, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content="Hello there."))
    asked = {"model": "llama3.2", "messages": HELLO, "options": {"temperature": 0}}

    whole = ollama_client.chat(**asked)
    lines = list(ollama_client.chat(**asked, stream=True))

    assert whole.message.content == "Hello there."
    assert whole.done
    assert whole.eval_count > 0
    assert "".join(line.message.content for line in lines) == "Hello there."
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1].prompt_eval_count > 0
    assert sent(shared_ollama)["options"] == {"temperature": 0}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools_are_called_and_answered(
    ollama_client: Any, shared_ollama: FakeOllama, stream: bool
) -> None:
    call = Script(tool_calls=[("get_weather", {"city": "Oban"})])
    shared_ollama.script("qwen3:8b", call, Script(content="Rain."))
    messages: list[Any] = list(HELLO)
    answer = ollama_client.chat("qwen3:8b", messages, tools=[CHAT_TOOL], stream=stream)

    for line in answer if stream else [answer]:
        messages.append(line.message)
    (called,) = [one for m in messages[1:] for one in m.tool_calls or ()]
    messages.append({"role": "tool", "tool_name": called.function.name, "content": "rain"})
    last = ollama_client.chat("qwen3:8b", messages, tools=[CHAT_TOOL])

    assert called.function.arguments == {"city": "Oban"}
    assert last.message.content == "Rain."
    assert sent(shared_ollama)["messages"][-1]["tool_name"] == "get_weather"


def test_thinking_is_apart_from_the_answer(ollama_client: Any, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Six."))

    whole = ollama_client.chat("qwen3:8b", HELLO, think="low")
    lines = list(ollama_client.chat("qwen3:8b", HELLO, think=True, stream=True))

    assert (whole.message.thinking, whole.message.content) == ("Hm.", "Six.")
    assert "".join(line.message.thinking or "" for line in lines) == "Hm."
    assert sent(shared_ollama, at=0)["think"] == "low"


def test_a_schema_and_a_picture_go_along(ollama_client: Any, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("gemma3:4b", Script(content='{"city": "Oban"}'))
    turn = {"role": "user", "content": "Where?", "images": [RED_DOT]}

    answer = ollama_client.chat("gemma3:4b", [turn], format=CITY)

    assert answer.message.content == '{"city": "Oban"}'
    assert sent(shared_ollama)["messages"][0]["images"] == [RED_DOT]
    assert sent(shared_ollama)["format"] == CITY


def test_a_text_is_continued_whole_and_streamed(
    ollama_client: Any, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", Script(content="Low tide."))

    whole = ollama_client.generate("llama3.2", "When?", system="Be short.")
    lines = list(ollama_client.generate("llama3.2", "When?", stream=True, context=whole.context))

    assert whole.response == "Low tide."
    assert whole.context
    assert "".join(line.response for line in lines) == "Low tide."
    asked = sent(shared_ollama, path="/api/generate")
    assert asked["context"] == list(whole.context)


def test_vectors_come_by_both_paths(ollama_client: Any) -> None:
    newer = ollama_client.embed("nomic-embed-text", ["tide", "sea"], dimensions=8)
    older = ollama_client.embeddings("nomic-embed-text", "tide")

    assert [len(vector) for vector in newer.embeddings] == [8, 8]
    assert newer.prompt_eval_count > 0
    assert len(older.embedding) > 8


def test_failures_are_raised_as_the_client_raises_them(
    ollama_client: Any, live: Gateway, shared_ollama: FakeOllama
) -> None:
    import ollama

    shared_ollama.script("llama3.2", BREAKS)
    stream = ollama_client.chat("llama3.2", HELLO, stream=True)
    with pytest.raises(ollama.ResponseError):
        list(stream)
    with pytest.raises(ollama.ResponseError) as unknown:
        ollama_client.chat("none", HELLO)
    with (
        ollama.Client(host=live.url, headers={"Authorization": "Bearer wrong-key"}) as stranger,
        pytest.raises(ollama.ResponseError) as refused,
    ):
        stranger.list()

    assert unknown.value.status_code == 404
    assert refused.value.status_code == 401
    assert "{" not in unknown.value.error


def test_at_home_no_key_is_needed(
    live: Gateway, operator: Operator, shared_ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ollama

    shared_ollama.script("llama3.2", Script(content="Hello there."))
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    secret = operator.key(cidrs=["127.0.0.0/8"], anonymous=True)
    with ollama.Client(host=live.url) as client:
        whole = client.chat("llama3.2", HELLO)
        lines = list(client.chat("llama3.2", HELLO, stream=True))
        text = client.generate("llama3.2", "Hello?").response
        listed = {model.model for model in client.list().models}
        described = client.show("qwen3:8b").capabilities
        vectors = client.embed("nomic-embed-text", "tide").embeddings
        operator.call("DELETE", f"/keys/{operator.key_id(secret)}")
        with pytest.raises(ollama.ResponseError) as refused:
            client.list()

    assert whole.message.content == "Hello there."
    assert "".join(line.message.content for line in lines) == "Hello there."
    assert text
    assert "llama3.2" in listed
    assert "tools" in described
    assert len(vectors) == 1
    assert refused.value.status_code == 401


def test_models_are_listed_and_described(ollama_client: Any, shared_ollama: FakeOllama) -> None:
    ollama_client.chat("llama3.2", HELLO)

    assert "llama3.2" in {model.model for model in ollama_client.list().models}
    assert "tools" in ollama_client.show("qwen3:8b").capabilities
    assert isinstance(ollama_client.ps().models, list | tuple)
