"""Waiting for many sockets on gevent's loop at the lowest cost found.

Belongs to `tasks`, which imports it only where gevent runs. Measured for each token that is passed
on: reading first and waiting on EWOULDBLOCK costs a system call and an exception, a timeout costs a
timer.
"""

from __future__ import annotations

import socket as standard
from collections.abc import Callable
from typing import Any, Final

from gevent import get_hub, getcurrent

from gateway.ollama.exchange import RECV_BYTES

LOOK_S: Final = 0.25
"""How often the one timer looks for waits whose time is over."""
_READ: Final = 1


class Waits:
    """All waits of this worker."""

    def __init__(self) -> None:
        self._hub = get_hub()
        self._open: set[Wait] = set()
        self._timer = self._hub.loop.timer(LOOK_S, repeat=LOOK_S, ref=False)
        self._timer.start(self._look)

    def of(self, sock: Any) -> Wait:
        """Return the wait of one socket."""
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
