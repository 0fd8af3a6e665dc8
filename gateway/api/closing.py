"""Ends connections on which the rest of a request would have to be read for nothing.

`Connection: close` concerns one hop, so gunicorn drops the header when an application sets it, and
would read on to find the next request. Closing at once is no better: while a client still sends,
the system answers with a reset, and the client never reads why. So what comes is thrown away for a
moment first, as other servers do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LINGER_S = 2.0
QUIET_S = 0.5
_PIECE = 64 * 1024


class Closing:
    """WSGI middleware that makes gunicorn heed `Connection: close`."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        closing = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            nonlocal closing
            if ("Connection", "close") in headers:
                closing = True
                # gunicorn hands out a method of its response, which knows how to end.
                force = getattr(getattr(start_response, "__self__", None), "force_close", None)
                if force is not None:
                    force()
            return start_response(status, headers, exc_info)

        body = self._app(environ, start)
        sock = environ.get("gunicorn.socket")
        return _Lingering(body, sock) if closing and sock is not None else body


class _Lingering:
    """A body after which what still comes is read and dropped, briefly."""

    def __init__(self, body: Iterable[bytes], sock: Any) -> None:
        self._body = body
        self._sock = sock

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """End the body, then linger."""
        end: Callable[[], None] | None = getattr(self._body, "close", None)
        if end is not None:
            end()
        until_s = time.monotonic() + LINGER_S
        with suppress(OSError):
            self._sock.settimeout(QUIET_S)
            while time.monotonic() < until_s and self._sock.recv(_PIECE):
                pass
