"""The body of a request as the application reads it: bounded in time, whoever reads it.

`BoundedBody` takes the place of gunicorn's own reader, so the rule holds on every route: forms,
both APIs, and what nobody read before the next request. While a body is awaited its connection
counts as idle: when connections are crowded, it is among the first to be ended.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from gevent import Timeout
from gunicorn.http.errors import ParseException

from gateway.errors import ClientGone, InvalidRequest, Message, RequestTimeout

IDLE_S: Final = 10.0
GRACE_S: Final = 30.0
BYTES_PER_S: Final = 16 * 1024
"""After GRACE_S a body must have come at this rate on average: a bad mobile line does, who sends a
byte now and then to hold a place does not (load-6)."""
_PIECE_BYTES: Final = 64 * 1024


class BoundedBody:
    """`wsgi.input` of one request.

    Reading raises RequestTimeout when nothing came for IDLE_S or all of it took too long,
    InvalidRequest for malformed chunks, and ClientGone when the connection broke, was closed by the
    client or ended to make room. After each of them the connection serves no further request.
    """

    def __init__(
        self, inner: Any, sock: Any, waiting: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._inner = inner  # gunicorn.http.body.Body
        self._sock = sock
        self._waiting = waiting
        self._length: int | None = getattr(inner.reader, "length", None)  # not of chunked bodies
        self._began_s = 0.0
        self._size = 0

    @property
    def failed(self) -> bool:
        """Whether where the next request begins is unknown: asked by gunicorn's parser."""
        return bool(getattr(self._inner, "failed", False))

    def read_ahead(self) -> None:
        """Wait for the whole body if it is at most _PIECE_BYTES long, or of unknown length.

        Nothing counts it against a key meanwhile: who has one can hold no more than strangers can.
        Raises like `read`, and InvalidRequest for chunks longer than that.
        """
        if self._length is None:
            data = self.read(_PIECE_BYTES)
            if len(data) == _PIECE_BYTES:
                self._inner.failed = True
                raise InvalidRequest("A chunked form must be shorter than 64 KiB.")
        elif self._length <= _PIECE_BYTES:
            data = self.read()
        else:
            return
        self._inner, self._length, self._size = io.BytesIO(data), len(data), 0

    def read(self, size: int | None = None) -> bytes:
        """Return `size` bytes, fewer only at the end; without `size` all that is left."""
        if size is not None and 0 <= size <= _PIECE_BYTES:
            return self._timed(self._inner.read, size)
        left = float("inf") if size is None or size < 0 else size
        pieces: list[bytes] = []
        while left and (piece := self._timed(self._inner.read, int(min(left, _PIECE_BYTES)))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def readline(self, size: int | None = None) -> bytes:
        """Return one line, or `size` bytes of it."""
        return self._timed(self._inner.readline, size)

    def readlines(self, size: int | None = None) -> list[bytes]:
        """Return all lines."""
        return self.read().splitlines(keepends=True)

    def __iter__(self) -> BoundedBody:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _timed(self, read: Callable[[int | None], bytes], size: int | None) -> bytes:
        if size == 0 or self._size == self._length:
            return b""
        now_s = time.monotonic()
        self._began_s = self._began_s or now_s
        left_s = self._began_s + GRACE_S + self._size / BYTES_PER_S - now_s
        self._sock.settimeout(IDLE_S)  # of each packet; gunicorn reads until it has `size`
        try:
            with self._waiting(), Timeout(max(left_s, 0.0)):
                data = read(size)
        except (TimeoutError, Timeout) as error:
            self._inner.failed = True
            raise RequestTimeout(
                Message("The request body came too slowly."), headers={"Connection": "close"}
            ) from error
        except OSError as error:
            self._inner.failed = True
            raise ClientGone("The connection broke while the body was read.") from error
        except ParseException as error:
            raise InvalidRequest(
                Message("The chunked request body is malformed."),
                code="invalid_json",
                headers={"Connection": "close"},
            ) from error
        finally:
            with suppress(OSError):
                self._sock.settimeout(None)
        self._size += len(data)
        if not data and self._length is not None:
            raise ClientGone("The connection ended before the whole body had come.")
        return data
