"""Notices clients that hang up while the fake has nothing to say to them."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

LOOK_S = 0.01


class Watcher:
    """One thread that looks at every socket whose request is being answered.

    A socket that becomes readable is either closed, which is reported once, or holds an early next
    request, which ends the watch: the client is alive and the bytes belong to the connection's own
    thread.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, tuple[socket.socket, Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-ollama-watcher", daemon=True)
        self._thread.start()

    def watch(self, sock: socket.socket, on_gone: Callable[[], None]) -> None:
        with self._lock:
            fd = sock.fileno()
            if fd >= 0:
                self._watched[fd] = (sock, on_gone)
                self._poll.register(fd, select.POLLIN)

    def unwatch(self, sock: socket.socket) -> None:
        with self._lock:
            self._forget(sock.fileno())

    def close(self) -> None:
        self._closing.set()
        self._thread.join(5)

    def _forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            with contextlib.suppress(KeyError, OSError):
                self._poll.unregister(fd)

    def _run(self) -> None:
        while not self._closing.wait(LOOK_S):
            with self._lock:
                found = [
                    (fd, *self._watched[fd]) for fd, _ in self._poll.poll(0) if fd in self._watched
                ]
            for fd, sock, on_gone in found:
                self._look(fd, sock, on_gone)

    def _look(self, fd: int, sock: socket.socket, on_gone: Callable[[], None]) -> None:
        with self._lock:
            if self._watched.get(fd, (None,))[0] is not sock:
                return
            self._forget(fd)
            try:
                gone = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
        if gone:
            on_gone()
