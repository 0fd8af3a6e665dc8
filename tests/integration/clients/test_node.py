"""The official JavaScript clients against the gateway, driven by the small scripts in `node/`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import BREAKS, LEFT, sent
from tests.integration.conftest import Operator
from tests.support.process import Gateway

pytestmark = [pytest.mark.node, pytest.mark.sdk, pytest.mark.process]

FOLDER = Path(__file__).parent / "node"
TIMEOUT_S = 60

Run: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
def run(live: Gateway) -> Run:
    """Run a step of a script, with another key if one is given; return what it printed."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / ".ready").exists():
        pytest.skip("Node.js or its packages are missing: bash .ci/prepare installs them")

    def run(script: str, step: str, key: str = live.key, **more: str) -> dict[str, Any]:
        done = subprocess.run(
            [node, f"{script}.mjs", json.dumps({"step": step, **more})],
            cwd=FOLDER,
            env={
                "PATH": os.environ["PATH"],
                "GATEWAY_URL": live.url,
                "GATEWAY_KEY": key,
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


# npm openai


def test_a_whole_chat_answer(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Hello."))

    got = run("openai_chat", "whole")

    assert got["choice"]["message"]["content"] == "Hello."
    assert got["choice"]["message"]["reasoning_content"] == "Hm."
    assert got["request_id"].startswith("req_")
    assert got["usage"]["total_tokens"] > 0
    assert sent(shared_ollama)["options"] == {"seed": 7}


def test_the_chat_stream_helper(run: Run, shared_ollama: FakeOllama) -> None:
    calls = [("get_weather", {"city": "Oban"}), ("get_weather", {"city": "Leith"})]
    shared_ollama.script("qwen3:8b", Script(content=list(LEFT), tool_calls=calls))

    got = run("openai_chat", "streamed")

    message = got["choice"]["message"]
    assert got["pieces"] == message["content"] == LEFT
    assert message["role"] == "assistant"
    cities = [json.loads(call["function"]["arguments"])["city"] for call in message["tool_calls"]]
    assert cities == ["Oban", "Leith"]
    assert got["choice"]["finish_reason"] == "tool_calls"
    assert got["usage"]["completion_tokens"] > 0


def test_the_client_runs_its_own_tool_loop(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="Take a coat."),
    )

    got = run("openai_chat", "loop")

    assert got == {"asked": ["Oban"], "content": "Take a coat."}
    assert sent(shared_ollama)["messages"][-1]["content"] == "rain in Oban"


def test_a_chat_refusal_is_an_exception_of_its_class(run: Run) -> None:
    got = run("openai_chat", "refused")

    assert (got["name"], got["status"], got["code"]) == ("NotFoundError", 404, "model_not_found")
    assert got["request_id"].startswith("req_")


def test_a_chat_stream_that_breaks_throws_after_its_text(
    run: Run, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", BREAKS)

    got = run("openai_chat", "broken")

    assert (got["name"], got["code"]) == ("APIError", "upstream_error")
    assert got["pieces"] == "one two"


def test_leaving_a_chat_stream_ends_the_call_to_ollama(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="on and on ", endless=True, delay_s=0.01))

    assert run("openai_chat", "aborted") == {"left": True}

    shared_ollama.wait_disconnect()


def test_models_and_vectors(run: Run) -> None:
    models = run("openai_chat", "models")
    vectors = run("openai_chat", "embeddings")

    assert "llama3.2" in models["ids"]
    assert models["one"] == "hf.co/user/Model-GGUF:Q4_K_M"
    assert vectors["lengths"] == [768, 768]
    assert all(isinstance(number, float) for number in vectors["first"])


def test_the_responses_stream_helper(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(thinking="Hm.", content="Hi.", tool_calls=[("get_weather", {"city": "Oban"})]),
    )

    got = run("openai_responses", "streamed")

    assert got["status"] == "completed"
    assert [item["type"] for item in got["output"]] == ["reasoning", "message", "function_call"]
    assert got["kinds"][0] == "response.created"
    assert got["kinds"][-1] == "response.completed"


def test_a_response_is_parsed_by_its_schema(run: Run, shared_ollama: FakeOllama) -> None:
    got = run("openai_responses", "parsed")

    assert set(got["parsed"]) == {"name", "people"}
    assert sent(shared_ollama)["format"]["required"] == ["name", "people"]


def test_responses_keep_their_state(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="A light."), Script(content="An island."))

    got = run("openai_responses", "state")

    assert got == {"texts": ["A light.", "An island."], "items": 1, "gone": 404}
    assert len(sent(shared_ollama)["messages"]) == 3


# npm @anthropic-ai/sdk


def test_a_whole_message(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="Hello."))

    got = run("anthropic", "whole")

    assert got["message"]["content"] == [{"type": "text", "text": "Hello."}]
    assert got["message"]["stop_reason"] == "end_turn"
    assert got["request_id"].startswith("req_")
    assert sent(shared_ollama)["messages"][0]["role"] == "system"


def test_the_message_stream_helper(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(thinking="Hm.", content=list(LEFT), tool_calls=[("get_weather", {"city": "Oban"})]),
    )

    got = run("anthropic", "streamed")

    thought, text, call = got["message"]["content"]
    assert thought["thinking"] == "Hm."
    assert thought["signature"].startswith("ogw.")
    assert text["text"] == LEFT
    assert (call["type"], call["input"]) == ("tool_use", {"city": "Oban"})
    assert got["message"]["stop_reason"] == "tool_use"
    assert got["kinds"] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


def test_tokens_and_models(run: Run) -> None:
    counted = run("anthropic", "counted")
    models = run("anthropic", "models")

    assert counted["input_tokens"] > 0
    assert "llama3.2" in models["ids"]
    assert len(models["ids"]) > 4


def test_a_message_refusal_is_an_exception_of_its_class(run: Run) -> None:
    got = run("anthropic", "refused")

    assert (got["name"], got["status"]) == ("NotFoundError", 404)
    assert got["type"] == "not_found_error"
    assert got["request_id"].startswith("req_")


def test_a_message_stream_that_breaks_throws_after_its_text(
    run: Run, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("llama3.2", BREAKS)

    got = run("anthropic", "broken")

    assert (got["pieces"], got["type"]) == ("one two", "api_error")


# npm ollama and @langchain/ollama, each with a key and without one


@pytest.fixture(params=["with a key", "without a key"])
def run_ollama(request: pytest.FixtureRequest, run: Run, operator: Operator) -> Iterator[Run]:
    """Run a step of `node/ollama.mjs`. Without a key there is an anonymous one for this machine."""
    if request.param == "with a key":
        yield partial(run, "ollama")
        return
    secret = operator.key(cidrs=["127.0.0.0/8"], anonymous=True)
    yield partial(run, "ollama", key="")
    operator.call("DELETE", f"/keys/{operator.key_id(secret)}")


def test_ollamas_client_chats(run_ollama: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content="Rain."))

    got = run_ollama("chat")

    assert (got["whole"]["thinking"], got["whole"]["content"]) == ("Hm.", "Rain.")
    assert got["streamed"] == "Rain."


def test_ollamas_client_continues_a_text(run_ollama: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="Low tide."))

    assert run_ollama("generate") == {"whole": "Low tide.", "streamed": "Low tide."}


def test_ollamas_client_gets_tool_calls(run_ollama: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", Script(tool_calls=[("get_weather", {"city": "Oban"})]))

    got = run_ollama("tools")

    for (call,) in (got["whole"], got["streamed"]):
        assert call["function"]["name"] == "get_weather"
        assert call["function"]["arguments"] == {"city": "Oban"}


def test_ollamas_client_lists_and_makes_vectors(run_ollama: Run) -> None:
    lists = run_ollama("lists")

    assert "llama3.2" in lists["names"]
    assert "tools" in lists["capabilities"]
    assert run_ollama("embed") == {"lengths": [768, 768]}


def test_ollamas_client_throws_a_refusal(run_ollama: Run) -> None:
    got = run_ollama("refused")

    assert (got["name"], got["status"]) == ("ResponseError", 404)
    assert "nobody" in got["message"]


def test_langchains_client_of_ollama(run_ollama: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="Low tide."))

    got = run_ollama("langchain")

    assert got == {"whole": "Low tide.", "streamed": "Low tide.", "lengths": [768, 768]}


def test_langchains_client_of_ollama_gets_tool_calls(
    run_ollama: Run, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script("qwen3:8b", Script(tool_calls=[("get_weather", {"city": "Oban"})]))

    got = run_ollama("langchain_tools")

    call = {"name": "get_weather", "args": {"city": "Oban"}}
    assert got == {"whole": [call], "streamed": [call]}


# The AI SDK

PROVIDERS = ["compatible", "chat", "responses", "anthropic"]


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_ai_sdk_streams_text(run: Run, shared_ollama: FakeOllama, provider: str) -> None:
    shared_ollama.script("qwen3:8b", Script(thinking="Hm.", content=list(LEFT)))

    got = run("vercel", "streamed", provider=provider)

    assert got["errors"] == []
    assert got["text"] == LEFT
    # This provider's chat models and messages without thinking show no reasoning.
    assert got["reasoning"] == {"compatible": "Hm.", "responses": "Hm."}.get(provider, "")
    assert got["finish"] == "stop"
    assert got["usage"]["outputTokens"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("step", ["loop", "streamed_loop"])
def test_the_ai_sdk_runs_a_tool_loop(
    run: Run, shared_ollama: FakeOllama, provider: str, step: str
) -> None:
    shared_ollama.script(
        "qwen3:8b",
        Script(tool_calls=[("get_weather", {"city": "Oban"})]),
        Script(content="Take a coat."),
    )

    got = run("vercel", step, provider=provider)

    assert got == {"asked": ["Oban"], "text": "Take a coat.", "steps": 2}
    told = sent(shared_ollama)["messages"][-1]
    assert (told["role"], told["tool_name"]) == ("tool", "get_weather")
    assert "rain in Oban" in told["content"]


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_ai_sdk_makes_an_object(run: Run, shared_ollama: FakeOllama, provider: str) -> None:
    got = run("vercel", "object", provider=provider)

    assert set(got["object"]) == {"name", "people"}
    assert isinstance(got["object"]["people"], int)


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_ai_sdk_makes_a_tree(run: Run, shared_ollama: FakeOllama, provider: str) -> None:
    tree = run("vercel", "tree", provider=provider)["object"]

    assert isinstance(tree["name"], str)
    assert {"name", "children"} == set(tree["children"][0])


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_ai_sdk_offers_a_choice_of_shapes(
    run: Run, shared_ollama: FakeOllama, provider: str
) -> None:
    moved = {"op": "move", "to": "attic"}
    shared_ollama.script("qwen3:8b", Script(tool_calls=[("edit", moved)]), Script(content="Done."))

    got = run("vercel", "union", provider=provider)

    assert got == {"done": [moved], "text": "Done."}
    function = sent(shared_ollama)["tools"][0]["function"]
    assert set(function["parameters"]["properties"]) == {"op", "to", "force"}
    assert 'op="move", to | op="delete", force?' in function["description"]


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_ai_sdk_sees_a_stream_break(run: Run, shared_ollama: FakeOllama, provider: str) -> None:
    shared_ollama.script("llama3.2", BREAKS)

    got = run("vercel", "broken", provider=provider)

    assert got["text"] == "one two"
    assert len(got["errors"]) == 1


@pytest.mark.slow
def test_the_ai_sdk_makes_vectors(run: Run) -> None:
    assert run("vercel", "embeddings", provider="compatible") == {"lengths": [768, 768]}
