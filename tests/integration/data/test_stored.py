"""Responses that ended early are kept as what they are (D28)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING
from tests.support.process import until
from tests.support.wire import events, post

pytestmark = pytest.mark.process

RESPONSES = GENERATING["responses"]


def _created(lines: list[bytes]) -> str:
    data = next(line for line in lines if b"response.created" in line and b"data:" in line)
    return str(json.loads(data.removeprefix(b"data: "))["response"]["id"])


def _kept(caller: Caller, response_id: str) -> Any:
    def found() -> Any:
        reply = caller.ask("GET", f"{RESPONSES.path}/{response_id}")
        return reply.json if reply.status == 200 else None

    return until(found, "the stored response")


def test_one_whose_client_left_is_incomplete(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content=["low", " tide", " at", " six"]))
    with ollama.hold("llama3.2", at=2) as gate:
        wire = caller.wire()
        wire.send(post(RESPONSES.path, RESPONSES.with_(stream=True), caller.key))
        wire.head()
        gate.wait_reached()
        lines = [wire.line()]
        while b"tide" not in lines[-1]:
            lines.append(wire.line())
        wire.sock.close()
        ollama.wait_disconnect()

    kept = _kept(caller, _created(lines))
    assert (kept["status"], kept["error"]) == ("incomplete", None)
    assert kept["output"][0]["content"][0]["text"] == "low tide"


def test_one_that_failed_is_failed(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="a b c", fault=Fault("error_line", after=2)))

    reply = caller.post(RESPONSES.path, RESPONSES.with_(stream=True))

    name, last = events(reply.body)[-1]
    kept = _kept(caller, last["response"]["id"])
    assert name == "response.failed"
    assert kept == last["response"]


def test_one_that_an_admin_ended_is_failed(
    caller: Caller, ollama: FakeOllama, operator: Operator
) -> None:
    with ollama.hold("llama3.2", at=2) as gate:
        wire = caller.wire()
        wire.send(post(RESPONSES.path, RESPONSES.with_(stream=True), caller.key))
        _, headers = wire.head()
        gate.wait_reached()
        operator.call("DELETE", f"/live/{headers['x-request-id']}")
        _, last = events(b"".join(wire.body(headers)))[-1]

    assert last["type"] == "response.failed"
    assert _kept(caller, last["response"]["id"])["status"] == "failed"
