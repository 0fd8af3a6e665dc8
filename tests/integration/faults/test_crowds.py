"""Room runs out: calls are refused in time, health answers whoever fills the gateway (load-5,
load-8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fake_ollama import FakeModel, FakeOllama
from tests.integration.conftest import Caller
from tests.support.asking import GENERATING, is_refusal
from tests.support.process import Gateway, until
from tests.support.wire import Wire, post

pytestmark = pytest.mark.process

ROOM = 20
CALLS = ROOM * 4 // 5
CHAT = GENERATING["chat"]
BODY = CHAT.with_(model="tern", stream=True)


@pytest.fixture(scope="module")
def wide_ollama() -> Iterator[FakeOllama]:
    with FakeOllama([FakeModel("tern:latest", ("completion",), slots=64)]) as server:
        yield server


@pytest.fixture(scope="module")
def small_gateway(
    wide_ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with room for few connections."""
    folder = tmp_path_factory.mktemp("small") / "data"
    env = {"WORKER_CONNECTIONS": str(ROOM)}
    with Gateway(folder, ollama_url=wide_ollama.url, env=env) as gateway:
        yield gateway


@pytest.fixture
def small(small_gateway: Gateway, wide_ollama: FakeOllama) -> Iterator[Caller]:
    wide_ollama.reset()
    with ExitStack() as stack:
        caller = Caller(small_gateway, stack)
        until(lambda: caller.ask("GET", "/v1/models").json["data"], "the models")
        yield caller
    wide_ollama.release()


def _running(caller: Caller, number: int) -> list[Wire]:
    """Give as many streams whose heads have come."""
    wires = [caller.wire() for _ in range(number)]
    for wire in wires:
        wire.send(post(CHAT.path, BODY, caller.key))
    for wire in wires:
        assert wire.head()[0] == 200
    return wires


def test_calls_beyond_the_room_are_told_to_come_again(
    small: Caller, wide_ollama: FakeOllama
) -> None:
    with wide_ollama.hold("tern", at=2):
        running = _running(small, CALLS)
        refused = small.post(CHAT.path, BODY)
        well = small.ask("GET", "/healthz")
        for wire in running:
            wire.sock.close()
    wide_ollama.wait_idle()

    assert (refused.status, refused.code) == (503, "upstream_busy")
    assert is_refusal(refused.json)
    assert refused.headers["retry-after"] == "5"
    assert well.status == 200


def test_calls_come_in_again_when_others_have_left(small: Caller, wide_ollama: FakeOllama) -> None:
    with wide_ollama.hold("tern", at=2):
        for wire in _running(small, CALLS):
            wire.sock.close()
        wide_ollama.wait_idle()

    assert small.post(CHAT.path, BODY).status == 200


def test_a_burst_of_one_key_leaves_room_for_health(small: Caller, wide_ollama: FakeOllama) -> None:
    """All at the same moment and with keep-alive: who is refused does not stay."""
    with wide_ollama.hold("tern", at=2):
        wires = []
        for _ in range(3 * ROOM):
            wires.append(small.wire())
            wires[-1].send(post(CHAT.path, BODY, small.key))
        heads = [wire.head() for wire in wires]
        well = small.ask("GET", "/healthz")
        for wire in wires:
            wire.sock.close()
    wide_ollama.wait_idle()

    refused = [headers for status, headers in heads if status == 503]
    assert [status for status, _ in heads].count(200) == CALLS
    assert len(refused) == 3 * ROOM - CALLS
    assert {headers["connection"] for headers in refused} == {"close"}
    assert well.status == 200


FORM = (
    b"POST /auth/login HTTP/1.1\r\nHost: gateway\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
SILENT: dict[str, Any] = {
    "who say nothing": b"",
    "with half a head": b"GET /healthz HTTP/1.1\r\nHost: gate",
    "who stay after an answer": b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n",
    "with half a form": FORM + b"Content-Length: 1000\r\n\r\nusername=a",
    "with half a chunked form": FORM + b"Transfer-Encoding: chunked\r\n\r\na\r\nusername=a\r\n",
}


@pytest.mark.parametrize("said", SILENT.values(), ids=SILENT)
def test_visitors_do_not_keep_others_out(small: Caller, said: bytes) -> None:
    for _ in range(3 * ROOM):
        small.wire().send(said)

    assert small.ask("GET", "/healthz").status == 200
    assert small.post(CHAT.path, BODY).status == 200


def test_a_call_is_not_ended_to_make_room_for_visitors(
    small: Caller, wide_ollama: FakeOllama
) -> None:
    with wide_ollama.hold("tern", at=2):
        (running,) = _running(small, 1)
        for _ in range(3 * ROOM):
            small.wire()
        assert small.ask("GET", "/healthz").status == 200

    assert b"[DONE]" in b"".join(running.body({"transfer-encoding": "chunked"}))


def test_nothing_of_it_was_a_fault(small_gateway: Gateway, small: Caller) -> None:
    assert small.ask("GET", "/healthz").status == 200
    assert not [line for line in small_gateway.log if "ERROR" in line or "Traceback" in line]
