"""A server that says exactly the bytes it is told, one script a connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any


class RawServer:
    """Accepts connections one after the other; each answers its requests with its own replies.

    A reply is bytes, or a callable that gets the socket. After its last reply a connection is
    closed. A connection that is a callable itself gets the socket at once. `requests` holds what
    arrived.
    """

    def __init__(self, *connections: Any, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._connections = connections
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._open: list[socket.socket] = []
        self._closed = threading.Semaphore(0)

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def wait_closed(self, count: int) -> None:
        """Wait until so many connections have been closed from here."""
        for _ in range(count):
            assert self._closed.acquire(timeout=10)

    def _run(self) -> None:
        for replies in self._connections:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), sock:
                self._open.append(sock)
                if self._tls is None:
                    self._talk(sock, replies)
                else:
                    with self._tls.wrap_socket(sock, server_side=True) as wrapped:
                        self._talk(wrapped, replies)
            self._closed.release()

    def _talk(self, sock: socket.socket, replies: Any) -> None:
        if callable(replies):
            replies(sock)
            return
        for reply in replies:
            if not self._read_request(sock):
                return
            if callable(reply):
                reply(sock)
            else:
                sock.sendall(reply)

    def _read_request(self, sock: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                return False
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while len(rest) < length:
            rest += sock.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + rest)
        return True


def chunked(*payloads: bytes, end: bool = True, head: bytes = b"") -> bytes:
    """An answer in chunks."""
    parts = [b"HTTP/1.1 200 OK\r\n" + head + b"Transfer-Encoding: chunked\r\n\r\n"]
    parts += [b"%x\r\n%b\r\n" % (len(payload), payload) for payload in payloads]
    return b"".join(parts) + (b"0\r\n\r\n" if end else b"")


@contextlib.contextmanager
def blocked_port() -> Iterator[str]:
    """An address where connecting never ends: the queue of the listener is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


def until_left(sock: socket.socket) -> None:
    """Say nothing until the peer has gone."""
    with contextlib.suppress(OSError):
        while sock.recv(65_536):
            pass
