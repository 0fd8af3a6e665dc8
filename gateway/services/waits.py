"""Waiting for many sockets on gevent's loop, and writing to them, at the lowest cost found.

Belongs to `offload`, which imports it only where gevent runs. Measured for each token that is
passed on: reading first and waiting on EWOULDBLOCK costs a system call and an exception, a timeout
costs a timer; `sendall` asks for the size of the send buffer before each write; a head sent apart
from its body costs a system call and wakes the peer twice.
"""

from __future__ import annotations

import socket as standard
from typing import Any, Final
from weakref import WeakKeyDictionary

from gevent import get_hub, getcurrent
from gevent import socket as gevent_socket

LOOK_S: Final = 0.25
"""How often the one timer looks for waits whose time is over."""
_READ: Final = 1
_JOIN_BELOW: Final = 262_144
_HEAD: Final = b"HTTP/1."
_HEAD_END: Final = b"\r\n\r\n"
_heads: WeakKeyDictionary[_Quick, bytes] = WeakKeyDictionary()


class _Over(BaseException):
    """Thrown into a greenlet whose wait took too long; never leaves this module."""


class Waits:
    """All waits of this worker."""

    def __init__(self) -> None:
        self._hub = get_hub()
        self._waiting: dict[Wait, float] = {}
        self._timer = self._hub.loop.timer(LOOK_S, repeat=LOOK_S, ref=False)
        self._timer.start(self._look)

    def of(self, sock: Any) -> Wait:
        """Give the wait of one socket."""
        return Wait(self, self._hub, self._hub.loop.io(sock.fileno(), _READ))

    def begin(self, wait: Wait, timeout_s: float) -> None:
        """Note a wait and when it is over."""
        self._waiting[wait] = self._hub.loop.now() + timeout_s

    def end(self, wait: Wait) -> None:
        """Forget a wait."""
        self._waiting.pop(wait, None)

    def _look(self) -> None:
        now = self._hub.loop.now()
        for wait in [wait for wait, end in self._waiting.items() if end <= now]:
            if wait in self._waiting and wait.greenlet is not None:
                wait.greenlet.throw(_Over)


class Wait:
    """Waits for one socket; one greenlet at a time."""

    __slots__ = ("_hub", "_waits", "_watcher", "greenlet")

    def __init__(self, waits: Waits, hub: Any, watcher: Any) -> None:
        self._waits = waits
        self._hub = hub
        self._watcher = watcher
        self.greenlet: Any = None

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to read; False when `timeout_s` passed first."""
        self.greenlet = getcurrent()
        self._waits.begin(self, timeout_s)
        try:
            self._hub.wait(self._watcher)
        except _Over:
            return False
        finally:
            self._waits.end(self)
            self.greenlet = None
        return True

    def close(self) -> None:
        """Forget the socket."""
        self._watcher.close()


class _Quick(gevent_socket.socket):  # type: ignore[misc]  # gevent ships no types
    """A socket that writes with one system call when the peer keeps up."""

    __slots__ = ()

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything."""
        sent = self.send(data, flags)
        if sent < len(data):
            gevent_socket.socket.sendall(self, memoryview(data)[sent:], flags)


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
