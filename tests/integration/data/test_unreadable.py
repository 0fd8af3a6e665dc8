"""Requests no view ever sees: refused in JSON, with an id, without repeating what was sent."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Caller
from tests.support.asking import is_refusal
from tests.support.process import until
from tests.support.wire import Reply

pytestmark = pytest.mark.process

CANARY = "the-hidden-bay"
HOST = b"Host: gateway\r\n"
KEY = f"sk-o2a-{'Q' * 49}".encode()
UNREADABLE: dict[str, tuple[bytes, int]] = {
    "no request line": (b"\x16\x03\x01" + CANARY.encode() + b"\r\n\r\n", 400),
    "no version": (b"GET /" + CANARY.encode() + b"\r\n\r\n", 400),
    "a strange method": (b"g<t / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a strange version": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "a very long line": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a very long header": (
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"x" * 40_000 + b"\r\n\r\n",
        431,
    ),
    "very many headers": (
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        431,
    ),
    "a header with an escape": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + KEY + b"\x1b\r\n\r\n",
        400,
    ),
    "a cookie without a colon": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Cookie session=" + CANARY.encode() + b"\r\n\r\n",
        400,
    ),
    "a folded header": (
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n " + CANARY.encode() + b"\r\n\r\n",
        400,
    ),
    "what is left of a body": (CANARY.encode() + b" and more of a prompt\r\n\r\n", 400),
    "an unknown transfer coding": (
        b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: brotli\r\n\r\n",
        400,
    ),
}


def _sent(caller: Caller, raw: bytes) -> Reply:
    wire = caller.wire()
    wire.send(raw)
    return wire.reply()


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_in_json(caller: Caller, raw: tuple[bytes, int]) -> None:
    reply = _sent(caller, raw[0])

    assert reply.status == raw[1]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-request-id"].startswith("req_")
    assert is_refusal(reply.json)
    assert CANARY not in reply.body.decode()
    assert not any(CANARY in line for line in caller.gateway.log)


def test_the_log_has_a_clean_line_of_each(caller: Caller) -> None:
    before = len(caller.gateway.log)
    _sent(caller, UNREADABLE["a header with an escape"][0])

    def found() -> list[str]:
        return [line for line in caller.gateway.log[before:] if "Invalid request" in line]

    for line in until(found, "the line"):
        assert KEY.decode() not in line
        assert "\x1b" not in line
        assert "gunicorn.error [-]" in line, "not in the gateway's own form"
