"""How many sockets are waited for on gevent's loop."""

from __future__ import annotations

import socket as standard
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket

from gateway.runtime import waits


class Line:
    """A connection; `ours` is the end we write to."""

    def __init__(self) -> None:
        listener = standard.create_server(("127.0.0.1", 0))
        self.peer = standard.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        self.ours: Any = gevent_socket.socket(fileno=accepted.detach())
        self.peer.settimeout(5)

    def close(self) -> None:
        self.ours.close()
        self.peer.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


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
