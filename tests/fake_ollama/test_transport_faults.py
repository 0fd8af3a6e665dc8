"""Faults of framing and connections, of paths, and of the whole server."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from pathlib import Path

import pytest

from fake_ollama import FAULTS, FakeOllama, Fault, Script, error
from tests.fake_ollama.fault_talk import MODEL, raw, scripted
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


def test_a_stream_can_be_framed_by_length_and_still_come_line_by_line(ollama: FakeOllama) -> None:
    scripted(ollama, "content_length")

    with ollama.hold(MODEL, at=1), opened(ollama, chat_bytes(MODEL)) as sock:
        head = read_until(sock, b'"One"},"done":false}\n')
        ollama.release()
        rest = read_until(sock, b'"done":true')

    assert b"Content-Length: " in head
    assert b"chunked" not in head
    assert b'" two"' in rest


def test_a_stream_can_be_framed_by_the_end_of_the_connection(ollama: FakeOllama) -> None:
    scripted(ollama, "until_close")

    head, _, body = raw(ollama).partition(b"\r\n\r\n")

    assert b"chunked" not in head
    assert b"Content-Length" not in head
    assert [json.loads(line)["done"] for line in body.splitlines()] == [False] * 3 + [True]


@pytest.mark.parametrize("stream", [True, False])
def test_a_body_can_be_gzipped_unasked(ollama: FakeOllama, stream: bool) -> None:
    scripted(ollama, "gzip")

    answer = chat(ollama, MODEL, stream=stream)

    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body).splitlines()[-1])["done"] is True


def test_a_gzip_bomb_is_small_outside(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("gzip_bomb", size=20_000_000))

    body = chat(ollama, MODEL).body

    assert len(body) < 30_000
    assert len(zlib.decompress(body, wbits=31)) == 20_000_000


def test_bytes_can_follow_the_answer_on_the_same_connection(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("extra_bytes", data=b"HTTP/1.1 200 OK\r\n\r\nbob"))

    with opened(ollama, chat_bytes(MODEL)) as sock:
        data = read_until(sock, b"bob")

    assert data.endswith(b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbob")


def test_a_connection_can_be_closed_after_the_answer_without_a_word(ollama: FakeOllama) -> None:
    scripted(ollama, "close_after_answer")

    data = raw(ollama)

    assert b"Connection: close" not in data
    assert data.endswith(b"0\r\n\r\n")


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


def test_the_slot_is_free_while_a_reset_on_reuse_is_pending(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="1", fault="close_on_reuse"), Script(content="2"))

    with opened(ollama, chat_bytes(MODEL)) as sock:
        read_until(sock, b"0\r\n\r\n")

        assert chat(ollama, MODEL).content == "2"


def test_cookies_can_be_set(ollama: FakeOllama) -> None:
    scripted(ollama, "set_cookie")

    assert chat(ollama, MODEL).headers["Set-Cookie"] == "sess=alice; Path=/"


def test_faults_combine(ollama: FakeOllama) -> None:
    scripted(ollama, "until_close", "nodone", "crlf")

    body = raw(ollama).partition(b"\r\n\r\n")[2]

    assert body.count(b"}\r\n") == 3
    assert b'"done":true' not in body


def test_a_path_can_be_scripted(ollama: FakeOllama) -> None:
    ollama.script("/api/tags", Script(fault="tags_empty"), Script(fault="tags_500"))

    assert send(ollama, "GET", "/api/tags").json == {"models": []}
    assert send(ollama, "GET", "/api/tags").status == 500
    assert send(ollama, "GET", "/api/version").status == 200


def test_a_fault_of_a_path_reaches_embeddings_and_pulls(ollama: FakeOllama) -> None:
    ollama.script("/api/embed", Script(fault="html_500"))
    ollama.script("/api/pull", Script(fault=Fault("error_line", after=1, message="disk full")))
    pulled = send(ollama, "POST", "/api/pull", {"model": "mistral:7b"})

    embedded = send(ollama, "POST", "/api/embed", {"model": "nomic-embed-text", "input": "a"})
    assert embedded.type == "text/html"
    assert pulled.lines == [{"status": "pulling manifest"}, {"error": "disk full"}]


def test_every_fault_is_exercised_here() -> None:
    sources = Path(__file__).parent.glob("test_*faults.py")
    source = "".join(path.read_text() for path in sources)

    assert [kind for kind in FAULTS if f'"{kind}"' not in source and f"{kind}(" not in source] == []


def test_a_model_that_cannot_load_fails_the_preload_too(ollama: FakeOllama) -> None:
    scripted(ollama, error(500, "cudaMalloc failed: out of memory"))

    assert send(ollama, "POST", "/api/chat", {"model": MODEL}).status == 500


def test_a_preload_uses_up_no_script_and_no_line_fault(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="1", fault="reset_mid_line"), Script(content="2"))
    loaded = send(ollama, "POST", "/api/chat", {"model": MODEL})

    assert loaded.json["done_reason"] == "load"
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        chat(ollama, MODEL)


def test_a_dead_server_refuses_and_comes_back_on_its_port(ollama: FakeOllama) -> None:
    port = ollama.port
    ollama.stop()
    with pytest.raises(ConnectionRefusedError):
        send(ollama, "GET", "/api/version")
    ollama.start()

    assert ollama.port == port
    assert send(ollama, "GET", "/api/version").status == 200


def test_a_dying_server_breaks_the_open_streams(ollama: FakeOllama) -> None:
    with ollama.hold(MODEL, at=1) as gate, opened(ollama, chat_bytes(MODEL)) as sock:
        gate.wait_reached()
        ollama.stop()

        with pytest.raises(ConnectionResetError):
            read_to_end(sock)


def test_a_frozen_server_accepts_and_says_nothing(ollama: FakeOllama) -> None:
    ollama.freeze()

    with socket.create_connection((ollama.host, ollama.port), TIMEOUT_S) as sock:
        sock.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(TIMEOUT_S)
        ollama.thaw()

        assert read_until(sock, b"0.33.0").startswith(b"HTTP/1.1 200")
