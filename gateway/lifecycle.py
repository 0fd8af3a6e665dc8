"""A worker's life: background work after the fork, an orderly end.

On TERM or HUP gunicorn's worker stops accepting and waits `graceful_timeout`, then it is killed
without a `finally`. So we drain ourselves: readiness turns false at once, new calls are refused,
running streams may finish for `drain_s`; what still runs then ends with an explicit error and a
settled record.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from gateway import logs
from gateway.errors import Unavailable
from gateway.runtime import tasks
from gateway.web.context import Services, of

log = logging.getLogger(__name__)

LOOK_S = 0.1
SETTLE_S = 5.0
_running: list[Services] = []


def start(worker: Any) -> None:
    """Start the background work of a `GatewayWorker` (gunicorn's `post_worker_init`)."""
    parts = of(worker.wsgi)
    _running.append(parts)
    logs.spare()
    logs.adopt("gunicorn.error")
    begin(parts)
    threading.Thread(target=_drain_when_told, args=(worker, parts), daemon=True).start()
    log.info("worker %d is ready", os.getpid())


def begin(parts: Services) -> None:
    """Start what runs beside requests."""
    for job in parts.jobs:
        job.start()


def stop() -> None:
    """Write what is queued (gunicorn's `worker_exit`)."""
    while _running:
        end(_running.pop())
    logs.close()


def end(parts: Services) -> None:
    """Stop what `begin` started, in the opposite order."""
    for job in reversed(parts.jobs):
        job.stop()


def drain(parts: Services, drain_s: float, close_idle: Callable[[], None]) -> None:
    """Refuse new calls, let running ones finish for `drain_s` seconds, then end them with an
    error event. `close_idle` ends the connections on which no request is being served."""
    parts.draining.set()
    deadline_s = time.monotonic() + drain_s
    while len(parts.live) and time.monotonic() < deadline_s:
        close_idle()
        time.sleep(LOOK_S)
    ended = parts.live.cancel_where(
        lambda stats: True,
        lambda: Unavailable("The gateway is shutting down; try again.", code="shutting_down"),
    )
    if ended:
        log.warning("%d calls were ended by the shutdown", ended)
    deadline_s = time.monotonic() + SETTLE_S
    while len(parts.live) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    close_idle()
    parts.usage.flush(SETTLE_S)
    tasks.Every(LOOK_S, close_idle, "closing the last connections").start()


def _drain_when_told(worker: Any, parts: Services) -> None:
    while worker.alive:
        time.sleep(LOOK_S)
    graceful_s = float(getattr(worker.cfg, "graceful_timeout", 60))
    wanted_s = float(parts.settings.behaviour().drain_s)
    drain(parts, max(0.0, min(wanted_s, graceful_s - 10)), worker.close_idle)
