"""gunicorn's gevent worker, with bounds for connections that wait and refusals in JSON.

gunicorn's master imports this module, and with it only gevent and gunicorn: what the application
needs is imported in the worker, after the standard library is patched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ETIMEDOUT
from itertools import islice
from ssl import SSLError
from typing import Any, Final

from gevent import Timeout, getcurrent
from gunicorn.http import errors, wsgi
from gunicorn.workers.ggevent import GeventWorker

from gateway.errors import GatewayError, InvalidRequest, RequestTimeout
from gateway.server import sockets
from gateway.server.body import BoundedBody
from gateway.server.response import Response

HEAD_S: Final = 10
_CROWDED: Final = 0.9
_BAD_REQUEST: Final = (400, "Bad Request")
_FAULT: Final = (500, "Internal Server Error")
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_STATUS: Final[tuple[tuple[Any, tuple[int, str]], ...]] = (
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), _FAULT),
    (errors.ConfigurationProblem, _FAULT),
    (errors.LimitRequestLine, (414, "URI Too Long")),
    (errors.LimitRequestHeaders, (431, "Request Header Fields Too Large")),
    (errors.ExpectationFailed, (417, "Expectation Failed")),
    ((errors.ForbiddenProxyRequest, SSLError), (403, "Forbidden")),
    (errors.ParseException, _BAD_REQUEST),
)
"""What gunicorn raises, and how it is answered; the first that fits. Anything else is a fault."""


class GatewayWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Serves each connection in a greenlet, and knows which of them wait for a request.

    When connections are crowded, those that wait longest for a head or a body are ended. That is
    looked at whenever a connection opens or begins to wait for a request: nothing else makes it
    crowded, or makes one that could be ended.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: dict[Any, tuple[Any, float]] = {}  # by greenlet: socket, patience in seconds
        self._idle: dict[Any, Any] = {}  # those that wait for head or body, the oldest first
        self._ending: set[Any] = set()  # those told to end, which have not yet

    def init_process(self) -> None:
        """Serve until the end."""
        wsgi.Response = Response
        super().init_process()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection."""
        sockets.send_at_once(client)
        me = getcurrent()
        self._open[me] = (client, HEAD_S)
        self._make_room()
        try:
            super().handle(listener, client, addr)
        finally:
            del self._open[me]
            self._ending.discard(me)

    def _make_room(self) -> None:
        """End as many waiting connections as are too many."""
        too_many = len(self._open) - len(self._ending) - int(self.worker_connections * _CROWDED)
        if too_many > 0:
            waiting = (
                (greenlet, client)
                for greenlet, client in self._idle.items()
                if greenlet not in self._ending and sockets.is_silent(client)
            )
            for greenlet, client in list(islice(waiting, too_many)):
                sockets.end_reading(client)
                self._ending.add(greenlet)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Mark this connection as one that waits for what its client sends."""
        me = getcurrent()
        if me in self._idle:  # it waits for a request, and drops the rest of a body first
            yield
            return
        self._idle[me] = self._open[me][0]
        try:
            yield
        finally:
            self._idle.pop(me, None)

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Bound the wait for the head of a request: the first must come within HEAD_S (load-5)."""
        me = getcurrent()
        client, patience_s = self._open[me]
        self._open[me] = (client, self.cfg.keepalive)
        with self._waiting(), Timeout(patience_s, False):
            self._make_room()
            yield

    def close_idle(self) -> None:
        """End the connections on which no request is being served.

        Clients keep connections open for their next request; a worker that shuts down would wait
        for them to the end of its own patience.
        """
        for client in list(self._idle.values()):
            sockets.end_reading(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Serve one request."""
        req.body = BoundedBody(req.body, sock, self._waiting)
        try:
            if any(
                name == "CONTENT-TYPE" and value.lower().startswith(_FORMS)
                for name, value in req.headers
            ):
                # Half a form is no work of the application: while 10,000 came, others waited up to
                # 7 s and the worker used 14 s of CPU, so 0.4 and 6 (benchmarks/attacks.py).
                req.body.read_ahead()
            return super().handle_request(listener_name, req, sock, addr)
        except (RequestTimeout, InvalidRequest) as error:
            with suppress(OSError):
                sock.sendall(_refusal(*_BAD_REQUEST, error.message, f"req_{os.urandom(16).hex()}"))
            raise StopIteration from None
        except TimeoutError as error:
            if error.errno != ETIMEDOUT:
                raise
            # The system ended the connection of a client that read nothing (K6): no fault of ours.
            raise StopIteration from None

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no HTTP, or failed before it had a response, in JSON (http-14).

        Neither the answer nor the log repeats what was sent. Where a request was answered already,
        and the rest of its body does not come, there is nobody to answer.
        """
        if isinstance(exc, GatewayError):
            return
        request_id = f"req_{os.urandom(16).hex()}"
        kinds = (answer for kind, answer in _STATUS if isinstance(exc, kind))
        status, reason = next(kinds, _FAULT)
        message = f"This is not an HTTP request that can be served ({reason})."
        if status == _FAULT[0]:
            message = f"The gateway failed on this request (request id {request_id})."
            self.log.exception("serving a request failed: request id %s", request_id)
        else:
            self.log.warning(
                "Invalid request refused with %d: %s from %s, request id %s",
                status,
                type(exc).__name__,
                addr[0] if addr else "a local socket",
                request_id,
            )
        with suppress(OSError):
            client.sendall(_refusal(status, reason, message, request_id))


def _refusal(status: int, reason: str, message: str, request_id: str) -> bytes:
    is_fault = status == _FAULT[0]
    error = {
        "message": message,
        "type": "server_error" if is_fault else "invalid_request_error",
        "param": None,
        "code": "internal_error" if is_fault else "invalid_request",
    }
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nx-request-id: {request_id}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body
