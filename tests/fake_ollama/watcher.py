"""Notices clients that hang up while the fake has nothing to say to them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable


class Watcher:
    """One thread that looks at every socket whose request is being answered.

    A socket that becomes readable is either closed, which is reported once, or holds an early next
    request, which ends the watch: the client is alive and the bytes belong to the connection's own
    thread.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._lock = threading.Lock()
        self._closing = False
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="fake-ollama-watcher", daemon=True)
        self._thread.start()

    def watch(self, sock: socket.socket, on_gone: Callable[[], None]) -> None:
        with self._lock, contextlib.suppress(KeyError, ValueError, OSError):
            self._selector.register(sock, selectors.EVENT_READ, on_gone)

    def unwatch(self, sock: socket.socket) -> None:
        with self._lock, contextlib.suppress(KeyError, ValueError, OSError):
            self._selector.unregister(sock)

    def close(self) -> None:
        self._closing = True
        self._wake.send(b"x")
        self._thread.join(5)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is not None and isinstance(key.fileobj, socket.socket):
                    self._look(key.fileobj, key.data)

    def _look(self, sock: socket.socket, on_gone: Callable[[], None]) -> None:
        with self._lock:
            try:
                self._selector.unregister(sock)
            except (KeyError, ValueError):
                return
            try:
                gone = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
        if gone:
            on_gone()
