"""Requests' way to one Ollama server: urllib3's pool and TLS, our own writing and reading.

    requests.HTTPAdapter (OllamaAdapter) -> urllib3's pool -> Connection.request, .read_head
    requests.Response (NdjsonResponse)   -> Body -> socket

The head of an answer is read here rather than by `http.client`, because a head that drips in byte
by byte never meets a limit per read, and because the wait for it is most of a call: Ollama sends
nothing before its first record, and the caller may leave meanwhile.

An `Exchange` knows the limits and the cancel flag; the connection that serves it carries it. The
pool's `urlopen` is not used: its retries, redirects and decoding are switched off anyway, and going
through them costs as much as the call itself.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Generator
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from gateway.errors import ClientGone
from gateway.ollama import framing
from gateway.ollama.addresses import AddressBook
from gateway.ollama.exchange import Exchange, PlainReads, ReadWait, Stalled
from gateway.ollama.response import Body, NdjsonResponse

HEAD_S: Final = 10.0
"""From the first byte of a head to its last."""
_SLOW_HEAD: Final = "The Ollama server did not finish the head of its answer in time."
_JOIN_BELOW: Final = 262_144
_SOCKET_OPTIONS: Final = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]


class _OwnReading:
    """What both connection classes do differently from urllib3: one write, own reading, own
    connecting."""

    sock: socket.socket | None
    is_used = False
    addresses: AddressBook
    exchange: Exchange
    reader: ReadWait | None = None

    def connect_any(self, host: str, port: int) -> socket.socket:
        """Connect to one of the host's addresses within the connect limit. Raises OSError."""
        exchange = self.exchange
        end_s = time.monotonic() + exchange.left_s(exchange.connect_s)
        failure: OSError = socket.gaierror("the name has no address")
        for family, address in self.addresses.find(host, port, exchange.left_s(exchange.connect_s)):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("connect timed out")
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                for option in _SOCKET_OPTIONS:
                    sock.setsockopt(*option)
                sock.settimeout(left_s)
                exchange.attach(sock)
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            except ClientGone:
                sock.close()
                raise
            else:
                return sock
            if exchange.cancelled:
                raise ClientGone("the call was cancelled")
        raise failure

    def send_whole(self, method: str, url: str, body: bytes, fields: str) -> None:
        """Write head and body, in one piece where that is cheap. Raises OSError, Stalled."""
        sock = self.sock
        assert sock is not None
        exchange = self.exchange
        exchange.reused, self.is_used = self.is_used, True
        exchange.attach(sock)
        if self.reader is None:
            cheap = exchange.read_wait if not isinstance(sock, ssl.SSLSocket) else None
            self.reader = (cheap and cheap(sock)) or PlainReads(sock)
        sock.settimeout(exchange.left_s(exchange.idle_s))
        head = f"{method} {url} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        data = head.encode("latin-1")
        parts = (data + body,) if len(body) < _JOIN_BELOW else (data, body)
        try:
            for part in parts:
                sock.sendall(part)
        except TimeoutError:
            raise Stalled("The Ollama server did not take the request in time.") from None

    def read_head(self, method: str, tick_s: float) -> Generator[None, None, Body]:
        """Wait for the head of the answer: at most the idle limit for its first byte. Gives None
        after each `tick_s`, and before it waits where the exchange asks for that, and returns the
        answer.

        Raises Stalled, Malformed, ConnectionResetError, ClientGone.
        """
        sock, reader = self.sock, self.reader
        assert sock is not None
        assert reader is not None
        exchange = self.exchange
        if exchange.tells_sent:
            exchange.tells_sent = False
            yield
        data = bytearray()
        until_s = time.monotonic() + exchange.idle_s
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                head = framing.parse_head(bytes(data[:end]))
                del data[: end + 4]
                if head.status >= 200:
                    body = framing.framing_of(head, method)
                    return Body(exchange, sock, reader, head, body, bytes(data))
                continue  # 1xx: the real head follows
            if len(data) > framing.MAX_HEAD:
                raise framing.Malformed("a head without an end")
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise Stalled(_SLOW_HEAD) if exchange.received else exchange.silence()
            part = reader.read(exchange.left_s(min(left_s, tick_s)))
            if exchange.cancelled:
                raise ClientGone("the call was cancelled")
            if part is None:
                if left_s > tick_s:
                    yield
                continue
            if not part:
                raise ConnectionResetError("the connection ended before the answer")
            if not exchange.received:
                exchange.received = True
                until_s = time.monotonic() + HEAD_S
            data += part

    def connect(self) -> None:
        """Connect, and shake hands where that is due."""
        self.is_used = False
        super().connect()  # type: ignore[misc]  # of the connection it is mixed into

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **_: Any
    ) -> None:
        """Send a request."""
        if self.sock is None:
            self.connect()
        self.send_whole(method, url, body, headers)

    def close(self) -> None:
        """End the connection, and the watch on it before its descriptor can be used again."""
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.close()
        super().close()  # type: ignore[misc]  # of the connection it is mixed into


class Connection(_OwnReading, HTTPConnection):
    """A plain connection to Ollama."""

    def _new_conn(self) -> socket.socket:
        return _connected(self, self._dns_host)

    @property
    def is_connected(self) -> bool:
        """Whether the peer is still there and has not said anything unasked (U19)."""
        return self.sock is not None and (self.reader or PlainReads(self.sock)).is_quiet()


class TlsConnection(_OwnReading, HTTPSConnection):
    """A TLS connection to Ollama or a proxy in front of it."""

    def _new_conn(self) -> socket.socket:
        return _connected(self, self._dns_host)


def _connected(connection: Connection | TlsConnection, host: str) -> socket.socket:
    try:
        return connection.connect_any(host, connection.port or 0)
    except (OSError, Stalled) as error:
        raise NewConnectionError(connection, f"Failed to connect: {error}") from error


class PlainPool(HTTPConnectionPool):
    """Connections to one http server."""

    ConnectionCls = Connection


class TlsPool(HTTPSConnectionPool):
    """Connections to one https server. An admin who switches verification off is warned where he
    does it, not by urllib3 at each call."""

    ConnectionCls = TlsConnection


class OllamaAdapter(HTTPAdapter):
    """The adapter for one Ollama server: one pool, no proxies from the environment, no retries."""

    def __init__(
        self, pool_size: int, allows: Callable[[str], bool] = lambda address: True
    ) -> None:
        self._only_pool: Any = None
        self._written: tuple[Any, str] = (None, "")
        self._addresses = AddressBook(allows=allows)
        super().__init__(
            pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=False
        )

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make a manager whose pools hold our connections."""
        super().init_poolmanager(*args, **kwargs)
        addresses = self._addresses
        plain = type("_Plain", (Connection,), {"addresses": addresses})
        tls = type("_Tls", (TlsConnection,), {"addresses": addresses})
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("_PlainPool", (PlainPool,), {"ConnectionCls": plain}),
            "https": type("_TlsPool", (TlsPool,), {"ConnectionCls": tls}),
        }

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Refuse: a request without its limits could wait for ever."""
        raise RuntimeError("an OllamaAdapter is only used through exchange()")

    def _pool(self, prepared: requests.PreparedRequest, verify: bool | str) -> Any:
        """Return the one pool: there is one server, so there is nothing to look up."""
        if self._only_pool is None:
            pool = self.get_connection_with_tls_context(prepared, verify)
            self.cert_verify(pool, prepared.url or "", verify, None)  # type: ignore[no-untyped-call]  # requests'
            self._only_pool = pool
        return self._only_pool

    def _lines(self, fields: CaseInsensitiveDict[str]) -> str:
        """Return the fields as they are written; they are the same for every request of a
        client."""
        known, lines = self._written
        if known is not fields:
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            self._written = fields, lines
        return lines

    def exchange(
        self,
        exchange: Exchange,
        prepared: requests.PreparedRequest,
        verify: bool | str,
        tick_s: float,
    ) -> Generator[None, None, NdjsonResponse]:
        """Send a request and wait for the head of its answer. Gives None after each `tick_s` of
        that wait, and returns the answer. Raises what requests raises, and ClientGone, Stalled,
        Malformed, OSError."""
        try:
            pool = self._pool(prepared, verify)
            connection = pool._get_conn()
        except HTTPError as error:
            raise requests.ConnectionError(error, request=prepared) from error
        connection.exchange = exchange
        if exchange.want_fresh:
            connection.close()
        try:
            fields = self._lines(prepared.headers)
            connection.request(prepared.method, prepared.path_url, prepared.body, fields)
            body = yield from connection.read_head(prepared.method, tick_s)
        except BaseException as error:
            connection.close()
            pool._put_conn(connection)
            if isinstance(error, ssl.SSLError):
                raise requests.exceptions.SSLError(error, request=prepared) from error
            if isinstance(error, HTTPError):
                raise requests.ConnectionError(error, request=prepared) from error
            raise
        body.lend(pool, connection)
        return NdjsonResponse(body, prepared)

    def close(self) -> None:
        """End all idle connections; those in use end when they are given back."""
        pool, self._only_pool = self._only_pool, None
        super().close()
        if pool is not None:  # urllib3 would leave that to the garbage collector
            pool.close()
