"""How answers leave through gevent's sockets: heads travel with what follows them."""

from __future__ import annotations

import socket as standard
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket
from gunicorn.config import Config

from gateway.runtime import waits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class Line:
    """A connection; `ours` is the end we write to."""

    def __init__(self) -> None:
        listener = standard.create_server(("127.0.0.1", 0))
        self.peer = standard.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        self.ours: Any = gevent_socket.socket(fileno=accepted.detach())
        self.peer.settimeout(5)

    def arrived(self) -> bytes:
        self.ours.shutdown(standard.SHUT_WR)
        return b"".join(iter(lambda: self.peer.recv(65_536), b""))

    def waiting(self) -> bytes:
        """Give what has arrived so far, without waiting."""
        self.peer.setblocking(False)
        try:
            return self.peer.recv(65_536)
        except BlockingIOError:
            return b""
        finally:
            self.peer.settimeout(5)

    def close(self) -> None:
        self.ours.close()
        self.peer.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_a_head_waits_for_its_body(line: Line) -> None:
    waits.expect_body(line.ours)
    line.ours.sendall(HEAD)

    assert line.waiting() == b""

    line.ours.sendall(b"ok")

    assert line.arrived() == HEAD + b"ok"


def test_only_the_next_head_waits(line: Line) -> None:
    waits.expect_body(line.ours)
    line.ours.sendall(HEAD)
    line.ours.sendall(b"ok")
    line.ours.sendall(HEAD)

    assert line.arrived() == HEAD + b"ok" + HEAD


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"data: one\n\n", id="a piece of a stream"),
        pytest.param(HEAD + b"ok", id="a head with its body"),
        pytest.param(b"\x00\x00\x12\x04\r\n\r\n", id="a frame of HTTP/2"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="half a head"),
    ],
)
def test_what_is_no_head_is_sent_at_once(line: Line, data: bytes) -> None:
    waits.expect_body(line.ours)
    line.ours.sendall(data)

    assert line.arrived() == data


def test_a_large_body_follows_its_head(line: Line) -> None:
    body = b"x" * (waits._JOIN_BELOW + 1)
    line.ours.setsockopt(standard.SOL_SOCKET, standard.SO_SNDBUF, 4 * len(body))
    line.peer.setsockopt(standard.SOL_SOCKET, standard.SO_RCVBUF, 4 * len(body))
    waits.expect_body(line.ours)
    line.ours.sendall(HEAD)
    line.ours.sendall(body)

    assert line.arrived() == HEAD + body


def test_a_head_that_is_never_followed_is_forgotten_with_its_socket(line: Line) -> None:
    waits.expect_body(line.ours)
    line.ours.sendall(HEAD)
    line.ours.close()
    line.ours = gevent_socket.socket()

    assert not waits._heads


def test_other_sockets_stay_as_they_are() -> None:
    with standard.socket() as sock:
        waits.expect_body(sock)

        assert type(sock) is standard.socket


@pytest.fixture
def reader(line: Line) -> Iterator[waits.Wait]:
    made = waits.Waits().of(line.ours)
    yield made
    made.close()


def test_a_read_gives_what_comes_and_then_the_end(line: Line, reader: waits.Wait) -> None:
    line.peer.sendall(b"one")
    assert reader.read(5) == b"one"

    line.peer.sendall(b"two")
    line.peer.shutdown(standard.SHUT_WR)
    found = b"".join(iter(lambda: reader.read(5), b""))

    assert found == b"two"


def test_a_read_ends_when_its_time_is_over(line: Line, reader: waits.Wait) -> None:
    assert reader.read(0.01) is None

    line.peer.sendall(b"late")

    assert reader.read(5) == b"late"


def test_what_comes_while_nobody_reads_waits(line: Line, reader: waits.Wait) -> None:
    line.peer.sendall(b"one")
    assert reader.read(5) == b"one"

    line.peer.sendall(b"two")
    for _ in range(3):
        gevent.sleep(0)  # the loop sees it and stops looking
    line.peer.sendall(b"three")

    found = b""
    while len(found) < len(b"twothree"):
        found += reader.read(5) or pytest.fail("nothing came")
    assert found == b"twothree"


def test_many_wait_side_by_side() -> None:
    lines = [Line() for _ in range(20)]
    all_waits = waits.Waits()
    readers = [all_waits.of(line.ours) for line in lines]
    running = [gevent.spawn(reader.read, 5) for reader in readers]
    gevent.sleep(0)
    for number, line in reversed(list(enumerate(lines))):
        line.peer.sendall(b"%d" % number)
    gevent.joinall(running, timeout=5)

    assert [greenlet.value for greenlet in running] == [b"%d" % n for n in range(20)]
    for reader, line in zip(readers, lines, strict=True):
        reader.close()
        line.close()


class _Request:
    """What gunicorn's answer looks at in a request."""

    method = "POST"
    version = (1, 1)

    def should_close(self) -> bool:
        return False


def _read_all(sock: standard.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65_536), b""))


def _streaming(line: Line) -> waits._Response:
    waits.quicken(line.ours)
    made = waits._Response(_Request(), line.ours, Config())
    made.start_response("200 OK", [("Content-Type", "text/event-stream")])
    return made


def test_a_stream_is_written_in_chunks(line: Line) -> None:
    streamed = _streaming(line)
    for piece in (b"data: one\n\n", b"", b"x" * 300):
        streamed.write(piece)
    streamed.close()

    head, _, body = line.arrived().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"B\r\ndata: one\n\n\r\n12C\r\n" + b"x" * 300 + b"\r\n0\r\n\r\n"


def test_a_stream_whose_reader_is_slow_arrives_whole(line: Line) -> None:
    pieces = [b"%d," % number + b"x" * 50_000 for number in range(200)]
    streamed = _streaming(line)

    def write() -> None:
        for piece in pieces:
            streamed.write(piece)
        line.ours.shutdown(standard.SHUT_WR)

    writing = gevent.spawn(write)
    reading = gevent.get_hub().threadpool.spawn(
        lambda: b"".join(iter(lambda: line.peer.recv(65_536), b""))
    )
    body = reading.get(timeout=20).partition(b"\r\n\r\n")[2]
    writing.get(timeout=5)

    assert body == b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_a_body_of_known_length_is_written_as_it_is(line: Line) -> None:
    waits.quicken(line.ours)
    whole = waits._Response(_Request(), line.ours, Config())
    whole.start_response("200 OK", [("Content-Length", "2")])
    whole.write(b"ok")
    whole.close()

    assert line.arrived().endswith(b"\r\n\r\nok")
