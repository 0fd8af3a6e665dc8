"""One streamed call to Ollama: opened, read in batches, cancelled from anywhere, closed once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Final, TypeAlias

import requests

from gateway.errors import ClientGone, GatewayError
from gateway.ollama import capabilities, faults
from gateway.ollama.exchange import Exchange
from gateway.ollama.mapping import FOREIGN, is_reset, map_error
from gateway.ollama.response import NdjsonResponse

log = logging.getLogger(__name__)

Send: TypeAlias = Callable[
    [requests.PreparedRequest, Exchange, float], Generator[None, None, NdjsonResponse]
]

MAX_ERROR_BYTES: Final = 65_536
MAX_ANSWER_BYTES: Final = 256 << 20
ERROR_BODY_S: Final = 5.0
DRAIN_S: Final = 1.0
_NOT_DONE: Final = b'"done":false}'


class Upstream:
    """One call to Ollama, from before its first byte to after its last. A context manager.

    One greenlet opens and reads; `cancel` may come from any other; `close` is idempotent and gives
    the connection back or ends it.
    """

    __slots__ = (
        "_closed",
        "_exchange",
        "_is_done",
        "_path",
        "_prepared",
        "_records",
        "_response",
        "_send_prepared",
        "_server_name",
    )

    def __init__(
        self,
        send: Send,
        server_name: str,
        path: str,
        prepared: requests.PreparedRequest,
        exchange: Exchange,
    ) -> None:
        self._send_prepared = send
        self._server_name = server_name
        self._path = path
        self._prepared = prepared
        self._exchange = exchange
        self._response: NdjsonResponse | None = None
        self._records = False
        self._is_done = False
        self._closed = False

    def __enter__(self) -> Upstream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Send the request and wait for the head of the answer.

        Raises ClientGone after `cancel`, UpstreamUnreachable, UpstreamTimeout, or what Ollama's
        refusal means.
        """
        for _ in self.opening(math.inf):
            pass

    def opening(self, tick_s: float, *, tells_sent: bool = False) -> Iterator[None]:
        """Do what `open` does, and give None after each `tick_s` of waiting for the head; with
        `tells_sent` also when the request has been sent."""
        self._exchange.tells_sent = tells_sent
        response = yield from self._send(tick_s)
        self._response = response
        if self._closed or self._exchange.cancelled:
            response.close()
            raise ClientGone("the call was cancelled")
        if response.status_code != 200:
            raise self._refusal(response)
        fields = response.headers
        if "html" in fields.get("content-type", "").lower():
            raise faults.bad_response("a web page where an answer was expected")
        if fields.get("content-encoding", "identity").lower() != "identity":
            raise faults.bad_response("a compressed answer that was not asked for")

    def batches(self, tick_s: float) -> Iterator[list[bytes]]:
        """Yield the lines that arrived together, again and again; [] after each `tick_s` of
        silence.

        Raises ClientGone after `cancel`, UpstreamTimeout at a limit, UpstreamError for a broken
        answer; UpstreamUnreachable while no record has come, since then a repeat cannot show twice.
        """
        response = self._response
        assert response is not None, "open() comes first"
        source = response.iter_batches(tick_s)
        while True:
            try:
                lines = next(source, None)
            except FOREIGN as error:
                raise self._mapped(error) from error
            if self._exchange.cancelled:
                raise ClientGone("the call was cancelled")
            if lines is None:
                break
            if lines:
                if not self._records:
                    self._records = True
                    self._exchange.begin()
                last = lines[-1]
                self._is_done = not last.endswith(_NOT_DONE) and capabilities.says_done(last)
                yield lines
                if self._is_done:
                    break
            else:
                yield lines
        self._drain(response)
        self.close()

    def quick_lines(self) -> tuple[Callable[[], bytes | None], Callable[[], None]]:
        """Return a short way to the next line, and how to put that back; see
        `NdjsonResponse.next_line`. To be gone only between two of the `batches`."""
        assert self._response is not None, "open() comes first"
        return self._response.next_line, self._response.put_back

    def read(self) -> bytes:
        """Return the whole body. Raises as `batches` does."""
        response = self._response
        assert response is not None, "open() comes first"
        try:
            body = response.read_all(MAX_ANSWER_BYTES)
        except FOREIGN as error:
            raise self._mapped(error) from error
        if self._exchange.cancelled:
            raise ClientGone("the call was cancelled")
        self.close()
        return body

    def cancel(self) -> None:
        """End `open` or `batches` promptly with ClientGone; may be called from anywhere, at any
        time."""
        self._exchange.cancel()

    def close(self) -> None:
        """Give the connection back for reuse, or end it when the answer was not read to its end."""
        if self._closed:
            return
        self._closed = True
        response = self._response
        if response is None:
            self._exchange.cancel()
            return
        if self._is_done:
            response.raw.receive_now()  # the end of the body came with the last record, or nearly
        response.close()

    # -- details ---------------------------------------------------------------------------------

    def _send(self, tick_s: float) -> Generator[None, None, NdjsonResponse]:
        exchange = self._exchange
        try:
            return (yield from self._send_prepared(self._prepared, exchange, tick_s))
        except FOREIGN as error:
            # An idle connection may be closed by Ollama in the moment we choose it. Nothing was
            # answered, so nothing was computed: once more, on a new connection (U16).
            if not exchange.reused or exchange.received or not is_reset(error):
                raise self._mapped(error) from error
        if exchange.cancelled:
            raise ClientGone("the call was cancelled")
        exchange.want_fresh = True
        try:
            return (yield from self._send_prepared(self._prepared, exchange, tick_s))
        except FOREIGN as error:
            raise self._mapped(error) from error

    def _refusal(self, response: NdjsonResponse) -> GatewayError:
        self._exchange.idle_s = min(self._exchange.idle_s, ERROR_BODY_S)
        try:
            body = response.read_all(MAX_ERROR_BYTES)
        except FOREIGN:
            body = b""
        if self._exchange.cancelled:
            return ClientGone("the call was cancelled")
        self.close()
        fields = response.headers
        if fields.get("content-encoding", "identity").lower() != "identity":
            body = b""
        error = faults.from_status(
            response.status_code, body, fields.get("retry-after"), self._path
        )
        log.info(
            "ollama refused a call",
            extra={
                "fields": {
                    "server": self._server_name,
                    "path": self._path,
                    "upstream_status": response.status_code,
                    "code": error.code,
                }
            },
        )
        return error

    def _drain(self, response: NdjsonResponse) -> None:
        """Find the end of the body, so that the connection can be used again."""
        exchange = self._exchange
        exchange.idle_s = DRAIN_S
        exchange.deadline_s = None
        try:
            response.read_all(MAX_ERROR_BYTES)
        except FOREIGN:
            return  # close() ends a connection whose answer was not read to its end

    def _mapped(self, error: Exception) -> GatewayError:
        """Return our error for a foreign one; the log alone learns the details."""
        if self._exchange.cancelled:
            return ClientGone("the call was cancelled")
        mapped = map_error(error, self._records)
        log.warning(
            "a call to ollama failed",
            extra={
                "fields": {
                    "server": self._server_name,
                    "path": self._path,
                    "code": mapped.code,
                    "cause": f"{type(error).__name__}: {error}",
                }
            },
        )
        return mapped
