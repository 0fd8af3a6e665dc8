"""How gunicorn serves the gateway. Imports nothing of the package: the worker patches the standard
library first.

The numbers that operators change come from the environment (see the README's table); the rest is
fixed because streams depend on it.
"""

import contextlib
import json
import os
import socket
from pathlib import Path

_host = os.environ.get("HOST", "0.0.0.0")
bind = f"{f'[{_host}]' if ':' in _host and '[' not in _host else _host}:" + (
    os.environ.get("PORT", "3000")
)
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_connections = int(os.environ.get("WORKER_CONNECTIONS", "4000"))
backlog = 2048
preload_app = False  # an engine or session made before the fork would be shared (P22)
max_requests = 0  # a recycled worker would cut its streams (P3)
timeout = 60  # of the worker's heartbeat, not of requests
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT", "60"))
keepalive = int(os.environ.get("KEEPALIVE", "75"))
control_socket_disable = True
forwarder_headers = ""
forwarded_allow_ips = ""  # ProxyFix counts the proxies named in TRUSTED_PROXIES
limit_request_line = 8190
limit_request_field_size = 16380
accesslog = None  # the gateway writes its own line, with the request id
errorlog = "-"
loglevel = os.environ.get("LOG_LEVEL", "info").lower()
proc_name = "ollama2openai"
umask = 0o077


def worker_class():  # type: ignore[no-untyped-def]
    """Return a worker that becomes gevent's in its own process: the master has no use for the 8 MB
    of gevent, and every process counts them again."""
    from gunicorn.workers.base import Worker

    class Unborn(Worker):  # type: ignore[misc]  # gunicorn ships no types
        def init_process(self):  # type: ignore[no-untyped-def]
            self.__class__ = _gevent_worker()
            self.begin()

    Unborn.__name__ = "gevent"  # what gunicorn's log calls it
    return Unborn


def _gevent_worker() -> type:
    """Return gevent's worker, with patience for those who send nothing while there is room, and
    refusals that API clients can read."""
    from gunicorn.workers.ggevent import GeventWorker

    class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
        def begin(self):  # type: ignore[no-untyped-def]
            """Take up the worker's life where the master left it; runs until it ends."""
            # As plain attributes: gunicorn looks at 17 settings a request, two calls each.
            self.cfg.__dict__.update({n: setting.get() for n, setting in self.cfg.settings.items()})
            self.worker_connections = self.cfg.worker_connections
            self._open = {}  # by greenlet: the connection, and whether it has asked something
            self._waiting = {}  # those between two requests, or with half a head; oldest first
            self.init_process()

        def handle(self, listener, client, addr):  # type: ignore[no-untyped-def]
            from gevent import getcurrent

            if len(self._open) >= self.worker_connections * _CROWDED and self._waiting:
                _stop_reading(next(iter(self._waiting.values())))
            self._open[getcurrent()] = (client, HEAD_S)
            try:
                super().handle(listener, client, addr)
            finally:
                del self._open[getcurrent()]

        def timeout_ctx(self):  # type: ignore[no-untyped-def]
            """Bound the wait for a head: the first must come at once (load-5)."""
            from gevent import Timeout, getcurrent

            me = getcurrent()
            client, patience_s = self._open[me]
            self._open[me] = (client, self.cfg.keepalive)
            waiting = self._waiting

            @contextlib.contextmanager
            def bounded():  # type: ignore[no-untyped-def]
                waiting[me] = client
                try:
                    with Timeout(patience_s, False):
                        yield
                finally:
                    del waiting[me]

            return bounded()

        def handle_error(self, req, client, addr, exc):  # type: ignore[no-untyped-def]
            """Refuse in JSON, without repeating what was sent (http-14)."""
            if isinstance(exc, TimeoutError):
                return  # the system ended the connection of a client that read nothing (K6)
            page = _Page()
            super().handle_error(req, page, addr, exc)
            status, _, reason = page.first_line.partition(" ")
            with contextlib.suppress(OSError):
                client.sendall(_refusal("400" if status == "501" else status, reason))

    return Worker


HEAD_S = 10
_CROWDED = 0.9


class _Page:
    """Takes what gunicorn would write to a client: a status line and a page of HTML."""

    first_line = "500 Internal Server Error"

    def gettimeout(self):  # type: ignore[no-untyped-def]
        return 0.0

    def sendall(self, data):  # type: ignore[no-untyped-def]
        self.first_line = data.split(b"\r\n")[0].decode("latin-1").partition(" ")[2]


def _stop_reading(client: socket.socket) -> None:
    """Let a connection end as if its client had closed it. Through a descriptor of our own: gevent
    would wake the reader with an error that counts as a fault."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(client.fileno())) as own:
        own.shutdown(socket.SHUT_RD)


def _refusal(status: str, reason: str) -> bytes:
    request_id = f"req_{os.urandom(16).hex()}"
    server = status.startswith("5")
    error = {
        "message": f"The gateway failed on this request (request id {request_id})."
        if server
        else f"This is not an HTTP request that can be served ({reason}).",
        "type": "server_error" if server else "invalid_request_error",
        "param": None,
        "code": "internal_error" if server else "invalid_request",
    }
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nx-request-id: {request_id}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def pre_request(worker, req):  # type: ignore[no-untyped-def]
    """Write no line with an address: gunicorn would at the level debug."""


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Start the worker's own background work, after the patching and the fork."""
    from gateway import lifecycle

    lifecycle.start(worker)


def worker_exit(server, worker):  # type: ignore[no-untyped-def]
    """Write what is still queued."""
    from gateway import lifecycle

    lifecycle.stop()


def child_exit(server, worker):  # type: ignore[no-untyped-def]
    """Take the gauges of a worker that ended out of /metrics; its counters stay."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        for file in Path(folder).glob(f"gauge_live*_{worker.pid}.db"):
            with contextlib.suppress(OSError):
                file.unlink()
