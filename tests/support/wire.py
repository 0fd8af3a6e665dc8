"""HTTP as bytes on a socket: what the client libraries hide from a test."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.support.process import Gateway

TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Reply:
    """One HTTP answer; header names in lower case, the body without its framing."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The machine-readable word of a refusal; of Ollama's API its sentence."""
        error = self.json["error"]
        if isinstance(error, str):
            return error
        return str(error.get("code") or error["type"])


class Wire:
    """One connection to the gateway."""

    def __init__(self, gateway: Gateway, timeout_s: float = TIMEOUT_S) -> None:
        self.sock = socket.create_connection(("127.0.0.1", gateway.port), timeout_s)
        self._unread = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    def send(self, raw: bytes) -> None:
        self.sock.sendall(raw)

    def reset(self) -> None:
        """Leave with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def line(self) -> bytes:
        """Read one line with its end; b"" at the end of the connection."""
        while b"\n" not in self._unread:
            piece = self._receive()
            if not piece:
                line, self._unread = self._unread, b""
                return line
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line + b"\n"

    def exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            piece = self._receive()
            if not piece:
                raise AssertionError("the answer ended early")
            self._unread += piece
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def rest(self) -> bytes:
        """Read until the other side closes."""
        while piece := self._receive():
            self._unread += piece
        found, self._unread = self._unread, b""
        return found

    def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers of one answer."""
        status = self.line()
        assert status.startswith(b"HTTP/1."), status
        headers: dict[str, str] = {}
        while (line := self.line()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(status.split()[1]), headers

    def reply(self) -> Reply:
        """Read one whole answer."""
        status, headers = self.head()
        return Reply(status, headers, b"".join(self.body(headers)))

    def body(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Return the pieces of a body as they were framed."""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self.line().split(b";")[0], 16):
                yield self.exactly(size)
                self.exactly(2)
            self.exactly(2)
        elif "content-length" in headers:
            yield self.exactly(int(headers["content-length"]))
        elif headers.get("connection") == "close":
            yield self.rest()

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""


def post(
    path: str,
    body: Any,
    key: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
) -> bytes:
    """Write a request as bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "Host": "gateway",
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Content-Length": str(len(raw)),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + raw


def events(body: bytes) -> list[tuple[str, Any]]:
    """Return the events of a stream: name (may be empty) and data; comments are left out."""
    found = []
    for block in body.decode().split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            kind, _, value = line.partition(":")
            if kind == "event":
                name = value.strip()
            elif kind == "data":
                data.append(value.removeprefix(" "))
        if data:
            text = "\n".join(data)
            found.append((name, text if text == "[DONE]" else json.loads(text)))
    return found
