"""The way to one server: a transport adapter for requests, with connections of its own.

    Client  ->  DirectAdapter.send  ->  Connection  ->  socket
            <-  requests.Response whose `raw` is a Body

requests documents adapters as the place to bring one's own transport. This one exists because
`http.client` buffers what it reads, so that a token waits for the next one where the body is not
chunked, and because a fifth of what a token costs is saved by reading the socket directly.

Rules:

* A socket belongs to its `Connection` before it can block: whatever is raised while it connects,
  shakes hands, sends or reads, the connection is closed and nothing else is left open.
* A connection goes back to the pool when its body was read to the end and nothing followed it.
  Nothing is read in `close`: it never waits.
* An idle connection may be closed by the server in the moment it is chosen. Then the request is
  sent once more on a new one, if not a byte was answered (U16): nothing was computed for it.
* No proxy, netrc, cookie or redirect: an answer comes from the server that was asked, or it is an
  error.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
import requests
from requests.adapters import BaseAdapter

from gateway.ollama import framing
from gateway.ollama.addresses import AddressBook
from gateway.ollama.framing import Framing, Head
from gateway.ollama.time_limits import Stalled, Timeouts, is_limit, not_begun, stopped

RECV_BYTES: Final = 65_536
HEAD_S: Final = 10.0
"""From the first byte of a head to its last."""
END_S: Final = 0.05
"""How long the end of a body may take after the last record, for the connection to be reused."""
_SLOW_HEAD: Final = "The Ollama server did not finish the head of its answer in time."
_JOIN_BELOW: Final = 262_144
_SOCKET_OPTIONS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
)
_STALE: Final = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


FOREIGN: Final = (OSError, Stalled, framing.Malformed, framing.Truncated, OverflowError)
"""What sending a request and reading its answer may raise."""


class Connection:
    """One connection to the server."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = None

    def connect(
        self,
        host: str,
        port: int,
        addresses: AddressBook,
        tls: ssl.SSLContext | None,
        limit_s: float,
    ) -> None:
        """Connect to one of the host's addresses. Raises OSError."""
        end_s = time.monotonic() + limit_s
        failure: OSError = socket.gaierror("the name has no address")
        for family, address in addresses.find(host, port, limit_s):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("connect timed out")
            self.sock = sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                for option in _SOCKET_OPTIONS:
                    sock.setsockopt(*option)
                sock.settimeout(left_s)
                sock.connect(address)
                if tls is not None:
                    self.sock = shaking = tls.wrap_socket(
                        sock, server_hostname=host, do_handshake_on_connect=False
                    )
                    shaking.do_handshake()
                return
            except BaseException as error:
                self.close()
                if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
                    raise
                failure = error
        raise failure

    def send(self, head: bytes, body: bytes, limit_s: float | None) -> None:
        """Send a request, in one piece where that is cheap. Raises OSError, Stalled."""
        sock = self.sock
        assert sock is not None
        sock.settimeout(limit_s)
        try:
            for part in (head + body,) if len(body) < _JOIN_BELOW else (head, body):
                sock.sendall(part)
        except TimeoutError:
            raise Stalled("The Ollama server did not take the request in time.") from None

    def receive_head(self, method: str, limit_s: float | None) -> Body:
        """Wait for the head of the answer. Raises OSError, Stalled, Malformed."""
        sock = self.sock
        assert sock is not None
        sock.settimeout(limit_s)
        data = b""
        end_s = 0.0
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                head = framing.parse_head(data[:end])
                data = data[end + 4 :]
                if head.status >= 200:
                    sock.settimeout(limit_s)
                    return Body(sock, head, framing.framing_of(head, method), data)
                continue  # 1xx: the real head follows
            if len(data) > framing.MAX_HEAD:
                raise framing.Malformed("a head without an end")
            if data:
                end_s = end_s or time.monotonic() + HEAD_S
                sock.settimeout(max(end_s - time.monotonic(), 0.001))
            try:
                part = sock.recv(RECV_BYTES)
            except OSError as error:
                if is_limit(error):
                    raise Stalled(_SLOW_HEAD if data else not_begun(limit_s or 0)) from None
                if data:  # it began to answer: a repeat could cost a second answer
                    raise framing.Truncated("the connection broke inside the head") from error
                if isinstance(error, TimeoutError):
                    raise ConnectionError("the server is gone") from error
                raise
            if not part:
                if data:
                    raise framing.Truncated("the connection ended inside the head")
                raise ConnectionResetError("the connection ended before the answer")
            data += part

    def is_quiet(self) -> bool:
        """Whether the peer is still there and has said nothing unasked (U19). Never waits."""
        sock = self.sock
        if sock is None:
            return False
        is_tls = isinstance(sock, ssl.SSLSocket)  # it cannot be peeked at; what is under it can
        plain = socket.socket(fileno=os.dup(sock.fileno())) if is_tls else sock
        try:
            plain.settimeout(0)
            plain.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        finally:
            if is_tls:
                plain.close()
        return False

    def close(self) -> None:
        """End the connection. Idempotent, never waits."""
        sock, self.sock = self.sock, None
        if sock is not None:
            with suppress(OSError):
                sock.close()


class Body:
    """The body of one answer, as it comes; what requests calls the raw response.

    `give_back` is called once with whether the connection may serve another request.
    """

    def __init__(self, sock: socket.socket, head: Head, body: Framing, early: bytes) -> None:
        self.head = head
        self.framing = body
        self.give_back: Callable[[bool], None] = lambda reusable: None
        self._sock = sock
        self._early = early
        if body.finished and early:
            body.extra = True

    def read(self) -> bytes:
        """Return the next piece, b"" at the end. Raises OSError, Malformed, Truncated."""
        body = self.framing
        while not body.finished:
            data, self._early = self._early or self._sock.recv(RECV_BYTES), b""
            if not data:
                body.eof()
                return b""
            payload = body.feed(data)
            if payload:
                return payload
        return b""

    def read_all(self, limit_bytes: int, limit_s: float | None) -> bytes:
        """Return the whole body. Raises OverflowError over `limit_bytes`, Stalled after `limit_s`,
        OSError, Malformed, Truncated."""
        parts: list[bytes] = []
        size = 0
        end_s = None if limit_s is None else time.monotonic() + limit_s
        while True:
            if end_s is not None:
                self._sock.settimeout(max(end_s - time.monotonic(), 0.001))
            try:
                payload = self.read()
            except TimeoutError as error:
                if not is_limit(error):
                    raise
                raise Stalled(stopped(limit_s or 0)) from None
            if not payload:
                return b"".join(parts)
            if end_s is not None and time.monotonic() > end_s:
                raise Stalled(stopped(limit_s or 0))
            size += len(payload)
            if size > limit_bytes:
                raise OverflowError
            parts.append(payload)

    def read_end(self) -> None:
        """Wait shortly for the end of a body whose last record has been read, so that the
        connection can be used again."""
        if not self.framing.finished:
            self._sock.settimeout(END_S)
            with suppress(OSError, framing.Malformed, framing.Truncated):
                if self.read():
                    self.framing.extra = True

    def close(self) -> None:
        """Close the connection or return it to the pool. Idempotent, never waits."""
        give_back, self.give_back = self.give_back, lambda reusable: None
        body = self.framing
        give_back(body.finished and not body.extra and self.head.keep_alive)


class DirectAdapter(BaseAdapter):
    """The transport to one server. Safe for use by many greenlets.

    `verify` is a CA file, or whether certificates are verified. `addresses` says which addresses
    the host has and which of them may be used.
    """

    def __init__(
        self,
        url: str,
        *,
        verify: bool | str = True,
        pool_size: int = 64,
        addresses: AddressBook | None = None,
    ) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._verify = verify
        self._pool_size = pool_size
        self._addresses = addresses or AddressBook()
        self._idle: list[Connection] = []
        self._tls: ssl.SSLContext | None = None
        self._is_closed = False
        weakref.finalize(self, _close_all, self._idle)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request and wait for the head of the answer. `timeout` is a `Timeouts`.

        Raises OSError, Stalled, Malformed, Truncated.
        """
        limits: Timeouts = timeout
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._exchange(connection, request, limits)
            except _STALE:
                pass  # it was closed while it was idle
        connection = Connection()
        context = self._context() if self._is_tls else None
        connection.connect(self._host, self._port, self._addresses, context, limits.connect_s)
        return self._exchange(connection, request, limits)

    def close(self) -> None:
        """End all idle connections; those in use end with their answers."""
        self._is_closed = True
        _close_all(self._idle)

    def _exchange(
        self, connection: Connection, request: requests.PreparedRequest, limits: Timeouts
    ) -> requests.Response:
        body = request.body
        assert isinstance(body, bytes)
        method = request.method or ""
        size = "" if method == "GET" else f"Content-Length: {len(body)}\r\n"
        fields = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
        head = f"{method} {request.path_url} HTTP/1.1\r\n{fields}{size}\r\n"
        try:
            connection.send(head.encode("latin-1"), body, limits.send_s)
            raw = connection.receive_head(method, limits.read_s)
        except BaseException:
            connection.close()
            raise
        raw.give_back = lambda reusable: self._give_back(connection, reusable)
        response = requests.Response()
        response.status_code = raw.head.status
        response.headers = raw.head.fields  # type: ignore[assignment]  # names are lower case
        response.reason = raw.head.reason
        response.raw = raw
        response.url = request.url or ""
        response.request = request
        return response

    def _take_idle(self) -> Connection | None:
        """Return the connection used last, if one is there and still open."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection, reusable: bool) -> None:
        if reusable and not self._is_closed and len(self._idle) < self._pool_size:
            self._idle.append(connection)
        else:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        """Return how TLS is done. Raises OSError for a CA file that cannot be used."""
        if self._tls is None:
            authorities = self._verify if isinstance(self._verify, str) else certifi.where()
            context = ssl.create_default_context(cafile=authorities)
            if not self._verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._tls = context
        return self._tls


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()
