"""Every way Ollama, or what stands before it, can misbehave: what the client makes of it.

The codes are those of docs/contract/faults.md.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script, error, status
from gateway.core.events import Failed, Finish
from gateway.errors import (
    ContextOverflow,
    Forbidden,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.ollama import http, wire
from tests.ollama.talk import MODEL, TEXT, WORDS, ask, call, client_of, end_of, read, text_of


def scripted(ollama: FakeOllama, *faults: Fault | str, **fields: Any) -> None:
    ollama.script(MODEL, Script(content=WORDS, fault=faults, **fields))


REFUSED: list[tuple[str, tuple[Fault | str, ...], type[GatewayError], str]] = [
    ("U3 garbage", ("garbage_status",), UpstreamError, "upstream_bad_response"),
    ("U14 html 200", ("html_200",), UpstreamError, "upstream_bad_response"),
    ("U14 html 500", ("html_500",), UpstreamError, "upstream_error"),
    ("U14 204", ("no_content_204",), UpstreamError, "upstream_bad_response"),
    ("U15 model gone", (error(404, "model 'x' not found"),), ModelNotFound, "model_not_found"),
    ("U15 old ollama", (status(404, "404 page not found"),), UpstreamError,
     "upstream_endpoint_missing"),
    ("U15 queue full", ("queue_full",), Unavailable, "upstream_busy"),
    ("U15 capability", (error(400, '"x" does not support tools'),), InvalidRequest,
     "tools_not_supported"),
    ("U15 bad request", (error(400, "odd request"),), InvalidRequest, "upstream_invalid_request"),
    ("U15 nested", (Fault("nested_error", status=400,
                          message="request (9120 tokens) exceeds the available context size"),),
     ContextOverflow, "context_length_exceeded"),
    ("U15 401", (error(401, "unauthorized"),), UpstreamError, "upstream_unauthorized"),
    ("U15 403", (status(403, ""),), Forbidden, "upstream_forbidden"),
    ("U15 429", (status(429, {"error": "slow"}, {"Retry-After": "7"}),), RateLimited,
     "upstream_rate_limited"),
    ("U15 499", (error(499, "request canceled"),), InvalidRequest, "upstream_invalid_request"),
    ("U15 tool arguments", ("tool_args_error",), UpstreamError, "tool_call_parse_error"),
    ("U18 gzip", ("gzip",), UpstreamError, "upstream_bad_response"),
    ("U18 gzip bomb", (Fault("gzip_bomb", size=64 << 20),), UpstreamError,
     "upstream_bad_response"),
    ("U3 redirect", ("redirect_307",), UpstreamError, "upstream_bad_response"),
    ("U6 reset", ("reset",), UpstreamUnreachable, "upstream_unreachable"),
    ("U6 close", ("close",), UpstreamUnreachable, "upstream_unreachable"),
]  # fmt: skip


@pytest.mark.parametrize(("faults", "kind", "code"), [c[1:] for c in REFUSED],
                         ids=[c[0] for c in REFUSED])  # fmt: skip
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


BROKEN: list[tuple[str, tuple[Fault | str, ...], str, str]] = [
    ("U6 reset in a line", (Fault("reset_mid_line", after=2),), "One two", "upstream_disconnected"),
    ("U7 end in a line", (Fault("fin_mid_line", after=2),), "One two", "upstream_disconnected"),
    ("U7 end in a chunk", (Fault("fin_in_chunk", after=1),), "One", "upstream_disconnected"),
    ("U7 end before the length", ("content_length", Fault("fin_mid_line", after=1)), "One",
     "upstream_disconnected"),
    ("U9 error line", (Fault("error_line", after=2),), "One two", "upstream_error"),
    ("U9 error line, no newline", (Fault("error_line_no_newline", after=2),), "One two",
     "upstream_error"),
    ("U11 garbage", (Fault("garbage_line", after=1),), "One", "upstream_bad_response"),
    ("U13 line too long", (Fault("huge_line", after=1, size=9 << 20),), "One",
     "upstream_line_too_long"),
]  # fmt: skip


@pytest.mark.parametrize(("faults", "text", "code"), [c[1:] for c in BROKEN],
                         ids=[c[0] for c in BROKEN])  # fmt: skip
def test_an_answer_that_breaks_ends_with_an_error(
    ollama: FakeOllama, faults: tuple[Fault | str, ...], text: str, code: str
) -> None:
    scripted(ollama, *faults)
    decoder, events = wire.Decoder(), []

    with client_of(ollama) as client, call(client) as upstream:
        try:
            for lines in upstream.lines():
                events += decoder.feed(lines)
            events += decoder.end()
        except GatewayError as failure:
            events.append(Failed(failure))

    end = end_of(events)
    assert isinstance(end, Failed)
    assert end.error.code == code
    assert text_of(events) == text


UNHARMED: list[tuple[str, tuple[Fault | str, ...]]] = [
    ("plain", ()),
    ("U12 one byte a packet", ("utf8_split",)),
    ("U12 byte order mark", ("bom",)),
    ("U12 CRLF", ("crlf",)),
    ("U12 empty lines", ("empty_lines",)),
    ("U13 long line under the cap", (Fault("huge_line", after=9, size=1 << 20),)),
    ("U17 content length", ("content_length",)),
    ("U17 until close", ("until_close",)),
    ("U19 extra bytes", ("extra_bytes",)),
    ("U16 close after", ("close_after_answer",)),
    ("one packet", ("one_packet",)),
    ("done twice", ("done_twice",)),
    ("lines after done", ("lines_after_done",)),
    ("answer-3 wrong types", ("wrong_types",)),
    ("cookies", ("set_cookie",)),
]


@pytest.mark.parametrize("faults", [c[1] for c in UNHARMED], ids=[c[0] for c in UNHARMED])
def test_what_is_merely_odd_changes_nothing(
    ollama: FakeOllama, faults: tuple[Fault | str, ...]
) -> None:
    scripted(ollama, *faults)

    with client_of(ollama) as client:
        events = ask(client)

    end = end_of(events)
    assert isinstance(end, Finish)
    assert end.reason == "stop"
    assert text_of(events) == TEXT


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


def test_u16_is_not_tried_on_a_new_connection(ollama: FakeOllama) -> None:
    scripted(ollama, "reset")

    with client_of(ollama) as client, pytest.raises(UpstreamUnreachable):
        ask(client)

    assert len(ollama.calls("/api/chat")) == 1


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


def test_a_whole_answer_closed_after_its_last_line_keeps_its_connection(
    ollama: FakeOllama,
) -> None:
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
