"""What happens on the socket itself: heads, reuse, ends of bodies, limits, addresses."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from typing import Any

import pytest

from gateway.core.chat import EmbedRequest
from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.ollama import client as client_module
from gateway.ollama import framing, http
from gateway.ollama.client import OllamaClient
from tests.ollama.raw_server import RawServer, blocked_port, chunked
from tests.ollama.talk import ask, call, client_of, server, text_of

HELLO = b'{"message":{"content":"Hello"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":1}\n'
WHOLE = chunked(HELLO, DONE)


# -- heads -----------------------------------------------------------------------------------------


def test_informational_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"

    with RawServer([early + WHOLE]) as raw, client_of(raw.url) as client:
        assert text_of(ask(client)) == "Hello"


def test_a_head_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_HEAD", 1000)
    endless = b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 2000

    with (
        RawServer([endless]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamError) as caught,
    ):
        ask(client)

    assert caught.value.code == "upstream_bad_response"


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_connection_that_ends_inside_a_head_is_not_tried_again(how: str) -> None:
    def half(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-")
        if how == "reset":
            reset_at_close(sock)

    with RawServer([WHOLE, half], [WHOLE]) as raw, client_of(raw.url) as client:
        ask(client)
        with pytest.raises(UpstreamUnreachable):
            ask(client)

    assert len(raw.requests) == 2


def test_a_head_that_stops_in_the_middle_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_S", 0.05)
    over = threading.Event()

    def half(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        over.wait(20)

    with RawServer([half]) as raw, client_of(raw.url) as client:
        try:
            with pytest.raises(UpstreamTimeout, match="head of its answer"):
                ask(client, idle_s=None)
        finally:
            over.set()


# -- reuse -----------------------------------------------------------------------------------------


def test_an_answer_that_ends_before_its_first_record_may_be_repeated() -> None:
    with (
        RawServer([chunked(end=False)]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamUnreachable),
    ):
        ask(client)


def test_a_connection_that_asks_to_be_closed_is_not_used_again() -> None:
    closing = chunked(HELLO, DONE, head=b"Connection: close\r\n")

    with RawServer([closing], [WHOLE]) as raw, client_of(raw.url) as client:
        assert text_of(ask(client)) == text_of(ask(client)) == "Hello"


def test_the_end_of_the_body_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "END_S", 0.02)
    over = threading.Event()

    def unfinished(sock: socket.socket) -> None:
        sock.sendall(chunked(HELLO, DONE, end=False))
        over.wait(20)

    with RawServer([unfinished], [WHOLE]) as raw, client_of(raw.url) as client:
        first = ask(client)
        over.set()
        assert text_of(first) == text_of(ask(client)) == "Hello"


def test_a_reader_that_stops_at_the_last_record_keeps_the_connection() -> None:
    with RawServer([WHOLE, WHOLE]) as raw, client_of(raw.url) as client:
        with call(client) as upstream:
            for lines in upstream.lines():
                if lines[-1].startswith(DONE[:-2]):
                    break
        assert text_of(ask(client)) == "Hello"

    assert len(raw.requests) == 2


def test_an_idle_connection_that_was_reset_is_not_used() -> None:
    def then_reset(sock: socket.socket) -> None:
        reset_at_close(sock)
        sock.sendall(WHOLE)

    with RawServer([then_reset], [WHOLE]) as raw, client_of(raw.url) as client:
        assert text_of(ask(client)) == "Hello"
        raw.wait_closed(1)
        assert text_of(ask(client)) == "Hello"


def test_an_answer_of_no_length_with_something_behind_it_ends_the_connection() -> None:
    odd = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\nmore"

    with RawServer([odd, odd], [WHOLE]) as raw, client_of(raw.url) as client:
        with pytest.raises(UpstreamError):
            ask(client)
        assert text_of(ask(client)) == "Hello"


def test_a_second_connection_that_fails_is_told() -> None:
    def leave(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_RDWR)

    with RawServer([WHOLE, leave], [leave]) as raw, client_of(raw.url) as client:
        ask(client)
        with pytest.raises(UpstreamUnreachable):
            ask(client)

    assert len(raw.requests) == 3


def test_a_closed_client_keeps_no_connection() -> None:
    with RawServer([WHOLE, WHOLE], [WHOLE]) as raw:
        one = OllamaClient(server(raw.url))
        ask(one)
        one.close()
        raw.wait_closed(1)
        assert text_of(ask(one)) == "Hello"
        raw.wait_closed(1)

    assert len(raw.requests) == 2


# -- whole bodies and refusals ---------------------------------------------------------------------

TEXT = EmbedRequest("m", ("x",))


def test_an_answer_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 10)

    with (
        RawServer([chunked(b"x" * 11)]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamError) as caught,
    ):
        client.ask_whole(TEXT, "m")

    assert caught.value.code == "upstream_line_too_long"


@pytest.mark.parametrize("how", ["silent", "drop by drop"])
def test_a_whole_answer_has_one_limit(how: str) -> None:
    over = threading.Event()

    def slow(sock: socket.socket) -> None:
        sock.sendall(chunked(b"{", end=False))
        while not over.wait(0.01 if how == "drop by drop" else 20):
            sock.sendall(b"1\r\n \r\n")

    with RawServer([slow]) as raw, client_of(raw.url) as client:
        try:
            with pytest.raises(UpstreamTimeout):
                client.ask_whole(TEXT, "m", timeout_s=0.05)
        finally:
            over.set()


def test_an_error_body_that_never_ends_still_gives_the_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "ERROR_BODY_S", 0.05)
    over = threading.Event()

    def unfinished(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n{")
        over.wait(20)

    with RawServer([unfinished]) as raw, client_of(raw.url) as client:
        try:
            with pytest.raises(GatewayError) as caught:
                ask(client, idle_s=None)
        finally:
            over.set()

    assert caught.value.code == "upstream_busy"


def test_a_compressed_error_body_is_not_looked_at() -> None:
    packed = b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"

    with (
        RawServer([packed]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamError) as caught,
    ):
        ask(client)

    assert "abc" not in caught.value.message


def test_a_refusal_of_a_large_request_is_read() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    with (
        RawServer([refusal]) as raw,
        client_of(raw.url) as client,
        pytest.raises(GatewayError) as caught,
    ):
        ask(client, b"x" * (http._JOIN_BELOW + 1))

    assert "413" in caught.value.message
    assert len(raw.requests[0]) > http._JOIN_BELOW


class Gone:
    """A connection that the system gives up, because its peer is gone without a word."""

    def settimeout(self, limit_s: float | None) -> None:
        pass

    def recv(self, size: int) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def test_a_server_that_is_gone_is_not_told_as_silent() -> None:
    """Without a limit of ours no sentence may say that nothing came for 0 seconds."""
    gone: Any = Gone()
    connection = http.Connection()
    connection.sock = gone
    with pytest.raises(ConnectionError):
        connection.receive_head("POST", None)

    with RawServer([WHOLE]) as raw, client_of(raw.url) as client, call(client) as upstream:
        body = upstream._body
        assert body is not None
        body.close()
        upstream._body = http.Body(gone, body.head, framing.UntilClose(), b"")
        with pytest.raises(UpstreamUnreachable):
            next(upstream.lines())
        with pytest.raises(UpstreamUnreachable):
            upstream.read()


# -- connecting and sending ------------------------------------------------------------------------


def test_a_connection_that_is_never_made_meets_its_limit() -> None:
    with (
        blocked_port() as url,
        client_of(url, connect_s=0.05) as client,
        pytest.raises(UpstreamUnreachable) as caught,
    ):
        ask(client)

    assert (caught.value.status, caught.value.code) == (504, "upstream_timeout")
    assert caught.value.anthropic_type == "timeout_error"


def test_no_time_to_connect_sends_nothing() -> None:
    with (
        RawServer([WHOLE]) as raw,
        client_of(raw.url, connect_s=0.0) as client,
        pytest.raises(UpstreamUnreachable),
    ):
        ask(client)

    assert raw.requests == []


@pytest.mark.parametrize("limit", ["of the caller", "of every call"])
def test_a_server_that_does_not_take_the_request_meets_the_limit(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(client_module, "SEND_S", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with (
        listener,
        client_of(url) as client,
        pytest.raises(UpstreamTimeout, match="did not take the request"),
    ):
        ask(client, b"x" * (64 << 20), idle_s=0.05 if limit == "of the caller" else None)


def test_the_second_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer([WHOLE]) as raw:
        good = ("127.0.0.1", int(raw.url.rpartition(":")[2]))

        def two(*_: object) -> Any:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
                for address in (("127.0.0.1", 1), good)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", two)
        with client_of("http://ollama.test:1") as client:
            assert text_of(ask(client)) == "Hello"


def reset_at_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
