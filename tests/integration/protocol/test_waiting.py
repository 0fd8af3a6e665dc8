"""Long silences: when the head goes out, what keeps a connection alive, what errors look like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING
from tests.support.wire import Reply, Wire, events, post

pytestmark = pytest.mark.process

QUICK = {"stream_commit_ms": 100, "sse_comment_interval_s": 1, "sse_chunk_interval_s": 1}
OPENING = {
    "chat": '"role":"assistant"',
    "completions": "",
    "responses": "response.in_progress",
    "messages": "message_start",
    "api_chat": "",
    "api_generate": "",
}
ALIVE = {
    "chat": ": keep-alive",
    "completions": ": keep-alive",
    "responses": ": keep-alive",
    "messages": "event: ping",
    "api_chat": '"content":""',
    "api_generate": '"response":""',
}


def _start(caller: Caller, name: str, **changes: Any) -> tuple[Wire, dict[str, str]]:
    endpoint = GENERATING[name]
    wire = caller.wire()
    wire.send(post(endpoint.path, endpoint.with_(stream=True, **changes), caller.key))
    status, headers = wire.head()
    assert status == 200
    return wire, headers


def _read_until(wire: Wire, word: str, times: int = 1) -> list[str]:
    """Read lines of a stream until a word has come so many times."""
    lines: list[str] = []
    for _ in range(500):
        lines.append(wire.line().decode().rstrip("\r\n"))
        if sum(word in line for line in lines) >= times:
            return lines
    raise AssertionError(f"{word} never came: {lines[-20:]}")


@pytest.mark.parametrize(("name", "at"), [("chat", "load"), *((name, 0) for name in GENERATING)])
def test_a_silent_stream_is_kept_alive(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str, at: Any
) -> None:
    ollama.script("llama3.2", Script(content="At last."))
    with operator.settings(**{**QUICK, "sse_chunk_interval_s": 3600}):
        with ollama.hold("llama3.2", at=at):
            wire, _ = _start(caller, name)
            before = _read_until(wire, ALIVE[name], 2)
        after = _rest(wire)

    text = "\n".join(before) + after
    assert OPENING[name] in text
    assert "id:" not in {line.split(" ")[0] for line in text.split("\n")}
    assert not any(line.startswith("retry:") for line in text.split("\n"))
    assert "last" in text


def _rest(wire: Wire) -> str:
    """Read what is left of a chunked stream, framing included."""
    lines = []
    for _ in range(2000):
        line = wire.line().decode().rstrip("\r\n")
        lines.append(line)
        if line == "0":
            break
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["chat", "responses"])
def test_timers_of_applications_are_reset_by_an_event(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str
) -> None:
    empty = {"chat": '"delta":{}', "completions": '"text":""', "responses": "response.in_progress"}
    opening = {"chat": 0, "completions": 0, "responses": 1}
    with operator.settings(**QUICK), ollama.hold("llama3.2"):
        wire, _ = _start(caller, name)
        lines = _read_until(wire, empty[name], opening[name] * 2 + 2)

    for line in lines:
        if line.startswith("data:"):
            json.loads(line.removeprefix("data:"))


def test_comments_can_be_switched_off(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    with operator.settings(**QUICK, sse_keepalive="comments"), ollama.hold("llama3.2"):
        wire, _ = _start(caller, "chat")
        commented = _read_until(wire, ": keep-alive", 2)
    ollama.release()

    assert not any('"delta":{}' in line for line in commented)


def test_comments_stand_between_chunks(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    with operator.settings(**{**QUICK, "sse_chunk_interval_s": 3600}):
        with ollama.hold("llama3.2", at=2):
            ollama.script("llama3.2", Script(content=["a", "b", "c", "d"]))
            wire, _ = _start(caller, "chat")
            lines = _read_until(wire, ": keep-alive", 2)
        rest = _rest(wire)

    at = [number for number, line in enumerate(lines) if line == ": keep-alive"]
    assert all(lines[number + 1 :][:1] in ([""], []) for number in at)
    assert '"content":"b"' in "\n".join(lines)
    assert '"content":"d"' in rest
    assert "[DONE]" in rest


@pytest.mark.parametrize("name", GENERATING)
def test_a_failure_after_the_head_is_an_event(
    caller: Caller, operator: Operator, ollama: FakeOllama, name: str
) -> None:
    ollama.script("llama3.2", Script(fault="html_500"))
    with operator.settings(**QUICK):
        with ollama.hold("llama3.2"):
            wire, headers = _start(caller, name)
            if OPENING[name]:
                _read_until(wire, OPENING[name])
        rest = _rest(wire)

    if GENERATING[name].vendor == "ollama":
        assert headers["content-type"] == "application/x-ndjson"
        lines = [line for line in rest.split("\n") if line.startswith("{")]
        assert set(json.loads(lines[-1])) == {"error"}
        return
    assert headers["content-type"].startswith("text/event-stream")
    data = [
        json.loads(line.removeprefix("data: "))
        for line in rest.split("\n")
        if line.startswith("data: ")
    ]
    assert "[DONE]" not in rest
    assert "message_stop" not in rest
    last = data[-1]
    if name == "responses":
        assert last["type"] == "response.failed"
        assert last["response"]["error"]["code"] == "server_error"
    elif name == "messages":
        assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    else:
        assert last["error"]["code"] == "upstream_error"


FAILURES = ["fin_in_chunk", "error_line"]


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("name", GENERATING)
def test_a_broken_answer_is_never_taken_for_a_whole_one(
    caller: Caller, ollama: FakeOllama, name: str, kind: str
) -> None:
    endpoint = GENERATING[name]
    fault = Fault(kind, after=2, data=b"<html>")
    ollama.script("llama3.2", Script(content="one two three four", fault=fault))

    streamed = caller.post(endpoint.path, endpoint.with_(stream=True))
    whole = caller.post(endpoint.path, endpoint.with_(stream=False))

    assert whole.status == 502
    assert _ended_badly(name, streamed)


def _ended_badly(name: str, reply: Reply) -> bool:
    if GENERATING[name].vendor == "ollama":
        return set(json.loads(reply.body.splitlines()[-1])) == {"error"}
    last = events(reply.body)[-1][1]
    if name == "responses":
        return bool(last["type"] == "response.failed")
    if name == "messages":
        return bool(last["type"] == "error")
    return bool(last != "[DONE]" and "error" in last)


def test_a_stall_in_the_middle_is_a_timeout(
    caller: Caller, operator: Operator, ollama: FakeOllama
) -> None:
    ollama.script("llama3.2", Script(content="one two three", fault=Fault("silent_after", after=2)))
    with operator.settings(idle_timeout_s=1):
        streamed = caller.post(GENERATING["chat"].path, GENERATING["chat"].with_(stream=True))
        whole = caller.post(GENERATING["chat"].path, GENERATING["chat"].body)

    assert events(streamed.body)[-1][1]["error"]["code"] == "upstream_timeout"
    assert (whole.status, whole.code) == (504, "upstream_timeout")
    assert ollama.wait_disconnect(2, timeout=1.0)
