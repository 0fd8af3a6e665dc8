"""Libraries that keep OpenAI's SDK at an older version, against the gateway: instructor and
LlamaIndex's OpenAILike. They run in an environment of their own, by the steps in `older/`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import ANY_JSON, sent
from tests.support.process import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.sdk, pytest.mark.process]

PYTHON = Path(sys.prefix) / "sdk-older" / "bin" / "python"
STEPS = Path(__file__).parent / "older" / "steps.py"
TIMEOUT_S = 60

Run: TypeAlias = Callable[..., Any]


@pytest.fixture
def run(live: Gateway) -> Run:
    """Run a step and give what it printed."""
    if not PYTHON.exists():
        pytest.skip("the older SDKs are missing: bash .ci/prepare installs them")

    def run(step: str, **more: str) -> Any:
        done = subprocess.run(
            [PYTHON, STEPS, json.dumps({"step": step, **more})],
            env={"PATH": os.environ["PATH"], "GATEWAY_URL": live.url, "GATEWAY_KEY": live.key},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("mode", ["TOOLS", "JSON", "JSON_SCHEMA"])
@pytest.mark.parametrize("model", ["llama3.2", "gemma3:4b", "qwen3:8b"])
def test_instructor_gets_its_model(
    run: Run, shared_ollama: FakeOllama, mode: str, model: str
) -> None:
    # Where only some object is asked for, the shape stands in the prompt alone.
    shared_ollama.script(model, *ANY_JSON)

    assert set(run("city", mode=mode, model=model)) == {"name", "people"}


def test_instructor_sends_its_complaint_back_as_a_tool_result(
    run: Run, shared_ollama: FakeOllama
) -> None:
    shared_ollama.script(
        "llama3.2",
        Script(tool_calls=[("Port", {"name": "Atlantis"})]),
        Script(tool_calls=[("Port", {"name": "Oban"})]),
    )

    assert run("port") == {"name": "Oban"}
    messages = sent(shared_ollama)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert "unknown port" in messages[-1]["content"]


def test_instructor_streams_partial_models(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("qwen3:8b", *ANY_JSON)

    assert run("partial") == {"name": "Oban", "people": 8490}
    assert sent(shared_ollama)["format"] == {"type": "object"}


def test_llama_index_completes_by_default(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="All is well."))

    assert run("complete") == {"whole": "All is well.", "streamed": "All is well."}
    body = sent(shared_ollama, path="/api/generate")
    assert body["prompt"] == "Hello?"
    assert body["options"]["num_predict"] == 64


def test_llama_index_chats_when_told(run: Run, shared_ollama: FakeOllama) -> None:
    shared_ollama.script("llama3.2", Script(content="All is well."))

    assert run("chat") == {"whole": "All is well.", "streamed": "All is well."}
    assert [message["role"] for message in sent(shared_ollama)["messages"]] == ["system", "user"]
