"""LiteLLM, which wraps many vendors, as a client of the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, CHAT_TOOL, HELLO, sent
from tests.support.process import Gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sdk,
    pytest.mark.process,
    pytest.mark.usefixtures("untidy"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Items .* on TypedDict class:UserWarning"),
]


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """LiteLLM, kept from asking the internet for prices."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    return litellm


def options(live: Gateway, vendor: str, model: str) -> dict[str, Any]:
    base = live.url if vendor == "anthropic" else f"{live.url}/v1"
    return {
        "model": f"{vendor}/{model}",
        "api_base": base,
        "api_key": live.key,
        "messages": HELLO,
        "num_retries": 0,
        "max_retries": 0,
        "timeout": 20,
    }


VENDORS = ["openai", "anthropic"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_litellm_gets_text_and_streams(
    live: Gateway, shared_ollama: FakeOllama, litellm: Any, vendor: str
) -> None:
    shared_ollama.script("llama3.2", Script(content="Hello there."))

    whole = litellm.completion(**options(live, vendor, "llama3.2"))
    chunks = list(litellm.completion(**options(live, vendor, "llama3.2"), stream=True))

    assert whole.choices[0].message.content == "Hello there."
    assert whole.usage.total_tokens > 0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there."
    assert sent(shared_ollama)["messages"] == HELLO


def test_litellm_reads_the_thinking(live: Gateway, shared_ollama: FakeOllama, litellm: Any) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Hello."))

    whole = litellm.completion(**options(live, "openai", "qwen3:8b"))
    chunks = list(litellm.completion(**options(live, "openai", "qwen3:8b"), stream=True))

    assert whole.choices[0].message.reasoning_content == "Hm."
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm."


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_litellm_gets_calls(
    live: Gateway, shared_ollama: FakeOllama, litellm: Any, vendor: str, stream: bool
) -> None:
    cities = [("get_weather", {"city": "Oban"}), ("get_weather", {"city": "Leith"})]
    shared_ollama.script("qwen3:8b", Script(tool_calls=cities))

    given = litellm.completion(
        **options(live, vendor, "qwen3:8b"), tools=[CHAT_TOOL], stream=stream
    )
    answer = litellm.stream_chunk_builder(list(given)) if stream else given

    calls = answer.choices[0].message.tool_calls
    assert [call.function.arguments.replace(" ", "") for call in calls] == [
        '{"city":"Oban"}', '{"city":"Leith"}',
    ]  # fmt: skip
    assert answer.choices[0].finish_reason == "tool_calls"
    assert sent(shared_ollama)["tools"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("vendor", VENDORS)
def test_litellm_knows_the_gateways_errors(live: Gateway, litellm: Any, vendor: str) -> None:
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**options(live, vendor, "nobody"))


def test_litellm_sees_a_stream_break(
    live: Gateway, shared_ollama: FakeOllama, litellm: Any
) -> None:
    shared_ollama.script("llama3.2", BREAKS)

    with pytest.raises(litellm.exceptions.MidStreamFallbackError, match="unexpected EOF"):
        list(litellm.completion(**options(live, "openai", "llama3.2"), stream=True))


def test_litellm_makes_vectors(live: Gateway, litellm: Any) -> None:
    answer = litellm.embedding(
        model="openai/nomic-embed-text",
        input=["a", "b"],
        api_base=f"{live.url}/v1",
        api_key=live.key,
    )

    assert [len(one["embedding"]) for one in answer.data] == [768, 768]
