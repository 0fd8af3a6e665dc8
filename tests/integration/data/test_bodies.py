"""Bodies: how they are packed, how large and deep they may be, what is no JSON."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
import zstandard

from fake_ollama import FakeOllama
from tests.integration.clients.things import RED_DOT, sent
from tests.integration.conftest import Caller, Operator
from tests.support.asking import ENDPOINTS, GENERATING, HELLO, is_refusal
from tests.support.wire import Reply

pytestmark = pytest.mark.process

CHAT = "/v1/chat/completions"
BODY = json.dumps(GENERATING["chat"].body).encode()


def _raw_deflate(raw: bytes) -> bytes:
    worker = zlib.compressobj(wbits=-15)
    return worker.compress(raw) + worker.flush()


PACKED = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", _raw_deflate),
    ("zstd", lambda raw: zstandard.ZstdCompressor().compress(raw)),
    ("identity", lambda raw: raw),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKED, ids=[f"{n}-{c[0]}" for n, c in
                                                            enumerate(PACKED)])  # fmt: skip
def test_a_packed_body_is_unpacked(
    caller: Caller, ollama: FakeOllama, encoding: str, pack: Any
) -> None:
    reply = caller.post(CHAT, pack(BODY), {"Content-Encoding": encoding})

    assert reply.status == 200
    assert sent(ollama)["messages"] == HELLO


TYPES = ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8",
         "multipart/form-data; boundary=x", "application/octet-stream", "nonsense"]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_a_body_is_json_whatever_it_is_called(caller: Caller, kind: str) -> None:
    assert caller.post(CHAT, BODY, {"Content-Type": kind}).status == 200


def test_a_chunked_body_is_put_together(caller: Caller, ollama: FakeOllama) -> None:
    pieces = [BODY[:10], BODY[10:11], BODY[11:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    wire = caller.wire()
    wire.send(
        f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {caller.key}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
        + chunks
    )

    assert wire.reply().status == 200
    assert sent(ollama)["messages"] == HELLO


def test_a_body_that_waits_for_leave_is_asked_for(caller: Caller) -> None:
    wire = caller.wire()
    wire.send(
        f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {caller.key}\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    )
    status, _ = wire.head()
    wire.send(BODY)

    assert status == 100
    assert wire.reply().status == 200


UNPACKABLE = [("br", 415, "unsupported_encoding"), ("gzip, gzip", 415, "unsupported_encoding"),
              ("gzip", 400, "invalid_json"), ("deflate", 400, "invalid_json"),
              ("zstd", 400, "invalid_json")]  # fmt: skip


@pytest.mark.parametrize(("encoding", "status", "code"), UNPACKABLE)
def test_what_cannot_be_unpacked_is_refused(
    caller: Caller, encoding: str, status: int, code: str
) -> None:
    reply = caller.post(CHAT, BODY, {"Content-Encoding": encoding})

    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize("cut", [1, 8])
def test_a_packed_body_that_ends_early_is_refused(caller: Caller, cut: int) -> None:
    reply = caller.post(CHAT, gzip.compress(BODY)[:-cut], {"Content-Encoding": "gzip"})

    assert (reply.status, reply.code) == (400, "invalid_json")


BOMB = [("gzip", gzip.compress), ("zstd", lambda raw: zstandard.ZstdCompressor().compress(raw))]


@pytest.mark.parametrize(("encoding", "pack"), BOMB, ids=[case[0] for case in BOMB])
def test_the_limit_counts_unpacked_bytes(
    caller: Caller, operator: Operator, encoding: str, pack: Any
) -> None:
    bomb = pack(b'{"model": "' + b"a" * (3 << 20) + b'"}')
    with operator.settings(max_body_mb=1):
        reply = caller.post(CHAT, bomb, {"Content-Encoding": encoding})

    assert len(bomb) < 100_000
    assert (reply.status, reply.code) == (413, "request_too_large")


def _too_large(caller: Caller, framing: str) -> Reply:
    wire = caller.wire()
    wire.send(
        f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {caller.key}\r\n"
        f"{framing}\r\n\r\n".encode()
    )
    if framing.startswith("Transfer"):
        piece = b'{"a": "' + b"x" * (3 << 20)
        wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    return wire.reply()


@pytest.mark.parametrize("framing", ["Content-Length: 1048577", "Transfer-Encoding: chunked"])
def test_a_body_over_the_limit_is_refused_before_it_has_come(
    caller: Caller, operator: Operator, framing: str
) -> None:
    with operator.settings(max_body_mb=1):
        reply = _too_large(caller, framing)

    assert (reply.status, reply.code) == (413, "request_too_large")
    assert reply.headers["connection"] == "close"


def test_a_body_of_a_megabyte_is_served(caller: Caller, ollama: FakeOllama) -> None:
    picture = base64.b64encode(base64.b64decode(RED_DOT) + b"\0" * (2 << 20)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
    body = {"model": "llava:7b", "messages": [{"role": "user", "content": [part]}]}

    assert caller.post(CHAT, body).status == 200
    assert sent(ollama)["messages"][0]["images"] == [picture]


NO_JSON = {
    "nothing": b"",
    "white space": b" \r\n ",
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "cut off": BODY[:-1],
    "two values": BODY + BODY,
    "single quotes": b"{'model': 'x'}",
    "a form": b"model=llama3.2&messages=Hello",
    "not a number": b'{"temperature": NaN}',
    "infinite": b'{"temperature": Infinity}',
    "half a character": b'{"model": "\xc3"}',
    "a lone surrogate": b'{"model": "\\ud800"}',
    "UTF-16": '{"model": "x"}'.encode("utf-16"),
    "too deep": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "deep": b'{"a":' * 200 + b"1" + b"}" * 200,
    "deep lists": b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
}


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("raw", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_object_is_refused(caller: Caller, name: str, raw: bytes) -> None:
    endpoint = ENDPOINTS[name]

    reply = caller.post(endpoint.path, raw)

    assert reply.status == 400
    assert is_refusal(reply.json, endpoint.vendor)
    if endpoint.vendor == "openai":
        assert reply.code in {"invalid_json", "invalid_type"}


def test_a_byte_order_mark_is_no_obstacle(caller: Caller) -> None:
    assert caller.post(CHAT, b"\xef\xbb\xbf" + BODY).status == 200


def test_the_last_of_two_equal_keys_counts(caller: Caller, ollama: FakeOllama) -> None:
    raw = BODY[:-1] + b', "model": "tinyllama"}'

    assert caller.post(CHAT, raw).status == 200
    assert sent(ollama)["model"] == "tinyllama:latest"


LARGE = [
    ("seed", 2**64),
    ("seed", 1e300),
    ("max_tokens", 10**30),
    ("temperature", 1e308),
    ("top_logprobs", 10**6),
    ("n", 10**9),
]


@pytest.mark.parametrize(("field", "value"), LARGE, ids=[f"{c[0]}-{c[1]:.0e}" for c in LARGE])
def test_numbers_beyond_measure_are_refused(
    caller: Caller, ollama: FakeOllama, field: str, value: Any
) -> None:
    reply = caller.post(CHAT, GENERATING["chat"].with_(**{field: value}))

    assert reply.status == 400
    assert reply.json["error"]["param"] == field
    assert ollama.calls("/api/chat") == []


def test_too_many_of_anything_is_refused(caller: Caller, operator: Operator) -> None:
    many: dict[str, Any] = {
        "messages": HELLO * 20,
        "tools": [{"type": "function", "function": {"name": f"f{number}"}} for number in range(20)],
    }
    with operator.settings(max_messages=10, max_tools=10):
        for field, value in many.items():
            reply = caller.post(CHAT, GENERATING["chat"].with_(**{field: value}))

            assert reply.status == 400
            assert reply.json["error"]["param"] == field


def test_the_body_is_never_passed_on_as_it_came(caller: Caller, ollama: FakeOllama) -> None:
    body = GENERATING["chat"].with_(
        api_base="http://127.0.0.1:9", base_url="http://127.0.0.1:9", stream=False,
        format=None, template="{{ .System }}", _debug_render_only=True, unknown={"a": 1},
    )  # fmt: skip

    assert caller.post(CHAT, body).status == 200
    assert set(sent(ollama)) <= {"model", "messages", "stream", "options", "truncate"}
