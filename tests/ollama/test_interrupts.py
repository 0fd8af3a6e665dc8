"""A task that calls Ollama can be interrupted wherever it waits, and leaves nothing open."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.ollama import http
from gateway.runtime import tasks
from gateway.runtime.tasks import Task
from tests.calls.leftovers import open_sockets, without_gc
from tests.calls.places import is_inside, place_of, until
from tests.ollama.certificates import tls_server
from tests.ollama.raw_server import RawServer, blocked_port, chunked, until_left
from tests.ollama.talk import ask, client_of
from tests.ollama.test_http import HELLO, WHOLE

LARGE = b"x" * (16 << 20)


def then_silent(data: bytes) -> Callable[[socket.socket], None]:
    """Return a reply that says something, and then nothing more."""

    def reply(sock: socket.socket) -> None:
        sock.sendall(data)
        until_left(sock)

    return reply


def refusing(sock: socket.socket) -> None:
    then_silent(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n{")(sock)


@contextmanager
def raw(certificate: Path, connection: Any) -> Iterator[str]:
    with RawServer(connection) as server:
        yield server.url


@contextmanager
def behind_tls(certificate: Path, connection: Any) -> Iterator[str]:
    with tls_server(certificate, connection) as server:
        yield server.url


@contextmanager
def no_tls(certificate: Path, connection: Any) -> Iterator[str]:
    with RawServer(connection) as server:
        yield server.url.replace("http://", "https://")


@contextmanager
def blocked(certificate: Path, connection: Any) -> Iterator[str]:
    with blocked_port() as url:
        yield url


Server = Callable[[Path, Any], AbstractContextManager[str]]
HALF = then_silent(chunked(HELLO, end=False))
PLACES: dict[str, tuple[Server, Any, str]] = {
    "connecting": (blocked, None, "connect"),
    "handshake": (no_tls, until_left, "connect"),
    "sending": (raw, None, "send"),
    "sending with TLS": (behind_tls, None, "send"),
    "head": (raw, [until_left], "head"),
    "head with TLS": (behind_tls, [until_left], "head"),
    "half a head": (raw, [then_silent(b"HTTP/1.1 200")], "head"),
    "refusal": (raw, [refusing], "body"),
    "body": (raw, [HALF], "body"),
    "body with TLS": (behind_tls, [HALF], "body"),
}


@pytest.mark.parametrize(("server", "connection", "place"), PLACES.values(), ids=PLACES)
def test_an_interrupt_ends_the_call_and_its_connection(
    certificate: Path, server: Server, connection: Any, place: str
) -> None:
    over = threading.Event()

    def not_reading(sock: socket.socket) -> None:
        over.wait(20)

    with (
        without_gc(),
        server(certificate, connection or not_reading) as url,
        client_of(url, connect_s=30.0, tls_verify=False) as client,
    ):
        before = open_sockets()
        data = LARGE if place == "send" else None
        task = tasks.spawn(lambda: ask(client, data, idle_s=None))
        until(lambda: place_of(task) == place, place)

        task.interrupt("enough")

        assert task.wait(10)
        over.set()
        with pytest.raises(tasks.Cancelled) as caught:
            task.result()
        assert caught.value is task.error  # kept, as whoever looks at the task does
        until(lambda: open_sockets() <= before, "the connection to be closed")
        assert client.adapter._idle == []


def test_an_interrupt_ends_the_wait_for_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def hanging(*_: object) -> Any:
        answer.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with client_of("http://ollama.test:11434", connect_s=30.0) as client:
        task = tasks.spawn(lambda: ask(client))
        until(lambda: is_inside(task, "find"), "the name to be asked for")

        task.interrupt("enough")

        assert task.wait(10)
        answer.set()


def test_an_interrupt_ends_the_wait_for_the_end_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "END_S", 30.0)
    unended = WHOLE.removesuffix(b"0\r\n\r\n")

    with RawServer([then_silent(unended)]) as raw, client_of(raw.url) as client:
        task = tasks.spawn(lambda: ask(client))
        until(lambda: is_inside(task, "read_end"), "the end of the body")

        task.interrupt("enough")

        assert task.wait(10)
        with pytest.raises(tasks.Cancelled):
            task.result()
        assert client.adapter._idle == []


def test_an_interrupted_call_on_a_used_connection_is_not_sent_again() -> None:
    started: list[Task[Any]] = []

    def interrupt(_: socket.socket) -> None:
        started[0].interrupt("enough")  # and the connection is closed at once

    with RawServer([WHOLE, interrupt], [WHOLE]) as raw, client_of(raw.url) as client:
        ask(client)
        started.append(tasks.spawn(lambda: ask(client)))

        assert started[0].wait(10)
        with pytest.raises(tasks.Cancelled):
            started[0].result()

    assert len(raw.requests) == 2
