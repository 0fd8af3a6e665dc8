"""The same client as in a worker of the gateway: patched sockets, greenlets instead of threads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fake_ollama import FakeModel, FakeOllama, Fault, Script
from tests.ollama.talk import MODEL, WORDS

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
CALLS = 60


def run(scenario: str, ollama: FakeOllama, meanwhile: Callable[[], Any] = lambda: None) -> Any:
    """Run a scenario in a process of its own; `meanwhile` ends before it is told to go on."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ollama.gevent_client", scenario, ollama.url, str(CALLS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            meanwhile()
            out, err = process.communicate("go\n", timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("fault", ["no_headers", Fault("silent_after", after=1)],
                         ids=["before the head", "while silent"])  # fmt: skip
def test_cancelled_calls_end_at_once_and_leave_no_socket(fault: Fault | str) -> None:
    model = FakeModel(MODEL, slots=CALLS)
    with FakeOllama([model]) as ollama:
        ollama.script(MODEL, Script(content=WORDS, fault=fault))

        seen = run("cancel", ollama, lambda: ollama.wait_requests(CALLS, timeout=30))

        assert seen == {"found": [["ClientGone"], CALLS, True], "sockets": 0}
        ollama.wait_disconnect(CALLS, timeout=30)


def test_many_answers_at_once_share_connections() -> None:
    with FakeOllama([FakeModel(MODEL, slots=CALLS)]) as ollama:
        ollama.script(MODEL, Script(content=WORDS))

        seen = run("many", ollama)

        assert seen == {"found": [["Finish"], 2 * CALLS], "sockets": 0}
        assert len({one.connection for one in ollama.requests}) <= CALLS


def test_a_stall_is_noticed(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content=WORDS, fault=Fault("silent_after", after=1)))

    assert run("stall", ollama) == {"found": "UpstreamTimeout", "sockets": 0}
