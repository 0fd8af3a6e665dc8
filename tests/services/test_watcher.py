"""Clients who hang up are noticed while nothing is written to them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.calls.watcher import Watcher

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    yield client, accepted
    for sock in (client, accepted, server):
        sock.close()


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()


LEAVING: list[tuple[str, Callable[[socket.socket], None]]] = [
    ("closes", socket.socket.close),
    ("resets", _reset),
    ("closes its half", lambda client: client.shutdown(socket.SHUT_WR)),
    ("pipelines and closes", lambda client: (client.sendall(b"GET /"), client.close())),
]


@pytest.mark.parametrize("leave", [case[1] for case in LEAVING], ids=[case[0] for case in LEAVING])
def test_a_client_that_leaves_is_noticed_once(pair: Pair, leave) -> None:
    client, accepted = pair
    gone: list[str] = []
    watcher = Watcher(interval_s=3600)

    with watcher.watch(accepted, lambda: gone.append("gone")):
        watcher.look()
        assert gone == []
        leave(client)
        watcher.look()
        watcher.look()

    assert gone == ["gone"]


def test_a_watch_that_ended_tells_nothing(pair: Pair) -> None:
    client, accepted = pair
    gone: list[str] = []
    watcher = Watcher(interval_s=3600)

    with watcher.watch(accepted, lambda: gone.append("gone")):
        pass
    client.close()
    watcher.look()

    assert gone == []
    assert len(watcher) == 0


def test_a_callback_that_fails_does_not_stop_the_others(pair: Pair) -> None:
    client, accepted = pair
    watcher = Watcher(interval_s=3600)

    def fail() -> None:
        raise RuntimeError("boom")

    watcher.watch(accepted, fail)
    client.close()
    watcher.look()

    assert len(watcher) == 0


def test_no_socket_is_no_watch() -> None:
    watcher = Watcher(interval_s=3600)

    with watcher.watch(None, lambda: None):
        assert len(watcher) == 0


def test_idle_connections_are_ended_and_busy_ones_are_not(pair: Pair) -> None:
    client, accepted = pair
    watcher = Watcher(interval_s=3600)
    watcher.note(accepted)
    with watcher.watch(accepted, lambda: None):
        watcher.end_idle()
        accepted.setblocking(False)
        with pytest.raises(BlockingIOError):
            accepted.recv(1)

    watcher.end_idle()

    assert accepted.recv(1) == b""
    client.close()


def test_a_client_that_never_reads_is_told_and_its_connection_ended(pair: Pair) -> None:
    client, accepted = pair
    gone: list[str] = []
    stuck: list[bool] = []
    watcher = Watcher(interval_s=3600)

    with watcher.watch(accepted, lambda: gone.append("gone"), lambda: bool(stuck)):
        watcher.end_stuck()
        assert gone == []
        stuck.append(True)
        watcher.end_stuck()
        watcher.end_stuck()

    assert gone == ["gone"]
    assert client.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        accepted.sendall(b"more")
