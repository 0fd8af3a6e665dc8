"""Faults as they look on the wire: those that must go unnoticed, and what no other test shows.

A fault that ends a call as a failure is seen where the gateway names it: `tests/ollama` and
`tests/integration/faults` would find a whole answer in its place.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fake_ollama import FAULTS, FakeOllama, Fault, Script, error
from tests.fake_ollama.talk import (
    TIMEOUT_S,
    USER,
    chat,
    chat_bytes,
    on,
    opened,
    read_to_end,
    read_until,
    send,
)

MODEL = "llama3.2"
WORDS = ["潮", " two", " three"]
RED_HERRING = b"HTTP/1.1 200 OK\r\n\r\nbob"


def scripted(ollama: FakeOllama, *faults: Fault | str) -> None:
    ollama.script(MODEL, Script(content=WORDS, fault=faults))


def raw(ollama: FakeOllama, end: bytes = b"") -> bytes:
    """Return what the server sends on one connection until these bytes, or until FIN."""
    with opened(ollama, chat_bytes(MODEL)) as sock:
        return read_until(sock, end) if end else read_to_end(sock)


def body(data: bytes) -> bytes:
    """Return a chunked body without its framing."""
    return b"".join(data.partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2])


def counts(line: bytes) -> list[object]:
    last = json.loads(line)
    return [last["prompt_eval_count"], last["eval_count"]]


def is_done(data: bytes) -> list[bool]:
    return [json.loads(line)["done"] for line in body(data).splitlines()]


END = b"\r\n0\r\n\r\n"
ODDITIES: dict[str, tuple[Fault, bytes, Callable[[bytes], bool]]] = {
    "head byte by byte": (
        Fault("drip_headers", interval_s=0.001),
        END,
        lambda data: data.startswith(b"HTTP/1.1 200 OK\r\n"),
    ),
    "garbage between lines": (
        Fault("garbage_line", after=1, data=b"\xff\x00<<<"),
        END,
        lambda data: body(data).split(b"\n")[1] == b"\xff\x00<<<",
    ),
    "byte by byte": (
        Fault("utf8_split"),
        END,
        lambda data: (
            set(data.partition(b"\r\n\r\n")[2].split(b"\r\n")[:-3:2]) == {b"1"}
            and "潮" in body(data).decode()
        ),
    ),
    "byte order mark": (
        Fault("bom"),
        END,
        lambda data: body(data).startswith(b'\xef\xbb\xbf{"model"'),
    ),
    "CRLF": (Fault("crlf"), END, lambda data: data.count(b"}\r\n\r\n") == 4),
    "empty lines": (Fault("empty_lines"), END, lambda data: b"\r\n3\r\n\n\r\n\r\n" in data),
    "counts of no number": (
        Fault("wrong_types"),
        END,
        lambda data: counts(body(data).splitlines()[-1]) == [-3, "seven"],
    ),
    "done twice": (Fault("done_twice"), END, lambda data: is_done(data)[-2:] == [True, True]),
    "lines after done": (
        Fault("lines_after_done"),
        END,
        lambda data: is_done(data)[-2:] == [True, False],
    ),
    "one packet": (
        Fault("one_packet"),
        END,
        lambda data: len(data.partition(b"\r\n\r\n")[2].split(b"\r\n")[:-3:2]) == 1,
    ),
    "a huge line": (
        Fault("huge_line", after=1, size=1_000_000),
        END,
        lambda data: max(map(len, body(data).splitlines(keepends=True))) == 1_000_000,
    ),
    "a flood": (
        Fault("flood", after=1, size=500),
        END,
        lambda data: body(data).count(b'" two"') == 500 and is_done(data)[-1],
    ),
    "a known length": (
        Fault("content_length"),
        b'"done":true',
        lambda data: b"Content-Length: " in data and b"chunked" not in data,
    ),
    "until close": (
        Fault("until_close"),
        b"",
        lambda data: b"chunked" not in data and b"Content-Length" not in data,
    ),
    "bytes behind the answer": (
        Fault("extra_bytes", data=RED_HERRING),
        b"bob",
        lambda data: data.endswith(b"0\r\n\r\n" + RED_HERRING),
    ),
    "closed without a word": (
        Fault("close_after_answer"),
        b"",
        lambda data: b"Connection: close" not in data and data.endswith(b"0\r\n\r\n"),
    ),
    "a cookie": (
        Fault("set_cookie"),
        END,
        lambda data: b"Set-Cookie: sess=alice; Path=/" in data,
    ),
    "packed unasked": (
        Fault("gzip"),
        b"0\r\n\r\n",
        lambda data: b"Content-Encoding: gzip" in data,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "end", "shows"), ODDITIES.values(), ids=ODDITIES)
def test_an_oddity_is_on_the_wire(
    ollama: FakeOllama, fault: Fault, end: bytes, shows: Callable[[bytes], bool]
) -> None:
    scripted(ollama, fault)

    assert shows(raw(ollama, end))


def test_a_packed_body_is_whole(ollama: FakeOllama) -> None:
    scripted(ollama, "gzip")
    packed = chat(ollama, MODEL).body
    scripted(ollama, Fault("gzip_bomb", size=20_000_000))
    bomb = chat(ollama, MODEL).body

    assert json.loads(gzip.decompress(packed).splitlines()[-1])["done"] is True
    assert len(bomb) < 30_000
    assert len(zlib.decompress(bomb, wbits=31)) == 20_000_000


def test_a_connection_can_be_reset_on_reuse(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="1", fault="close_on_reuse"), Script(content="2"))
    connection = http.client.HTTPConnection(ollama.host, ollama.port, timeout=TIMEOUT_S)
    first = on(connection, "POST", "/api/chat", {"model": MODEL, "messages": USER})

    with pytest.raises((ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        on(connection, "POST", "/api/chat", {"model": MODEL, "messages": USER})
    connection.close()

    assert first.content == "1"
    assert len(ollama.requests) == 1
    assert chat(ollama, MODEL).content == "2"


def test_a_whole_answer_has_the_faults_of_a_stream(ollama: FakeOllama) -> None:
    scripted(ollama, "zero_lines")
    nothing = chat(ollama, MODEL, stream=False).json
    scripted(ollama, Fault("error_line", after=1, message="it broke"))
    failed = chat(ollama, MODEL, stream=False)

    assert nothing == {
        "model": "",
        "created_at": "0001-01-01T00:00:00Z",
        "message": {"role": "", "content": ""},
        "done": False,
    }
    assert (failed.status, failed.error) == (500, "it broke")


def test_a_runner_that_died_is_loaded_again(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(fault="runner_died"), Script(content="Back."))
    chat(ollama, MODEL)
    dead = ollama.loaded()

    assert chat(ollama, MODEL).content == "Back."
    assert (dead, ollama.load_count(MODEL), ollama.reload_count(MODEL)) == ([], 2, 0)


def test_faults_combine(ollama: FakeOllama) -> None:
    scripted(ollama, "until_close", "nodone", "crlf")

    sent = raw(ollama).partition(b"\r\n\r\n")[2]

    assert sent.count(b"}\r\n") == 3
    assert b'"done":true' not in sent


def test_a_load_uses_up_no_script_but_fails_where_the_model_cannot_load(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="1", fault="reset_mid_line"), Script(content="2"))
    loaded = send(ollama, "POST", "/api/chat", {"model": MODEL}).json
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        chat(ollama, MODEL)
    scripted(ollama, error(500, "cudaMalloc failed: out of memory"))

    assert loaded["done_reason"] == "load"
    assert send(ollama, "POST", "/api/chat", {"model": MODEL}).status == 500


def test_a_dead_server_refuses_and_comes_back_on_its_port(ollama: FakeOllama) -> None:
    port = ollama.port
    with ollama.hold(MODEL, at=1) as gate, opened(ollama, chat_bytes(MODEL)) as sock:
        gate.wait_reached()
        ollama.stop()
        with pytest.raises(ConnectionResetError):
            read_to_end(sock)
    with pytest.raises(ConnectionRefusedError):
        send(ollama, "GET", "/api/version")
    ollama.start()

    assert ollama.port == port
    assert send(ollama, "GET", "/api/version").status == 200


def test_an_unknown_fault_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="unknown fault 'rest'; known: no_headers"):
        Fault("rest")


def test_every_fault_is_used_by_a_test() -> None:
    sources = [path.read_text() for path in Path(__file__).parents[1].rglob("*.py")]
    words = set(re.findall(r'"(\w+)"|\b(\w+)\(', "".join(sources)))

    assert set(FAULTS) <= {quoted or called for quoted, called in words}
