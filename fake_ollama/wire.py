"""HTTP/1.1 over a socket, written by hand so that every byte can also be written wrongly."""

from __future__ import annotations

import contextlib
import email.utils
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, TypeAlias
from urllib.parse import unquote

from fake_ollama.board import Headers, Waiter
from fake_ollama.refusals import ConnectionOver, Gone

Framing: TypeAlias = Literal["chunked", "length", "close"]

_MAX_HEAD = 256 * 1024
_RST = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    http10: bool

    @property
    def keeps_alive(self) -> bool:
        wish = str(self.headers.get("connection", "")).lower()
        return "keep-alive" in wish if self.http10 else "close" not in wish


@dataclass(slots=True)
class Dress:
    """How an answer travels; the plain values are what Ollama does."""

    framing: Framing | None = None
    drip_s: float = 0.0
    dribble: bool = False
    gzip: bool = False
    headers: list[tuple[str, str]] = field(default_factory=list)
    extra: bytes = b""
    close_after: bool = False
    close_on_reuse: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of a connection in the middle of an answer: ``data`` goes out, then RST or FIN.

    ``missing`` is how many bytes more than ``data`` were promised: by Content-Length, or by the
    chunk if ``in_chunk``.
    """

    data: bytes = b""
    missing: int = 0
    reset: bool = False
    in_chunk: bool = False


class Connection:
    """One client socket."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.before_close: Callable[[], None] = lambda: None
        self._buffer = bytearray()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self) -> Request | None:
        """Give the next request, or None when the client is done. Raises ConnectionOver."""
        head = self._read_until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, version = lines[0].split(" ")
            pairs = [(name.strip(), value.strip()) for name, value in map(_header, lines[1:])]
        except ValueError as exc:
            self.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")
            raise ConnectionOver from exc
        path, _, query = target.partition("?")
        headers = Headers(pairs)
        body = self._read_body(headers)
        return Request(method, unquote(path), query, headers, body, version == "HTTP/1.0")

    def send(self, data: bytes) -> None:
        """Send all of it. Raises Gone when nobody is there."""
        try:
            self.sock.sendall(data)
        except OSError as exc:
            raise Gone from exc

    def wait_readable(self) -> None:
        """Wait until the next request begins or the client hangs up."""
        if not self._buffer:
            with contextlib.suppress(OSError):
                self.sock.recv(1, socket.MSG_PEEK)

    def reset(self) -> None:
        """End with RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.before_close()
        self.sock.close()

    def close(self) -> None:
        """End with FIN. Unread bytes are taken first, as they would turn it into an RST."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while self.sock.recv(65_536, socket.MSG_DONTWAIT):
                pass
        self.before_close()
        self.sock.close()

    def wake(self, how: int) -> None:
        """Wake the thread blocked in reading (SHUT_RD) or writing (SHUT_RDWR); it ends with RST."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(how)

    def _read_until(self, mark: bytes) -> bytes | None:
        searched = 0
        while (found := self._buffer.find(mark, max(0, searched - len(mark)))) < 0:
            searched = len(self._buffer)
            if searched > _MAX_HEAD or not self._fill():
                return None
        taken = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return taken

    def _read_body(self, headers: Headers) -> bytes:
        if "100-continue" in str(headers.get("expect", "")).lower():
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in str(headers.get("transfer-encoding", "")).lower():
            return self._read_chunks()
        return self._read_exactly(int(headers.get("content-length", "0")))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = int((self._read_until(b"\r\n") or b"0").split(b";")[0], 16)
            if size == 0:
                self._read_until(b"\r\n")
                return bytes(body)
            body += self._read_exactly(size)
            self._read_exactly(2)

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise Gone
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> bool:
        try:
            data = self.sock.recv(262_144)
        except OSError:
            return False
        self._buffer += data
        return bool(data)


class Reply:
    """One answer on its way out. The head leaves together with the first bytes of the body."""

    def __init__(self, connection: Connection, request: Request, waiter: Waiter) -> None:
        self.connection = connection
        self.request = request
        self.waiter = waiter
        self.dress = Dress()
        self.begun = False
        self.keeps_alive = request.keeps_alive
        self._framing: Framing = "chunked"
        self._head = b""
        self._zip: zlib._Compress | None = None

    def send(
        self, status: int, content_type: str, body: bytes, framing: Framing = "length"
    ) -> None:
        """Send a whole answer."""
        if self.dress.gzip and body:
            body = zlib.compress(body, wbits=31)
        self.begin(status, content_type, len(body), framing, compressed=True)
        if body and self.request.method != "HEAD":
            self._put(body)
        self.end()

    def begin(
        self,
        status: int,
        content_type: str,
        length: int = 0,
        framing: Framing = "chunked",
        *,
        compressed: bool = False,
    ) -> None:
        """Prepare the head; nothing is sent before there is a body, or an end."""
        self._framing = self.dress.framing or framing
        if self.request.http10 and self._framing == "chunked":
            self._framing = "close"
        headers: list[tuple[str, str]] = []
        if content_type:
            headers.append(("Content-Type", content_type))
        headers += [*self.dress.headers, ("Date", email.utils.formatdate(usegmt=True))]
        if self.dress.gzip:
            headers.append(("Content-Encoding", "gzip"))
            self._zip = None if compressed else zlib.compressobj(wbits=31)
        if self._framing == "length" and status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(length)))
        elif self._framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        if self._framing == "close" or not self.keeps_alive:
            self.keeps_alive = False
            headers.append(("Connection", "close"))
        self._head = _head(status, headers)

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        if self._zip is not None:
            data = self._zip.compress(data) + self._zip.flush(zlib.Z_SYNC_FLUSH)
        pieces = [data[i : i + 1] for i in range(len(data))] if self.dress.dribble else [data]
        for piece in pieces:
            self._put(piece)

    def cut(self, cut: Cut) -> None:
        """End the connection in the middle. Always raises ConnectionOver."""
        data = cut.data
        if self._framing == "chunked" and cut.in_chunk:
            data = b"%x\r\n" % (len(data) + cut.missing) + data
        elif self._framing == "chunked" and data:
            data = b"%x\r\n" % len(data) + data + b"\r\n"
        self._raw(data)
        if cut.reset:
            self.connection.reset()
        else:
            self.connection.close()
        raise ConnectionOver

    def end(self) -> None:
        """Finish the body and leave the connection as the dress says."""
        if self._zip is not None:
            self._put(self._zip.flush())
        closing = b"0\r\n\r\n" if self._framing == "chunked" else b""
        self._raw(closing + self.dress.extra)
        if self.dress.close_after or not self.keeps_alive:
            self.connection.close()
            raise ConnectionOver

    def _put(self, data: bytes) -> None:
        if data and self._framing == "chunked":
            data = b"%x\r\n" % len(data) + data + b"\r\n"
        self._raw(data)

    def _raw(self, data: bytes) -> None:
        if data or self._head:
            self.waiter.check()
        head, self._head = self._head, b""
        if head and self.dress.drip_s:
            for i in range(len(head)):
                self.connection.send(head[i : i + 1])
                self.waiter.pause(self.dress.drip_s)
            head = b""
        self.begun = True
        if head or data:
            self.connection.send(head + data)


def _header(line: str) -> tuple[str, str]:
    name, value = line.split(":", 1)
    return name, value


def _head(status: int, headers: list[tuple[str, str]]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"status code {status}"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
