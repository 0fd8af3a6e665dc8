"""A worker's life: background work after the fork, an orderly end.

On TERM or HUP gunicorn's worker stops accepting and waits `graceful_timeout`, then it is killed
without a `finally`. So we drain ourselves: readiness turns false at once, new calls are refused,
running streams may finish for `drain_s`; what still runs then ends with an explicit error and a
settled record.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from typing import Any

from flask import Flask

from gateway import logs
from gateway.errors import Unavailable
from gateway.runtime import tasks
from gateway.web.context import Services, of

log = logging.getLogger(__name__)

LOOK_S = 0.1
SWITCH_S = 0.000_5
"""How long a thread that writes to the store may keep the event loop from the interpreter. Python's
own 5 ms are asked for again at each system call of the loop, and a call has a dozen."""
SETTLE_S = 5.0
_running: list[Services] = []


def start(worker: Any) -> None:
    """Start the background work of this worker (gunicorn's `post_worker_init`)."""
    parts = of(_flask(worker.wsgi))
    _running.append(parts)
    logs.spare()
    logs.adopt("gunicorn.error")
    tasks.quicken_answers()
    begin(parts)
    threading.Thread(target=_drain_when_told, args=(worker, parts), daemon=True).start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    sys.setswitchinterval(SWITCH_S)
    log.info("worker %d is ready", os.getpid())


def _flask(app: Any) -> Flask:
    """Return the application inside its middleware."""
    while not isinstance(app, Flask):
        app = app.app
    return app


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


def drain(parts: Services, drain_s: float) -> None:
    """Refuse new calls, let running ones finish for `drain_s` seconds, then end them with an
    error event."""
    parts.draining.set()
    deadline_s = time.monotonic() + drain_s
    while len(parts.live) and time.monotonic() < deadline_s:
        parts.watcher.end_idle()
        time.sleep(LOOK_S)
    ended = parts.live.cancel_all(
        lambda: Unavailable("The gateway is shutting down; try again.", code="shutting_down")
    )
    if ended:
        log.warning("%d calls were ended by the shutdown", ended)
    deadline_s = time.monotonic() + SETTLE_S
    while len(parts.live) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    parts.watcher.end_idle()
    parts.usage.flush(SETTLE_S)
    tasks.every(LOOK_S, parts.watcher.end_idle, "last-connections")


def _drain_when_told(worker: Any, parts: Services) -> None:
    while worker.alive:
        time.sleep(LOOK_S)
    graceful_s = float(getattr(worker.cfg, "graceful_timeout", 60))
    wanted_s = float(parts.settings.behaviour().drain_s)
    drain(parts, max(0.0, min(wanted_s, graceful_s - 10)))
