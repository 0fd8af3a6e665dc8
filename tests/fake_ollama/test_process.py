"""The fake as a process, steered over HTTP."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fake_ollama import FakeOllama
from tests.fake_ollama.talk import TIMEOUT_S, USER, chat, chat_bytes, on, opened, send

ROOT = Path(__file__).resolve().parents[2]


def control(ollama: FakeOllama, command: str, body: Any = None) -> Any:
    return send(ollama, "GET" if body is None else "POST", f"/__fake__/{command}", body).json


def test_scripts_can_be_given_over_http(ollama: FakeOllama) -> None:
    scripts = [
        {"content": "Hi.", "thinking": "Hm."},
        {"content": "x", "fault": {"kind": "status", "status": 418, "body": {"error": "tea"}}},
        {"tool_calls": [{"name": "now"}], "fault": ["until_close"]},
    ]
    answer = control(ollama, "script", {"target": "qwen3:8b", "scripts": scripts})

    assert answer == {"scripts": 3}
    assert chat(ollama, "qwen3:8b").content == "Hi."
    assert chat(ollama, "qwen3:8b").status == 418
    assert chat(ollama, "qwen3:8b").calls[0]["function"]["name"] == "now"


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("script", {"target": "a", "scripts": [{"contents": "x"}]}),
        ("script", {"target": "a", "scripts": [{"fault": "rest"}]}),
        ("script", {"target": "a", "scripts": [{"ndjson": "nothing"}]}),
        ("script", {}),
        ("dance", {}),
    ],
)
def test_a_wrong_command_is_a_400(ollama: FakeOllama, command: str, body: Any) -> None:
    assert send(ollama, "POST", f"/__fake__/{command}", body).status == 400


def test_requests_can_be_read_over_http_and_control_is_not_among_them(ollama: FakeOllama) -> None:
    chat(ollama, "llama3.2")
    send(ollama, "GET", "/api/tags")
    ollama.wait_idle()

    every = control(ollama, "requests")
    chats = control(ollama, "requests?path=/api/chat")

    assert [one["path"] for one in every] == ["/api/chat", "/api/tags"]
    assert [one["json"]["messages"] for one in chats] == [USER]
    assert chats[0]["finished"] is True
    assert control(ollama, "loads") == [
        {"model": "llama3.2:latest", "num_ctx": 4096, "reason": "cold"}
    ]


def test_gates_can_be_set_over_http(ollama: FakeOllama) -> None:
    control(ollama, "hold", {"target": "llama3.2", "at": 1})
    with opened(ollama, chat_bytes("llama3.2")):
        ollama.wait_for(lambda one: one.lines == 1, what="one line")
        released = control(ollama, "release", {"target": "LLAMA3.2"})
        ollama.wait_for(lambda one: one.finished, what="the end")

    assert released == {"released": 1}


def test_everything_can_be_reset_over_http(ollama: FakeOllama) -> None:
    chat(ollama, "llama3.2")
    control(ollama, "advance", {"seconds": 400})
    expired = ollama.loaded()
    control(ollama, "cloud", {"state": "disabled"})
    cloud = chat(ollama, "deepseek-v3.1:671b-cloud").status
    control(ollama, "reset", {})

    assert expired == []
    assert cloud == 403
    assert ollama.requests == []


def test_freezing_spares_the_control(ollama: FakeOllama) -> None:
    control(ollama, "freeze", {})
    with opened(ollama, b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
        ollama.wait_requests(1)
        control(ollama, "thaw", {})

        assert sock.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "fake_ollama", "--port", "0", "--models", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    with child:
        yield child
        child.kill()


@pytest.mark.process
def test_the_process_prints_its_url_answers_and_ends_on_sigterm(
    process: subprocess.Popen[str],
) -> None:
    assert process.stdout is not None
    url = urlsplit(process.stdout.readline().strip())
    connection = http.client.HTTPConnection(str(url.hostname), url.port or 0, timeout=TIMEOUT_S)
    body = {"model": "all-minilm", "input": "a"}
    embedded = on(connection, "POST", "/api/embed", body)
    connection.close()
    process.send_signal(signal.SIGTERM)

    assert len(embedded.json["embeddings"][0]) == 384
    assert embedded.json["load_duration"] >= 0.2 * 1e9
    assert process.wait(10) == 0


def test_the_fake_imports_nothing_but_the_standard_library() -> None:
    code = (
        "import sys, fake_ollama\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "print(sorted(name for name in foreign if not name.startswith('_')))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "['fake_ollama']"
