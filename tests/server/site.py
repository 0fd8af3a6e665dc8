"""A small application and how gunicorn serves it with our worker: what the tests here talk to.

    gunicorn -c python:tests.server.site tests.server.site:app

This module is the configuration as well.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Any

worker_class = "gateway.server.worker.GatewayWorker"
worker_connections = 10
keepalive = 60
graceful_timeout = 5
control_socket_disable = True
CANARY = "the-hidden-bay"
_workers: list[Any] = []


def post_worker_init(worker: Any) -> None:
    from gateway.server import body
    from gateway.server import worker as module

    module.HEAD_S = float(os.environ["HEAD_S"])
    body.IDLE_S = float(os.environ["BODY_IDLE_S"])
    body.GRACE_S = float(os.environ["BODY_GRACE_S"])
    _workers.append(worker)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    match environ["PATH_INFO"]:
        case "/stream":
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return iter([b"", b"one", b"", b"two"])
        case "/nothing":
            start_response("204 No Content", [])
            return []
        case "/raise":
            raise RuntimeError(CANARY)
        case "/unread":
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        case "/read" | "/lines" as path:
            return _read(environ, start_response, lines=path == "/lines")
        case "/close-idle":
            _workers[0].close_idle()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def _read(
    environ: dict[str, Any], start_response: Callable[..., Any], *, lines: bool
) -> Iterable[bytes]:
    """Answer with the size of the body, or the code of why there is none."""
    from gateway.errors import GatewayError

    body = environ["wsgi.input"]
    try:
        answer = b"|".join(body) if lines else str(len(body.read())).encode()
    except GatewayError as error:
        start_response(f"{error.status} Refused", [("Content-Length", str(len(error.code)))])
        return [error.code.encode()]
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
