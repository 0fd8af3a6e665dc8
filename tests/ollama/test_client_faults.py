"""Every way Ollama, or what stands before it, can misbehave: what the client makes of it.

The codes are those of docs/contract/faults.md.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script, error, status
from gateway.core.events import Failed
from gateway.errors import (
    ContextOverflow,
    GatewayError,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.ollama import http, wire
from tests.ollama.talk import MODEL, TEXT, WORDS, ask, call, client_of, end_of, read, text_of


def scripted(ollama: FakeOllama, *faults: Fault | str, **fields: Any) -> None:
    ollama.script(MODEL, Script(content=WORDS, fault=faults, **fields))


REFUSED: dict[str, Any] = {
    "U3 garbage": (("garbage_status",), UpstreamError, "upstream_bad_response"),
    "U3 redirect": (("redirect_307",), UpstreamError, "upstream_bad_response"),
    "U6 close": (("close",), UpstreamUnreachable, "upstream_unreachable"),
    "U14 html 200": (("html_200",), UpstreamError, "upstream_bad_response"),
    "U14 204": (("no_content_204",), UpstreamError, "upstream_bad_response"),
    "U15 nested": ((Fault("nested_error", status=400,
                          message="request (9120 tokens) exceeds the available context size"),),
     ContextOverflow, "context_length_exceeded"),
    "U18 gzip bomb": ((Fault("gzip_bomb", size=64 << 20),), UpstreamError,
     "upstream_bad_response"),
}  # fmt: skip
"""All statuses are in `test_faults.py`, and what a caller sees of every fault in
`tests/integration/faults`."""


@pytest.mark.parametrize(("faults", "kind", "code"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_mapped_before_anything_is_read(
    ollama: FakeOllama, faults: tuple[Fault | str, ...], kind: type[GatewayError], code: str
) -> None:
    scripted(ollama, *faults)

    with client_of(ollama) as client, pytest.raises(kind) as caught, call(client):
        pass

    assert caught.value.code == code
    assert ollama.url not in caught.value.message
    assert "<" not in caught.value.message


def test_a_retry_after_of_ollama_is_handed_on(ollama: FakeOllama) -> None:
    scripted(ollama, status(429, {"error": "slow"}, {"Retry-After": "7"}))

    with client_of(ollama) as client, pytest.raises(RateLimited) as caught:
        ask(client)

    assert caught.value.retry_after_s == 7


def test_u8_an_answer_without_its_last_line_has_failed(ollama: FakeOllama) -> None:
    scripted(ollama, "nodone")

    with client_of(ollama) as client:
        events = ask(client)

    end = end_of(events)
    assert isinstance(end, Failed)
    assert end.error.code == "upstream_disconnected"
    assert text_of(events) == TEXT


@pytest.mark.parametrize("fault", ["zero_lines", "empty_200"])
def test_u14_an_answer_without_lines_is_none(ollama: FakeOllama, fault: str) -> None:
    scripted(ollama, fault)

    with client_of(ollama) as client:
        end = end_of(ask(client))

    assert isinstance(end, Failed)
    assert end.error.code == "upstream_bad_response"


def test_u1_a_refused_connection_is_told_apart(ollama: FakeOllama) -> None:
    url = ollama.url
    ollama.stop()

    with client_of(url) as client, pytest.raises(UpstreamUnreachable) as caught:
        ask(client)

    assert caught.value.status == 502
    assert isinstance(caught.value.__cause__, Exception)


def test_u1_a_name_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with client_of("http://ollama.invalid:11434") as client, pytest.raises(UpstreamUnreachable):
        ask(client)


def test_u2_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def hanging(*_: object) -> Any:
        answer.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        with (
            client_of("http://ollama.test:11434", connect_s=0.05) as client,
            pytest.raises(UpstreamUnreachable),
        ):
            ask(client)
    finally:
        answer.set()


def test_u4_a_model_that_loads_too_long_is_a_time_limit(ollama: FakeOllama) -> None:
    scripted(ollama, "no_headers")

    with client_of(ollama) as client, pytest.raises(UpstreamTimeout) as caught:
        ask(client, idle_s=0.05)

    assert str(caught.value) == "The Ollama server did not begin to answer within 0.05 seconds."
    assert ollama.wait_disconnect()


def test_u5_headers_that_drip_have_one_limit_together(
    ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEAD_S", 0.05)
    scripted(ollama, Fault("drip_headers", interval_s=0.02))

    with client_of(ollama) as client, pytest.raises(UpstreamTimeout) as caught:
        ask(client)

    assert "head" in caught.value.message


def test_u10_a_stall_after_some_tokens_is_a_time_limit(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("silent_after", after=2))

    with client_of(ollama) as client, call(client, idle_s=0.05) as upstream:
        decoder, events = wire.Decoder(), []
        with pytest.raises(UpstreamTimeout) as caught:  # noqa: PT012  # what came before it counts too
            for lines in upstream.lines():
                events += decoder.feed(lines)

    assert str(caught.value) == (
        "The Ollama server stopped answering: nothing came for 0.05 seconds."
    )
    assert text_of(events) == "One two"
    assert ollama.wait_disconnect()


def test_u16_a_connection_closed_before_reuse_is_replaced_once(ollama: FakeOllama) -> None:
    scripted(ollama, "close_on_reuse")

    with client_of(ollama) as client:
        first, second = ask(client), ask(client)

    assert text_of(first) == text_of(second) == TEXT
    connections = [one.connection for one in ollama.calls("/api/chat")]
    assert connections[0] != connections[-1]


def test_u19_a_connection_with_foreign_bytes_is_not_used_again(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content=WORDS, fault="extra_bytes"), Script(content=["four"]))

    with client_of(ollama) as client:
        first, second = ask(client), ask(client)

    assert (text_of(first), text_of(second)) == (TEXT, "four")
    connections = {one.connection for one in ollama.calls("/api/chat")}
    assert len(connections) == 2


def test_a_redirect_does_not_carry_the_prompt_elsewhere(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("redirect_307", location=f"{ollama.url}/api/elsewhere"))

    with client_of(ollama) as client, pytest.raises(UpstreamError):
        ask(client)

    assert [one.path for one in ollama.requests] == ["/api/chat"]


def test_cookies_are_not_kept(ollama: FakeOllama) -> None:
    scripted(ollama, "set_cookie")

    with client_of(ollama) as client:
        ask(client)
        ask(client)

    assert not any("cookie" in one.headers for one in ollama.requests)


def test_an_abandoned_answer_ends_its_connection(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content=["x"], endless=True), Script(content=WORDS))

    with client_of(ollama) as client:
        with call(client) as upstream:
            next(upstream.lines())
        ollama.wait_disconnect()
        again = ask(client)

    assert text_of(again) == TEXT


def test_a_whole_answer_closed_after_its_last_line_keeps_its_connection(ollama: FakeOllama) -> None:
    scripted(ollama)

    with client_of(ollama) as client:
        for _ in range(20):
            assert text_of(ask(client)) == TEXT

    assert {one.connection for one in ollama.requests} == {1}


def test_u21_an_error_keeps_the_connection(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(fault=error(500, "no")), Script(content=WORDS))

    with client_of(ollama) as client:
        with pytest.raises(UpstreamError):
            ask(client)
        ask(client)

    assert {one.connection for one in ollama.requests} == {1}


def test_a_flood_arrives_whole(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("flood", after=1, size=20_000))

    with client_of(ollama) as client:
        events = ask(client)

    assert text_of(events) == "One" + " two" * 20_000 + " three"


def test_a_frozen_server_meets_the_time_limit(ollama: FakeOllama) -> None:
    ollama.freeze()
    try:
        with client_of(ollama) as client, pytest.raises(UpstreamTimeout):
            ask(client, idle_s=0.05)
    finally:
        ollama.thaw()


def test_an_answer_is_read_inside_its_block(ollama: FakeOllama) -> None:
    with client_of(ollama) as client, pytest.raises(AssertionError, match="enter it first"):
        read(call(client))

    assert ollama.requests == []
