"""The WSGI entry around the application: connections that shall close, and calls nobody streams.

`Connection: close` concerns one hop, so gunicorn drops the header when an application sets it, and
would read on to find the next request. Here the response is told to close, and what the client
still sends is dropped for a moment first (`sockets.linger`).

A call that is streamed outlives its view. Until the server iterates it, the entry is its owner: a
view leaves its call in `environ["gateway.active"]` and the iterator it returned in
`environ["gateway.stream"]`. When the application raises, or something on the way (an error handler,
a hook, a HEAD request) put another body in that iterator's place, the call is closed here; in every
other case the server closes the iterator, and with it the call.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gateway.server import sockets

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)


class ServerMiddleware:
    """Makes gunicorn heed `Connection: close`, and closes calls that will not be streamed."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_last = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            nonlocal is_last
            if ("Connection", "close") in headers:
                is_last = True
                # gunicorn hands out a method of its response, which knows how to end.
                force = getattr(getattr(start_response, "__self__", None), "force_close", None)
                if force is not None:
                    force()
            return start_response(status, headers, exc_info)

        body: Iterable[bytes] | None = None
        try:
            body = self._app(environ, start)
        finally:
            active = environ.get("gateway.active")
            if active is not None and (body is None or body is not environ.get("gateway.stream")):
                _close(active)
        sock = environ.get("gunicorn.socket")
        return _Lingering(body, sock) if is_last and sock is not None else body


def _close(active: Any) -> None:
    try:
        active.close()
    except Exception:
        log.exception("closing a call that is not streamed failed")


class _Lingering:
    """A body after which what still comes is read and dropped, briefly."""

    def __init__(self, body: Iterable[bytes], sock: Any) -> None:
        self._body = body
        self._sock = sock

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """End the body once, whatever it raises, then linger."""
        body, self._body = self._body, ()
        try:
            end = getattr(body, "close", None)
            if end is not None:
                end()
        finally:
            sockets.linger(self._sock)
