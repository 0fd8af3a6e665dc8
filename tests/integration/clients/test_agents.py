"""Agent frameworks against the gateway: OpenAI Agents, pydantic-ai."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import sent
from tests.support.process import Gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sdk,
    pytest.mark.process,
    pytest.mark.usefixtures("untidy"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:asynchronous generator:ResourceWarning"),
]


class City(BaseModel):
    name: str
    people: int


LOOP = (
    Script(thinking="A tool.", tool_calls=[("get_weather", {"city": "Oban"})]),
    Script(content="Take a coat."),
)


def told_weather(ollama: FakeOllama) -> tuple[str, str]:
    """Give name and result of the tool as the last request told them."""
    message = sent(ollama)["messages"][-1]
    return message["tool_name"], message["content"]


# OpenAI Agents


def agent_model(kind: str, live: Gateway, model: str) -> Any:
    import agents

    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.key, max_retries=0)
    if kind == "chat":
        return agents.OpenAIChatCompletionsModel(model=model, openai_client=client)
    return agents.OpenAIResponsesModel(model=model, openai_client=client)


def weather_agent(kind: str, live: Gateway, **more: Any) -> Any:
    import agents

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"rain in {city}"

    return agents.Agent(
        name="Guide",
        instructions="Be kind.",
        tools=[get_weather],
        model=agent_model(kind, live, "qwen3:8b"),
        **more,
    )


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_an_openai_agent_uses_its_tool(live: Gateway, shared_ollama: FakeOllama, kind: str) -> None:
    import agents

    shared_ollama.script("qwen3:8b", *LOOP)

    result = agents.Runner.run_sync(weather_agent(kind, live), "Weather in Oban?")

    assert result.final_output == "Take a coat."
    assert told_weather(shared_ollama) == ("get_weather", "rain in Oban")
    assert sent(shared_ollama, 0)["messages"][0] == {"role": "system", "content": "Be kind."}


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_an_openai_agent_streams(live: Gateway, shared_ollama: FakeOllama, kind: str) -> None:
    import asyncio

    import agents

    shared_ollama.script("qwen3:8b", *LOOP)

    async def run() -> tuple[str, list[str]]:
        result = agents.Runner.run_streamed(weather_agent(kind, live), "Weather in Oban?")
        kinds = [event.type async for event in result.stream_events()]
        return result.final_output, kinds

    output, kinds = asyncio.run(run())

    assert output == "Take a coat."
    assert "run_item_stream_event" in kinds
    assert told_weather(shared_ollama) == ("get_weather", "rain in Oban")


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_an_openai_agent_gives_a_typed_output(live: Gateway, kind: str) -> None:
    import agents

    agent = agents.Agent(name="Clerk", model=agent_model(kind, live, "qwen3:8b"), output_type=City)

    assert isinstance(agents.Runner.run_sync(agent, "Which city?").final_output, City)


def test_an_openai_agent_goes_on_from_a_stored_response(
    live: Gateway, shared_ollama: FakeOllama
) -> None:
    import agents

    shared_ollama.script("llama3.2", Script(content="A light."), Script(content="An island."))
    agent = agents.Agent(name="Light", model=agent_model("responses", live, "llama3.2"))

    first = agents.Runner.run_sync(agent, "Who?")
    second = agents.Runner.run_sync(agent, "Where?", previous_response_id=first.last_response_id)

    assert second.final_output == "An island."
    assert [message["content"] for message in sent(shared_ollama)["messages"]] == [
        "Who?", "A light.", "Where?",
    ]  # fmt: skip


# pydantic-ai


def typed_model(kind: str, live: Gateway, model: str) -> Any:
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.key, max_retries=0)
    provider = OpenAIProvider(openai_client=client)
    kind_of_model = OpenAIChatModel if kind == "chat" else OpenAIResponsesModel
    return kind_of_model(model, provider=provider)


TYPED = ["chat", "responses"]


@pytest.mark.parametrize("kind", TYPED)
def test_a_pydantic_agent_uses_its_tool(
    live: Gateway, shared_ollama: FakeOllama, kind: str
) -> None:
    from pydantic_ai import Agent

    shared_ollama.script("qwen3:8b", *LOOP)
    agent = Agent(typed_model(kind, live, "qwen3:8b"), instructions="Be kind.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"rain in {city}"

    result = agent.run_sync("Weather in Oban?")

    assert result.output == "Take a coat."
    assert result.usage.requests == 2
    assert told_weather(shared_ollama) == ("get_weather", "rain in Oban")


@pytest.mark.parametrize("kind", TYPED)
@pytest.mark.parametrize("model", ["llama3.2", "qwen3:8b"])
def test_a_pydantic_agent_gives_a_typed_output(live: Gateway, kind: str, model: str) -> None:
    from pydantic_ai import Agent

    agent = Agent(typed_model(kind, live, model), output_type=City)

    assert isinstance(agent.run_sync("Which city?").output, City)


@pytest.mark.parametrize("kind", TYPED)
def test_a_pydantic_agent_streams_text(live: Gateway, shared_ollama: FakeOllama, kind: str) -> None:
    import asyncio

    from pydantic_ai import Agent

    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="All is well."))

    async def run() -> str:
        agent = Agent(typed_model(kind, live, "qwen3:8b"))
        async with agent.run_stream("Hello?") as result:
            pieces = [piece async for piece in result.stream_text(delta=True)]
            return "".join(pieces)

    assert asyncio.run(run()) == "All is well."
