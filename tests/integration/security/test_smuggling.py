"""Requests that two servers could read differently: each gets one answer, none of them a 5xx."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

import pytest

from fake_ollama import FakeOllama
from tests.integration.conftest import Caller
from tests.support.asking import asked

pytestmark = pytest.mark.process

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
SECOND = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"

HEADS: dict[str, bytes] = {
    "length and chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5",
    "two equal lengths": b"Content-Length: 4\r\nContent-Length: 4",
    "a list of lengths": b"Content-Length: 4, 5",
    "a signed length": b"Content-Length: +4",
    "a negative length": b"Content-Length: -1",
    "a length with an underscore": b"Content-Length: 4_0",
    "a hexadecimal length": b"Content-Length: 0x4",
    "a length with a fraction": b"Content-Length: 4.0",
    "an empty length": b"Content-Length:",
    "a huge length": b"Content-Length: " + b"9" * 200,
    "an unknown coding": b"Transfer-Encoding: xchunked",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked in two headers": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "identity": b"Transfer-Encoding: identity",
    "chunked before gzip": b"Transfer-Encoding: chunked, gzip",
    "a tab before chunked": b"Transfer-Encoding:\tchunked\r\nContent-Length: 4",
    "a space before the colon": b"Transfer-Encoding : chunked",
    "a folded header": b"Transfer-Encoding:\r\n chunked",
    "a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "a line feed alone": b"X: a\nTransfer-Encoding: chunked",
    "a carriage return alone": b"X: a\rTransfer-Encoding: chunked",
    "a NUL": b"X: a\x00b",
    "a NUL in a name": b"X\x00: a",
    "a header without a name": b": x",
    "a header without a colon": b"nonsense",
    "two hosts": b"Host: other",
}
CHUNKS: dict[str, bytes] = {
    "a prefixed size": b"0x4\r\n{}  \r\n0\r\n\r\n",
    "a signed size": b"+4\r\n{}  \r\n0\r\n\r\n",
    "a negative size": b"-4\r\n{}  \r\n0\r\n\r\n",
    "a size with an underscore": b"0_4\r\n{}  \r\n0\r\n\r\n",
    "an empty size": b"\r\n{}  \r\n0\r\n\r\n",
    "a size with a space": b" 4\r\n{}  \r\n0\r\n\r\n",
    "a huge size": b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    "no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "a line feed after the size": b"4\n{}  \r\n0\r\n\r\n",
    "an extension with a line feed": b"4;a\nb\r\n{}  \r\n0\r\n\r\n",
    "an endless extension": b"4;" + b"a" * 100_000 + b"\r\n{}  \r\n0\r\n\r\n",
    "no end after the data": b"4\r\n{}  0\r\n\r\n",
    "data longer than said": b"2\r\n{}{}\r\n0\r\n\r\n",
    "trailers that are headers": b"4\r\n{}  \r\n0\r\nContent-Length: 9\r\n\r\n",
    "no last chunk": b"4\r\n{}  \r\n",
}


def _answers(caller: Caller, raw: bytes) -> list[int]:
    """Send bytes, say that nothing follows, and give the status of every answer."""
    wire = caller.wire()
    wire.send(raw)
    with suppress(OSError):
        wire.sock.shutdown(socket.SHUT_WR)
    return [int(status) for status in _STATUS.findall(wire.rest())]


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_an_ambiguous_head_gets_one_refusal(
    caller: Caller, ollama: FakeOllama, head: bytes
) -> None:
    raw = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
        + f"Authorization: Bearer {caller.key}\r\n".encode()
        + head
        + b"\r\n\r\n0\r\n\r\n"
        + SECOND
    )

    found = _answers(caller, raw)

    assert len(found) == 1
    assert 400 <= found[0] < 500 or found[0] == 501
    assert asked(ollama) == []


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_a_malformed_chunk_gets_one_refusal(
    caller: Caller, ollama: FakeOllama, body: bytes
) -> None:
    raw = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
        + f"Authorization: Bearer {caller.key}\r\n".encode()
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + body
        + SECOND
    )

    found = _answers(caller, raw)

    assert len(found) == 1
    assert 400 <= found[0] < 500
    assert asked(ollama) == []


def test_a_prefix_of_the_path_is_nobodys_to_say(caller: Caller, ollama: FakeOllama) -> None:
    raw = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nSCRIPT_NAME: /v1\r\n"
        b"X-Script-Name: /v1\r\nX-Forwarded-Prefix: /v1\r\nPATH_INFO: /healthz\r\n"
        b"Content-Length: 0\r\n\r\n"
    )

    assert _answers(caller, raw) == [401]
    assert asked(ollama) == []


LINES: dict[str, bytes] = {
    "no version": b"GET /healthz\r\n\r\n",
    "an old version": b"GET /healthz HTTP/0.9\r\n\r\n",
    "a new version": b"GET /healthz HTTP/2.0\r\n\r\n",
    "a preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a lower case method": b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a strange method": b"GE\x01T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a long line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
    "a connect": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a trace": b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("raw", LINES.values(), ids=LINES)
def test_a_strange_request_line_does_no_harm(caller: Caller, raw: bytes) -> None:
    found = _answers(caller, raw)

    assert all(400 <= status < 500 or status in {501, 505} for status in found)
    assert len(found) <= 1


ABSOLUTE = ["http://other/v1/models", "http://127.0.0.1:1/v1/models", "//other/v1/models"]


@pytest.mark.parametrize("target", ABSOLUTE)
@pytest.mark.parametrize("host", ["other", "127.0.0.1:1", "admin", "a b", "x" * 300])
def test_the_host_decides_nothing(caller: Caller, target: str, host: str) -> None:
    found = _answers(
        caller, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )

    assert set(found) <= {400, 401, 404}


def test_two_requests_in_one_packet_get_two_answers(caller: Caller) -> None:
    assert _answers(caller, SECOND + SECOND) == [200, 200]


def test_the_gateway_still_stands(caller: Caller) -> None:
    assert caller.ask("GET", "/healthz").status == 200
    assert not any("Traceback" in line for line in caller.gateway.log)
