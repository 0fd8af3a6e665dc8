"""The answer of Ollama as requests' Response: its body read straight from the socket.

`http.client`'s buffered reader is unusable after a timeout, so waiting in small steps is impossible
with it; requests' own `iter_lines` is quadratic in the length of a line and holds tokens back when
the body is not chunked. So the bytes are taken from the socket as they come, and cut by us.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any, Final

import requests
from requests.cookies import RequestsCookieJar

from gateway.ollama.exchange import RECV_BYTES, Exchange, ReadWait
from gateway.ollama.framing import Framing, Head, LineSplitter, Malformed

MAX_LINE: Final = 8 << 20
"""The cap of Ollama's own client (`api/client.go` maxBufferSize)."""
_YIELD_EVERY: Final = 262_144
_GOES_ON: Final = b'"done":false}\n\r\n'
"""How a record of Ollama's ends that is not the last, with its line and its chunk."""
_SHORT_SIZE: Final = 10


class Body:
    """The answer's head, and its body as it comes. What requests calls the raw response.

    `read` takes bytes from the socket past the framing; `early` are bytes and `broken` is a failure
    that `receive` gives first, because they were met before.
    """

    __slots__ = (
        "_connection",
        "_pool",
        "_sock",
        "broken",
        "early",
        "exchange",
        "framing",
        "head",
        "headers",
        "read",
        "reason",
        "status",
    )

    def __init__(
        self,
        exchange: Exchange,
        sock: socket.socket,
        reader: ReadWait,
        head: Head,
        body: Framing,
        early: bytes,
    ) -> None:
        self.exchange = exchange
        self.head = head
        self.framing = body
        self.status = head.status
        self.reason = head.reason
        self.headers = head.fields
        self.early = early
        self.broken: OSError | None = None
        self._sock = sock
        self._connection: Any = None
        self._pool: Any = None
        self.read = reader.read
        if body.finished and early:
            body.extra = True

    def lend(self, pool: Any, connection: Any) -> None:
        """Take the connection the body comes from, to give it back to its pool at the end."""
        self._pool, self._connection = pool, connection

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the next bytes of the payload; None after `timeout_s` of silence.

        b"" means that bytes came which carry no payload, or that the body has ended: see
        `framing.finished`. Raises OSError, Malformed, Truncated.
        """
        if self.early:
            data, self.early = self.early, b""
        elif self.broken is not None:
            raise self.broken
        else:
            taken = self.read(timeout_s)
            if taken is None:
                return None
            data = taken
            if not data:
                self.framing.eof()
                return b""
        return self.framing.feed(data)

    def receive_now(self) -> None:
        """Take what has already arrived, to find the end of the body without waiting."""
        if not self.framing.finished:
            self._sock.settimeout(0)
            try:
                self.framing.feed(self._sock.recv(RECV_BYTES))
            except (OSError, Malformed):
                return

    def close(self) -> None:
        """Give the connection back if another call may use it, else end it. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        exchange, body = self.exchange, self.framing
        exchange.detach()
        if not self.head.keep_alive or not body.finished or body.extra or exchange.cancelled:
            connection.close()
        self._pool._put_conn(connection)


class NdjsonResponse(requests.Response):
    """requests' Response, reading lines as they arrive: linear, capped, one batch a packet.

    What requests would make for each response and nobody here asks for, a cookie jar above all, is
    not made. The names of `headers` are lower case.
    """

    raw: Body
    cookies = RequestsCookieJar()

    def __init__(self, body: Body, request: requests.PreparedRequest) -> None:
        self.status_code = body.status
        self.headers = body.headers  # type: ignore[assignment]  # nobody asks in another case
        self.reason = body.reason
        self.raw = body
        self.url = request.url or ""
        self.request = request
        self.history = []
        self.encoding = None
        self._content = None
        self._content_consumed = False
        self._flood = 0
        self._packet = b""
        self._quick_s = 0.0
        self._is_quiet = False

    def iter_batches(self, tick_s: float) -> Iterator[list[bytes]]:
        """Yield the lines that arrived together, again and again; [] after each `tick_s` of
        silence.

        Silence is the absence of whole lines. Raises Stalled at a time limit, OverflowError for a
        line over 8 MiB, OSError, Malformed, Truncated.
        """
        body, exchange = self.raw, self.raw.exchange
        receive, framed = body.receive, body.framing
        cut = LineSplitter(MAX_LINE)
        while not framed.finished:
            first_s = min(tick_s, exchange.idle_s)
            wait_s = first_s if exchange.deadline_s is None else exchange.left_s(first_s)
            payload = None if self._is_quiet else receive(wait_s)
            self._is_quiet = False
            lines = cut.feed(payload) if payload else None
            if lines:
                self._quick_s = first_s if self._is_smooth(cut) else 0.0
                yield lines
                self._quick_s = 0.0
            else:
                yield from self._patiently(cut, tick_s, wait_s if payload is None else 0.0)
            self._flood += len(payload) if payload else 0
            if self._flood >= _YIELD_EVERY:  # a peer that never pauses must not starve other calls
                self._flood = 0
                time.sleep(0)
        rest = cut.rest()
        if rest:
            yield [rest]

    def next_line(self) -> bytes | None:
        """Return the next line where it is a record in a chunk and a packet of its own, and not the
        last one; only between two batches of `iter_batches`.

        None leaves what came, what failed, or that nothing came, to `iter_batches`. Nearly all
        tokens of a model come this way: everything is looked at once.
        """
        body, quick_s = self.raw, self._quick_s
        exchange = body.exchange
        deadline_s = exchange.deadline_s
        if not quick_s or body.early or self._flood >= _YIELD_EVERY:
            return None
        if deadline_s is not None and deadline_s - time.monotonic() < quick_s:
            return None
        try:
            data = body.read(quick_s)
        except OSError as error:
            body.broken = error
            return None
        if not data:
            self._is_quiet = data is None
            return None
        size = len(data)
        self._flood += size
        at = data.find(b"\r\n", 1, _SHORT_SIZE) + 2
        if (
            data.endswith(_GOES_ON)
            and data[:at] == b"%x\r\n" % (size - at - 2)
            and data.find(b"\n", at) == size - 3
            and not exchange.cancelled
        ):
            self._packet = data
            return data[at : size - 3]
        body.early = data
        return None

    def _is_smooth(self, cut: LineSplitter) -> bool:
        return self.raw.framing.is_between_chunks and cut.is_between_lines

    def put_back(self) -> None:
        """Leave the line that `next_line` gave last to `iter_batches`."""
        self.raw.early = self._packet

    def _patiently(
        self, cut: LineSplitter, tick_s: float, quiet_for_s: float
    ) -> Iterator[list[bytes]]:
        """Yield [] after each tick until whole lines come, then those, if the body has not ended.

        `quiet_for_s` has passed already. Raises as `iter_batches` does.
        """
        body, exchange = self.raw, self.raw.exchange
        quiet_s = said_s = time.monotonic() - quiet_for_s
        flood = 0
        while not body.framing.finished:
            now_s = time.monotonic()
            if now_s - quiet_s >= exchange.idle_s:
                raise exchange.silence()
            if now_s - said_s >= tick_s:
                said_s = now_s
                yield []
                now_s = time.monotonic()
            left_s = max(min(said_s + tick_s - now_s, quiet_s + exchange.idle_s - now_s), 0.001)
            payload = body.receive(exchange.left_s(left_s))
            if not payload:
                continue
            lines = cut.feed(payload)
            if lines:
                yield lines
                return
            flood += len(payload)
            if flood >= _YIELD_EVERY:
                flood = 0
                time.sleep(0)

    def iter_lines(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """Yield line by line, as `requests` does, but without its quadratic buffer."""
        for lines in self.iter_batches(self.raw.exchange.idle_s):
            yield from lines

    def read_all(self, limit: int) -> bytes:
        """Return the whole body. Raises OverflowError over `limit` bytes, Stalled, OSError,
        Malformed, Truncated."""
        body, exchange = self.raw, self.raw.exchange
        parts: list[bytes] = []
        size = 0
        end_s = time.monotonic() + exchange.idle_s
        while not body.framing.finished:
            payload = body.receive(exchange.left_s(exchange.idle_s))
            if payload is None or time.monotonic() > end_s:
                raise exchange.silence()
            size += len(payload)
            if size > limit:
                raise OverflowError
            parts.append(payload)
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back, or end it."""
        self.raw.close()
