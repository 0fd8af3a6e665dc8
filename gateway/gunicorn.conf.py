"""How gunicorn serves the gateway.

The numbers that operators change come from the environment (see the README's table); the rest is
fixed because streams depend on it. The hooks import what they call: the worker patches the standard
library first.
"""

import contextlib
import gc
import os
from pathlib import Path

_host = os.environ.get("HOST", "0.0.0.0")
bind = f"{f'[{_host}]' if ':' in _host and '[' not in _host else _host}:" + (
    os.environ.get("PORT", "3000")
)
worker_class = "gateway.server.worker.GatewayWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_connections = int(os.environ.get("WORKER_CONNECTIONS", "4000"))
backlog = (
    4096  # a full one costs whoever comes next a second, until the system tries again (load-8)
)
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
logger_class = "gateway.server.logger.MasterLogger"
loglevel = os.environ.get("LOG_LEVEL", "info").lower()
proc_name = "ollama2openai"
umask = 0o077


def pre_request(worker, req):  # type: ignore[no-untyped-def]
    """Write no line with an address: gunicorn would at the level debug."""


def post_fork(server, worker):  # type: ignore[no-untyped-def]
    """Collect no garbage while the application is imported: 0.1 s of 1.1; `tuning` begins again."""
    gc.disable()


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Start the worker's own background work, after the patching and the fork."""
    from gateway import lifecycle
    from gateway.server import tuning

    lifecycle.start(worker)
    tuning.tune()


def worker_exit(server, worker):  # type: ignore[no-untyped-def]
    """Write what is still queued."""
    from gateway import lifecycle

    lifecycle.stop()


def child_exit(server, worker):  # type: ignore[no-untyped-def]
    """Remove the gauges of a worker that ended from /metrics; its counters stay."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        for file in Path(folder).glob(f"gauge_live*_{worker.pid}.db"):
            with contextlib.suppress(OSError):
                file.unlink()
