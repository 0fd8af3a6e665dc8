"""Callers who leave: whatever the moment, the call to Ollama ends within a second."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.conftest import Caller, Operator
from tests.support.asking import ENDPOINTS, GENERATING
from tests.support.cases import pairs
from tests.support.wire import Wire, post

pytestmark = pytest.mark.process

LIMIT_S = 1.0

HOW: dict[str, Callable[[Wire], None]] = {
    "FIN": lambda wire: wire.sock.close(),
    "RST": lambda wire: wire.reset(),
    "half-close": lambda wire: wire.sock.shutdown(socket.SHUT_WR),
    "pipelined": lambda wire: (
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"),
        wire.sock.close(),
    )[-1],
}
MOMENTS: dict[str, Any] = {"before the headers": 0, "while it loads": "load", "in the middle": 2}
WHEN: dict[str, tuple[bool, Any]] = {
    f"{moment}-{shape}": (shape == "streamed", at)
    for moment, at in MOMENTS.items()
    for shape in ("whole", "streamed")
}
"""Whether the answer is streamed, and the line of Ollama at which the caller leaves."""


def _leave(
    caller: Caller, ollama: FakeOllama, name: str, stream: bool, at: Any, how: str, **more: Any
) -> None:
    """Ask, leave at a moment, and see the call to Ollama end."""
    endpoint = ENDPOINTS[name]
    body = endpoint.with_(**({"stream": stream} if endpoint.streams else {}), **more)
    with ollama.hold(body["model"], at=at) as gate:
        wire = caller.wire()
        wire.send(post(endpoint.path, body, caller.key))
        gate.wait_reached()
        HOW[how](wire)
        gone = ollama.wait_disconnect(timeout=LIMIT_S)

    assert [one.path for one in gone] == [endpoint.upstream]
    assert caller.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize(("when", "name"), pairs(WHEN, GENERATING, 3))
def test_a_caller_who_closes_ends_the_call(
    caller: Caller, ollama: FakeOllama, when: str, name: str
) -> None:
    _leave(caller, ollama, name, *WHEN[when], "FIN")


def test_leaving_ends_every_choice(caller: Caller, ollama: FakeOllama, operator: Operator) -> None:
    ollama.script("llama3.2", Script(content="on and on ", endless=True, delay_s=0.01))
    wire = caller.wire()
    wire.send(post("/v1/chat/completions", GENERATING["chat"].with_(stream=True, n=2), caller.key))
    wire.head()
    ollama.wait_requests(1, "/api/chat")

    wire.sock.close()

    ollama.wait_disconnect(timeout=LIMIT_S)
    ollama.wait_idle(timeout=LIMIT_S)
    assert operator.call("GET", "/health")["running"] == 0


def test_leaving_while_vectors_are_made_ends_the_call(caller: Caller, ollama: FakeOllama) -> None:
    _leave(caller, ollama, "embeddings", False, 0, "FIN")


def test_leaving_between_two_passes_ends_the_second(caller: Caller, ollama: FakeOllama) -> None:
    """A forced call that the model did not make is asked for once more."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    endless = Script(content="{ ", endless=True, delay_s=0.01)
    ollama.script("llama3.2", Script(content="No."), endless)
    wire = caller.wire()
    body = GENERATING["chat"].with_(tools=[tool], tool_choice="required")
    wire.send(post("/v1/chat/completions", body, caller.key))
    ollama.wait_requests(2, "/api/chat")

    wire.sock.close()

    ollama.wait_disconnect(timeout=LIMIT_S)


def _until(ask: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    """Ask again and again until the answer fits, ten seconds at most."""
    deadline_s = time.monotonic() + 10
    while not fits(found := ask()):
        assert time.monotonic() < deadline_s, f"never came to be: {found}"
        time.sleep(0.01)
    return found


def test_a_slow_reader_does_not_hold_others_up(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="x" * 4000 + " ", endless=True))
    deaf = caller.wire()
    deaf.send(post("/v1/chat/completions", GENERATING["chat"].with_(stream=True), caller.key))
    deaf.head()

    ollama.script("gemma3:4b", Script(content="Fine."))
    reply = caller.post("/v1/chat/completions", GENERATING["chat"].with_(model="gemma3:4b"))

    assert reply.status == 200
    deaf.sock.close()
    ollama.wait_disconnect(timeout=LIMIT_S * 5)


def test_many_leavers_leave_nothing_behind(
    caller: Caller, ollama: FakeOllama, operator: Operator
) -> None:
    ollama.script("*", Script(content="on and on ", endless=True, delay_s=0.005))
    for number in range(40):
        endpoint = list(GENERATING.values())[number % 4]
        wire = caller.wire()
        wire.send(post(endpoint.path, endpoint.with_(stream=number % 8 < 4), caller.key))
        if number % 3 == 0:
            ollama.wait_requests(1)
        (wire.reset if number % 2 else wire.sock.close)()

    _until(lambda: operator.call("GET", "/health"), lambda health: health["running"] == 0)
    ollama.wait_idle()
