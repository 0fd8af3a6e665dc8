"""What happens on the socket itself: heads, reuse, limits, TLS, cancelling while connecting."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.errors import (
    ClientGone,
    GatewayError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.ollama import framing, response, transport
from gateway.ollama import upstream as upstream_module
from gateway.ollama.client import OllamaClient
from tests.ollama.raw_server import RawServer, blocked_port, chunked
from tests.ollama.talk import ask, call, client_of, read, server, text_of

HELLO = b'{"message":{"content":"Hello"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":1}\n'
WHOLE = chunked(HELLO, DONE)


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
    monkeypatch.setattr(upstream_module, "DRAIN_S", 0.02)
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
            upstream.open()
            seen: list[bytes] = []
            for lines in upstream.batches(5):
                seen += lines
                if seen[-1].startswith(DONE[:-2]):
                    break
        assert text_of(ask(client)) == "Hello"

    assert len(raw.requests) == 2


def test_an_answer_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "MAX_ANSWER_BYTES", 10)

    with (
        RawServer([chunked(b"x" * 11)]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamError),
    ):
        client.embed(b"{}")


def test_a_whole_answer_has_one_limit() -> None:
    over = threading.Event()

    def silent(sock: socket.socket) -> None:
        sock.sendall(chunked(b"{", end=False))
        over.wait(20)

    with RawServer([silent]) as raw, client_of(raw.url) as client:
        try:
            with pytest.raises(UpstreamTimeout):
                client.embed(b"{}", idle_timeout_s=0.05)
        finally:
            over.set()


def test_an_error_body_that_never_ends_still_gives_the_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_module, "ERROR_BODY_S", 0.05)
    over = threading.Event()

    def unfinished(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n{")
        over.wait(20)

    with RawServer([unfinished]) as raw, client_of(raw.url) as client:
        try:
            with pytest.raises(GatewayError) as caught:
                ask(client)
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


def test_a_refusal_before_the_body_is_sent_is_read() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    with (
        RawServer([refusal]) as raw,
        client_of(raw.url) as client,
        pytest.raises(GatewayError) as caught,
    ):
        ask(client, b"x" * (transport._JOIN_BELOW + 1))

    assert "413" in caught.value.message
    assert len(raw.requests[0]) > transport._JOIN_BELOW


def test_iter_lines_gives_line_by_line() -> None:
    with (
        RawServer([chunked(HELLO + HELLO, DONE[:-1])]) as raw,
        client_of(raw.url) as client,
        call(client) as upstream,
    ):
        upstream.open()
        found = upstream._response
        assert isinstance(found, response.NdjsonResponse)
        lines = list(found.iter_lines())

    assert lines == [HELLO[:-1], HELLO[:-1], DONE[:-1]]


def test_a_cancel_ends_a_connection_being_made() -> None:
    with blocked_port() as url, client_of(url) as client, call(client) as upstream:
        client._connect_s = 30.0
        failures: list[BaseException] = []

        def run() -> None:
            try:
                upstream.open()
            except GatewayError as failure:
                failures.append(failure)

        upstream._exchange.connect_s = 30.0
        thread = threading.Thread(target=run)
        thread.start()
        while upstream._exchange._sock is None:
            thread.join(0.001)
        upstream.cancel()
        thread.join(10)

    assert [type(failure) for failure in failures] == [ClientGone]


def test_a_connection_that_is_never_made_meets_its_limit() -> None:
    with blocked_port() as url, client_of(url) as client, call(client) as upstream:
        upstream._exchange.connect_s = 0.05
        with pytest.raises(UpstreamUnreachable) as caught:
            upstream.open()

    assert (caught.value.status, caught.value.code) == (504, "upstream_timeout")
    assert caught.value.anthropic_type == "timeout_error"


def test_a_server_that_does_not_take_the_request_meets_the_limit() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with (
        listener,
        client_of(url) as client,
        call(client, b"x" * (64 << 20), idle_s=0.05) as slow,
        pytest.raises(UpstreamTimeout, match="did not take the request"),
    ):
        slow.open()


def test_an_idle_connection_that_was_reset_is_not_used() -> None:
    def then_reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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


def test_a_cancel_while_the_connection_dies_is_not_repeated() -> None:
    with RawServer([WHOLE, lambda _: upstream.cancel()]) as raw, client_of(raw.url) as client:
        ask(client)
        with call(client) as upstream, pytest.raises(ClientGone):
            upstream.open()

    assert len(raw.requests) == 2


def test_a_cancel_while_a_refusal_is_read_wins() -> None:
    def refuse(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n{")
        upstream.cancel()

    with (
        RawServer([refuse]) as raw,
        client_of(raw.url) as client,
        call(client) as upstream,
        pytest.raises(ClientGone),
    ):
        upstream.open()


def test_an_answer_that_comes_after_the_call_was_closed_is_thrown_away() -> None:
    with RawServer([WHOLE]) as raw, client_of(raw.url) as client:
        upstream = call(client)
        send = upstream._send_prepared

        def late(prepared: Any, exchange: Any, tick_s: float) -> Any:
            found = yield from send(prepared, exchange, tick_s)
            upstream.close()
            return found

        upstream._send_prepared = late
        with pytest.raises(ClientGone):
            upstream.open()


class PollWait:
    """A cheaper wait, as the gateway brings one: here the system's own poll."""

    waits = 0

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.is_closed = False

    def read(self, timeout_s: float) -> bytes | None:
        PollWait.waits += 1
        return self._sock.recv(65_536) if self._poll.poll(timeout_s * 1000) else None

    def close(self) -> None:
        self.is_closed = True


def test_another_way_to_wait_can_be_given() -> None:
    made: list[PollWait] = []
    over = threading.Event()

    def make(sock: socket.socket) -> PollWait:
        made.append(PollWait(sock))
        return made[-1]

    def slowly(sock: socket.socket) -> None:
        sock.sendall(chunked(HELLO, end=False))
        over.wait(20)
        sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(DONE), DONE))

    with RawServer([slowly]) as raw:
        client = OllamaClient(server(raw.url), connect_timeout_s=2, read_wait=make)
        with call(client) as upstream:
            upstream.open()
            batches = upstream.batches(0.01)
            seen = [next(batches), next(batches)]
            over.set()
            seen += list(batches)
        client.close()

    assert seen[0] == [HELLO[:-1]]
    assert seen[1] == []
    assert seen[-1] == [DONE[:-1]]
    assert [wait.is_closed for wait in made] == [True]


def whole_after(over: threading.Event) -> Callable[[socket.socket], None]:
    """Give a server that answers when it may."""

    def answer(sock: socket.socket) -> None:
        over.wait(20)
        sock.sendall(WHOLE)

    return answer


def test_the_wait_for_a_head_can_be_taken_in_steps() -> None:
    over = threading.Event()
    with (
        RawServer([whole_after(over)]) as raw,
        client_of(raw.url) as client,
        call(client) as upstream,
    ):
        opening = upstream.opening(0.01)
        assert [next(opening), next(opening)] == [None, None]
        over.set()
        assert set(opening) <= {None}
        assert text_of(read(upstream)) == "Hello"


def test_that_the_request_was_sent_can_be_told() -> None:
    over = threading.Event()
    with (
        RawServer([whole_after(over)]) as raw,
        client_of(raw.url) as client,
        call(client) as upstream,
    ):
        opening = upstream.opening(30, tells_sent=True)
        assert next(opening) is None
        over.set()
        assert list(opening) == []
        assert text_of(read(upstream)) == "Hello"


def test_a_wait_for_a_head_that_is_given_up_ends_the_connection() -> None:
    gone = threading.Event()

    def silent(sock: socket.socket) -> None:
        while sock.recv(1_024):
            pass
        gone.set()

    with RawServer([silent]) as raw, client_of(raw.url) as client, call(client) as upstream:
        opening = upstream.opening(0.01)
        next(opening)
        opening.close()  # type: ignore[attr-defined]  # a generator
        assert gone.wait(10)


def test_the_whole_limit_counts_before_anything_is_sent() -> None:
    with RawServer([WHOLE]) as raw, client_of(raw.url) as client:
        upstream = call(client, total_s=0.0)
        with upstream, pytest.raises(GatewayError) as caught:
            upstream.open()

    assert isinstance(caught.value, UpstreamTimeout | UpstreamUnreachable)
    assert raw.requests == []


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


def test_a_cancelled_answer_that_ends_with_its_connection_is_not_taken_for_whole() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n{"
    sent, over = threading.Event(), threading.Event()

    def until_close(sock: socket.socket) -> None:
        sock.sendall(head)
        sent.set()
        over.wait(20)

    with RawServer([until_close]) as raw, client_of(raw.url) as client, call(client) as upstream:
        upstream.open()
        assert sent.wait(10)
        upstream.cancel()
        try:
            with pytest.raises(ClientGone):
                upstream.read()
        finally:
            over.set()


def test_a_connection_is_only_used_for_an_exchange() -> None:
    session = requests.Session()
    session.mount("http://", transport.OllamaAdapter(1))

    with pytest.raises(RuntimeError, match="only used through"):
        session.get("http://127.0.0.1:1")


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
            "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    whole = folder / "both.pem"
    whole.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return whole


def tls_server(certificate: Path, *connections: Any) -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return RawServer(*connections, tls=context)


def test_a_certificate_nobody_vouches_for_is_not_accepted(certificate: Path) -> None:
    with (
        tls_server(certificate, [WHOLE]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamUnreachable) as caught,
    ):
        ask(client)

    assert "certificate" in caught.value.message
    assert raw.requests == []


@pytest.mark.parametrize("how", ["vouched for", "not looked at"])
def test_a_certificate_can_be_vouched_for_or_not_looked_at(certificate: Path, how: str) -> None:
    fields = (
        {"tls_ca_file": str(certificate)}
        if how == "vouched for"
        else {"tls_verify": False, "tls_ca_file": "/nowhere"}
    )

    with tls_server(certificate, [WHOLE, WHOLE]) as raw, client_of(raw.url, **fields) as client:
        assert text_of(ask(client)) == text_of(ask(client)) == "Hello"


def test_a_file_of_certificates_that_is_missing_is_told() -> None:
    with RawServer([]) as raw:
        url = raw.url.replace("http://", "https://")
        with (
            client_of(url, tls_ca_file="/nowhere.pem") as client,
            pytest.raises(UpstreamUnreachable),
        ):
            ask(client)


def test_a_cancel_ends_a_silent_tls_answer(certificate: Path) -> None:
    over, sent = threading.Event(), threading.Event()

    def silent(sock: socket.socket) -> None:
        sock.sendall(chunked(HELLO, end=False))
        sent.set()
        over.wait(20)

    with (
        tls_server(certificate, [silent]) as raw,
        client_of(raw.url, tls_verify=False) as client,
        call(client) as upstream,
    ):
        upstream.open()
        batches = upstream.batches(30)
        next(batches)
        timer = threading.Timer(0.05, upstream.cancel)
        timer.start()
        try:
            with pytest.raises(ClientGone):
                list(batches)
        finally:
            over.set()
            timer.join()


def test_a_closed_client_gives_its_connections_back() -> None:
    with RawServer([WHOLE], [WHOLE]) as raw:
        one = OllamaClient(server(raw.url))
        ask(one)
        one.close()
        assert text_of(ask(one)) == "Hello"
        one.close()


def test_reading_whole_and_in_batches_do_not_mix_up_cancel() -> None:
    with RawServer([WHOLE]) as raw, client_of(raw.url) as client, call(client) as upstream:
        upstream.open()
        upstream.cancel()
        with pytest.raises(ClientGone):
            read(upstream)
