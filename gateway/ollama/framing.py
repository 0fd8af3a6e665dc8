"""Where an HTTP/1.1 answer begins and ends, as pure functions over bytes.

`Head` is the status line and the fields. A framing takes the bytes that follow and gives back the
payload in them:

    Chunked     sizes in hexadecimal, a zero chunk, trailers, an empty line
    Sized       Content-Length bytes
    UntilClose  everything up to the end of the connection

`finished` says that the body is complete; `extra` holds bytes beyond its end, which no honest peer
sends and which make the connection unfit for another use (request desynchronisation). What is read
here follows RFC 9112 strictly.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_HEAD: Final = 65_536
MAX_SIZE_LINE: Final = 1_024
MAX_TRAILERS: Final = 8_192

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([^\r\n]*))?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
_SHORT_SIZE: Final = 10
_NUMBER: Final = re.compile(r"\d{1,15}")


class Malformed(Exception):
    """The peer does not speak HTTP/1.1 as it should."""


class Truncated(Exception):
    """The connection ended inside a body."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and fields; names are lower case, repeated fields joined with a comma."""

    status: int
    reason: str
    fields: Mapping[str, str]
    keep_alive: bool


class Framing(ABC):
    """Takes the bytes of a body as they come."""

    finished = False
    extra = False

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Return the payload in `data`. Raises Malformed."""

    def eof(self) -> None:
        """Record that the connection ended. Raises Truncated unless that ends the body."""
        if not self.finished:
            raise Truncated("the connection ended inside a body")


def parse_head(data: bytes) -> Head:
    """Read a head without its final empty line. Raises Malformed."""
    first, _, rest = data.partition(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Malformed("not an HTTP/1.1 status line")
    fields: dict[str, str] = {}
    for line in rest.split(b"\r\n") if rest else ():
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed("a malformed header line")
        name = field[1].decode("ascii").lower()
        value = field[2].decode("latin-1").rstrip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    connection = fields.get("connection", "").lower()
    keep_alive = "close" not in connection if status[1] == b"1" else "keep-alive" in connection
    reason = (status[3] or b"").decode("latin-1")
    return Head(int(status[2]), reason, fields, keep_alive)


def framing_of(head: Head, method: str) -> Framing:
    """Return the framing of a body (RFC 9112, 6.3). Raises Malformed for an ambiguous head."""
    if method == "HEAD" or head.status in (204, 304):
        return Sized(0)
    coding = head.fields.get("transfer-encoding")
    length = head.fields.get("content-length")
    if coding is not None:
        if coding.strip().lower() != "chunked" or length is not None:
            raise Malformed("a transfer coding other than chunked alone")
        return Chunked()
    if length is None:
        return UntilClose()
    parts = {part.strip() for part in length.split(",")}
    if len(parts) != 1 or not _NUMBER.fullmatch(value := parts.pop()):
        raise Malformed("a Content-Length that is no number")
    return Sized(int(value))


class Sized(Framing):
    """A body of known length."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.finished = not length

    def feed(self, data: bytes) -> bytes:
        size = len(data)
        if size < self._left:
            self._left -= size
            return data
        self.extra |= size > self._left
        payload = data[: self._left]
        self._left = 0
        self.finished = True
        return payload


class UntilClose(Framing):
    """A body that ends with the connection."""

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> None:
        self.finished = True


class Chunked(Framing):
    """A body in chunks. Work is linear in the bytes fed, however they were cut."""

    def __init__(self) -> None:
        self._carry = b""
        self._left = 0
        self._state = "size"
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        if self._carry:
            data, self._carry = self._carry + data, b""
        position, end = 0, len(data)
        parts: list[bytes] = []
        while self._state == "size":  # nearly always: whole chunks, each of one token
            eol = data.find(b"\r\n", position, position + _SHORT_SIZE)
            digits = data[position:eol] if eol > 0 else b""
            if not _HEX.fullmatch(digits):
                break
            after = eol + 2 + int(digits, 16)
            if after == eol + 2 or data[after : after + 2] != b"\r\n":
                break
            parts.append(data[eol + 2 : after])
            position = after + 2
        while position < end and not self.finished:
            if self._state == "data":
                part = data[position : position + self._left]
                parts.append(part)
                position += len(part)
                self._left -= len(part)
                if not self._left:
                    self._state = "crlf"
            else:
                eol = data.find(b"\r\n", position)
                if eol < 0:
                    self._keep(data[position:])
                    break
                self._line(data[position:eol])
                position = eol + 2
        if self.finished and position < end:
            self.extra = True
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _keep(self, rest: bytes) -> None:
        """Hold a line whose end has not come yet."""
        if self._state == "crlf" and rest != b"\r":
            raise Malformed("a chunk longer than announced")
        if len(rest) > MAX_SIZE_LINE:
            raise Malformed("a chunk size line without an end")
        self._carry = rest

    def _line(self, line: bytes) -> None:
        match self._state:
            case "crlf":
                if line:
                    raise Malformed("a chunk longer than announced")
                self._state = "size"
            case "size":
                size = line.partition(b";")[0].rstrip(b" \t")
                if not _HEX.fullmatch(size) or len(line) > MAX_SIZE_LINE:
                    raise Malformed("a chunk size that is no number")
                self._left = int(size, 16)
                self._state = "data" if self._left else "trailers"
            case _:
                self._trailers += len(line) + 2
                if self._trailers > MAX_TRAILERS:
                    raise Malformed("trailers without an end")
                self.finished = not line


class LineSplitter:
    """Cuts a payload into lines, without empty ones. Linear, with a limit on their length."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, payload: bytes) -> list[bytes]:
        """Return the lines completed by `payload`. Raises OverflowError over the limit."""
        last = len(payload) - 1
        if not self._parts and 0 < last <= self._limit and payload.find(b"\n") == last:
            line = payload[:last]  # nearly always: one line, a token
            return [] if line.isspace() else [line]
        lines = payload.split(b"\n")
        tail = lines.pop()
        if lines and self._parts:
            if self._size + len(lines[0]) > self._limit:
                raise OverflowError
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        if tail:
            self._size += len(tail)
            if self._size > self._limit:
                raise OverflowError
            self._parts.append(tail)
        return [line for line in lines if line and not line.isspace()]

    def rest(self) -> bytes:
        """Return a last line that has no line feed; b"" when nothing is left."""
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return b"" if line.isspace() else line
