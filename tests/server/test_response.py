"""What a response puts on the wire, and in how many pieces."""

from __future__ import annotations

import socket as standard
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper

from gateway.server.response import _JOIN_BELOW_BYTES, Response


class Counted(gevent_socket.socket):
    """A socket that keeps what was handed to the system at a time, and takes at most `most`."""

    most: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sends: list[bytes] = []

    def send(self, data: Any, *args: Any, **kwargs: Any) -> int:
        sent: int = super().send(data[: self.most], *args, **kwargs)
        self.sends.append(bytes(data[:sent]))
        return sent


class Connection:
    """A connection; `ours` is the end a response writes to."""

    def __init__(self) -> None:
        with standard.create_server(("127.0.0.1", 0)) as listener:
            self.peer = standard.create_connection(listener.getsockname(), 20)
            accepted, _ = listener.accept()
        self.ours = Counted(fileno=accepted.detach())

    def response(
        self, headers: list[tuple[str, str]], status: str = "200 OK", **request: Any
    ) -> Response:
        made = Response(_Request(**request), self.ours, Config())
        made.start_response(status, headers)
        return made

    def arrived(self) -> tuple[bytes, bytes]:
        """Give head and body of what was sent."""
        self.ours.shutdown(standard.SHUT_WR)
        head, _, body = b"".join(iter(lambda: self.peer.recv(65_536), b"")).partition(b"\r\n\r\n")
        return head, body


class _Request:
    def __init__(self, method: str = "POST", version: tuple[int, int] = (1, 1)) -> None:
        self.method = method
        self.version = version

    def should_close(self) -> bool:
        return False


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    made.ours.close()
    made.peer.close()


LENGTH = [("Content-Length", "2")]
STREAM = [("Content-Type", "text/event-stream")]


def test_the_head_leaves_with_the_first_chunk_and_each_chunk_in_one_send(
    connection: Connection,
) -> None:
    response = connection.response(STREAM)
    response.write(b"")
    assert connection.ours.sends == []

    for piece in (b"data: one\n\n", b"", b"x" * 300):
        response.write(piece)
    response.close()

    first, *others = connection.ours.sends
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Transfer-Encoding: chunked\r\n" in first
    assert first.endswith(b"\r\n\r\nB\r\ndata: one\n\n\r\n")
    assert others == [b"12C\r\n" + b"x" * 300 + b"\r\n", b"0\r\n\r\n"]


def test_the_head_leaves_with_a_body_of_known_length(connection: Connection) -> None:
    response = connection.response(LENGTH)
    response.write(b"ok")
    response.close()

    (only,) = connection.ours.sends
    assert only.endswith(b"\r\n\r\nok")


def test_no_more_than_the_length_is_sent(connection: Connection) -> None:
    response = connection.response(LENGTH)
    response.write(b"o")
    response.write(b"kay")
    response.close()

    assert connection.arrived()[1] == b"ok"


def test_a_first_piece_longer_than_the_length_is_cut(connection: Connection) -> None:
    response = connection.response(LENGTH)
    response.write(b"okay")
    response.close()

    assert connection.arrived()[1] == b"ok"


def test_a_large_body_is_not_copied_behind_its_head(connection: Connection) -> None:
    body = b"x" * _JOIN_BELOW_BYTES
    connection.ours.setsockopt(standard.SOL_SOCKET, standard.SO_SNDBUF, 4 * len(body))
    connection.peer.setsockopt(standard.SOL_SOCKET, standard.SO_RCVBUF, 4 * len(body))
    response = connection.response([("Content-Length", str(len(body)))])
    response.write(body)
    response.close()

    assert connection.ours.sends[0].endswith(b"\r\n\r\n")
    assert connection.arrived()[1] == body


NO_BODY: dict[str, Any] = {
    "HEAD": ({"method": "HEAD"}, LENGTH, [b"ok"]),
    "204": ({"status": "204 No Content"}, [], []),
    "304": ({"status": "304 Not Modified"}, LENGTH, [b"ok"]),
    "an empty body": ({}, [("Content-Length", "0")], [b""]),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("kind", "headers", "pieces"), NO_BODY.values(), ids=NO_BODY)
def test_a_head_alone_is_sent(
    connection: Connection, kind: dict[str, Any], headers: Any, pieces: list[bytes]
) -> None:
    response = connection.response(headers, **kind)
    for piece in pieces:
        response.write(piece)
    response.close()
    head, body = connection.arrived()

    assert head.startswith(b"HTTP/1.1 ")
    assert body == b""


def test_an_empty_stream_has_a_head_and_an_end(connection: Connection) -> None:
    connection.response(STREAM).close()
    head, body = connection.arrived()

    assert b"Transfer-Encoding: chunked" in head
    assert body == b"0\r\n\r\n"


def test_a_file_follows_its_head(connection: Connection, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ok")
    with path.open("rb") as file:
        response = connection.response(LENGTH)
        response.write_file(FileWrapper(file))
        response.close()

    assert connection.arrived()[1] == b"ok"


def test_what_the_system_takes_in_parts_arrives_whole(connection: Connection) -> None:
    connection.ours.most = 7
    response = connection.response(STREAM)
    for piece in (b"the first piece", b"the second piece"):
        response.write(piece)
    response.close()

    assert connection.arrived()[1] == (
        b"F\r\nthe first piece\r\n10\r\nthe second piece\r\n0\r\n\r\n"
    )


def test_a_stream_whose_reader_is_slow_arrives_whole(connection: Connection) -> None:
    pieces = [b"%d," % number + b"x" * 50_000 for number in range(200)]
    response = connection.response(STREAM)

    def write() -> None:
        for piece in pieces:
            response.write(piece)
        connection.ours.shutdown(standard.SHUT_WR)

    writing = gevent.spawn(write)
    reading = gevent.spawn(lambda: b"".join(iter(lambda: connection.peer.recv(65_536), b"")))
    body = reading.get(timeout=20).partition(b"\r\n\r\n")[2]
    writing.get(timeout=5)

    assert body == b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_text_is_refused(connection: Connection) -> None:
    response = connection.response(STREAM)

    with pytest.raises(TypeError):
        response.write("text")  # type: ignore[arg-type]
