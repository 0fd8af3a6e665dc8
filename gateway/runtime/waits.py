"""Waiting for many sockets on gevent's loop, and writing to them, at the lowest cost found.

Belongs to `offload`, which imports it only where gevent runs. Measured for each token that is
passed on: reading first and waiting on EWOULDBLOCK costs a system call and an exception, a timeout
costs a timer; `sendall` asks for the size of the send buffer before each write; a head sent apart
from its body costs a system call and wakes the peer twice.
"""

from __future__ import annotations

import socket as standard
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from gevent import get_hub, getcurrent
from gevent import socket as gevent_socket
from gunicorn.http import wsgi

from gateway.ollama.exchange import RECV_BYTES

LOOK_S: Final = 0.25
"""How often the one timer looks for waits whose time is over."""
_READ: Final = 1
_JOIN_BELOW: Final = 262_144
_HEAD: Final = b"HTTP/1."
_HEAD_END: Final = b"\r\n\r\n"
_heads: WeakKeyDictionary[_Quick, bytes] = WeakKeyDictionary()


class Waits:
    """All waits of this worker."""

    def __init__(self) -> None:
        self._hub = get_hub()
        self._open: set[Wait] = set()
        self._timer = self._hub.loop.timer(LOOK_S, repeat=LOOK_S, ref=False)
        self._timer.start(self._look)

    def of(self, sock: Any) -> Wait:
        """Return the wait of one socket, which becomes a quick one."""
        if type(sock) is gevent_socket.socket:
            sock.__class__ = _Quick
        wait = Wait(self._hub, sock, self._open.discard)
        self._open.add(wait)
        return wait

    def _look(self) -> None:
        now_s = self._hub.loop.now()
        for wait in [wait for wait in self._open if wait.until_s <= now_s]:
            if wait.greenlet is not None and wait.until_s <= now_s:
                wait.greenlet.switch(False)


class Wait:
    """Waits for one socket; one greenlet at a time.

    It lives as long as the connection. The watcher stays started between waits, so that a stream
    which keeps up touches neither the watcher nor the system's list. Whoever is slower than its
    server stops it, until it asks again.
    """

    __slots__ = (
        "_forget",
        "_is_on",
        "_loop",
        "_recv",
        "_switch",
        "_watcher",
        "greenlet",
        "until_s",
    )

    def __init__(self, hub: Any, sock: Any, forget: Callable[[Wait], None]) -> None:
        self._loop = hub.loop
        self._switch = hub.switch
        # Calls under way come before new ones: what is answered soon is still in the caches.
        self._watcher = hub.loop.io(sock.fileno(), _READ, True, hub.loop.MAXPRI)
        self._recv = sock._sock.recv  # the system's: there is something to read when it is called
        self._forget = forget
        self._is_on = False
        self.greenlet: Any = None
        self.until_s = 0.0

    def read(self, timeout_s: float) -> bytes | None:
        """Return what comes within `timeout_s`; None when nothing came, b"" at the end."""
        if not self._is_on:
            self._is_on = True
            self._watcher.start(self._ready)
        self.until_s = self._loop.now() + timeout_s
        while True:
            self.greenlet = getcurrent()
            try:
                is_ready = self._switch()
            finally:
                self.greenlet = None
            if not is_ready:
                return None
            try:
                data: bytes = self._recv(RECV_BYTES)
            except BlockingIOError:
                continue  # woken for nothing
            return data

    def _ready(self) -> None:
        """Called by the loop, again and again while there is something to read."""
        if self.greenlet is None:
            self._is_on = False
            self._watcher.stop()
        else:
            self.greenlet.switch(True)

    def is_quiet(self) -> bool:
        """Whether the peer is still there and has said nothing."""
        try:
            self._recv(1, standard.MSG_PEEK)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        return False

    def close(self) -> None:
        """Forget the socket."""
        self._watcher.close()
        self._forget(self)


class _Quick(gevent_socket.socket):  # type: ignore[misc]  # gevent ships no types
    """A socket that writes with one system call when the peer keeps up."""

    __slots__ = ()

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything."""
        try:
            sent = self._sock.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            gevent_socket.socket.sendall(self, memoryview(data)[sent:], flags)


class _Response(wsgi.Response):  # type: ignore[misc]  # gunicorn ships no types
    """An answer that writes a piece of a stream in one step; gunicorn takes five, for each token.

    What is not a piece of a chunked body for a quick socket goes gunicorn's way.
    """

    def write(self, arg: bytes) -> None:
        """Send a piece of the body."""
        sock, size = self.sock, len(arg)
        if not (size and self.chunked and self.headers_sent and type(sock) is _Quick):
            super().write(arg)
            return
        self.sent += size
        data = b"%X\r\n%b\r\n" % (size, arg)
        try:
            sent = sock._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            gevent_socket.socket.sendall(sock, memoryview(data)[sent:])


class _Expecting(_Quick):
    """A quick socket about to get the head of an answer that has a body."""

    __slots__ = ()

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Keep a head; send anything else."""
        if data.startswith(_HEAD) and data.endswith(_HEAD_END):
            _heads[self] = data
            self.__class__ = _Holding
        else:
            self.__class__ = _Quick
            self.sendall(data, flags)


class _Holding(_Quick):
    """A quick socket that keeps a head until the first piece of its body is there."""

    __slots__ = ()

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send the head and `data`, in one piece where that is cheap."""
        head = _heads.pop(self)
        self.__class__ = _Quick
        if len(data) < _JOIN_BELOW:
            self.sendall(head + data, flags)
        else:
            self.sendall(head, flags)
            self.sendall(data, flags)


def quicken_answers() -> None:
    """Let gunicorn of this process make answers that write streams quickly."""
    wsgi.Response = _Response


def quicken(sock: Any) -> None:
    """Make `sock` a quick one; TLS sockets stay as they are."""
    if type(sock) is gevent_socket.socket:
        sock.__class__ = _Quick
        sock.setsockopt(standard.IPPROTO_TCP, standard.TCP_NODELAY, 1)


def expect_body(sock: Any) -> None:
    """Let the next head written to a quick socket wait for its body: they leave as one packet.

    Only for answers whose body is certain to follow at once.
    """
    quicken(sock)
    if type(sock) is _Quick:
        sock.__class__ = _Expecting
