"""What is done to the connections of clients."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.server import sockets

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), 5) as peer,
    ):
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(5)
            yield accepted, peer


def test_a_connection_whose_reading_ended_can_still_be_written_to(pair: Pair) -> None:
    ours, peer = pair
    sockets.end_reading(ours)

    assert ours.recv(1) == b""
    ours.sendall(b"the last words")
    assert peer.recv(100) == b"the last words"


def test_small_pieces_leave_at_once(pair: Pair) -> None:
    sockets.send_at_once(pair[0])

    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(sockets._USER_TIMEOUT is None, reason="a constant of Linux")
def test_writing_is_bounded(pair: Pair) -> None:
    sockets.bound_writing(pair[0], 7)

    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


def test_writing_is_not_bounded_where_the_system_cannot(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    monkeypatch.setattr(sockets, "_USER_TIMEOUT", None)
    sockets.bound_writing(pair[0], 7)

    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == before


@pytest.mark.parametrize(
    "action",
    [
        sockets.end_reading,
        sockets.send_at_once,
        sockets.linger,
        lambda sock: sockets.bound_writing(sock, 1),
    ],
)
def test_a_connection_that_is_gone_does_no_harm(pair: Pair, action: object) -> None:
    pair[0].close()

    assert callable(action)
    action(pair[0])
