"""Where a task waits, and waiting for it to get there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from gateway.runtime.tasks import Task

PLACES: dict[tuple[str, str], str] = {
    ("calls/channel.py", "put"): "put",
    ("scheduling/tickets.py", "wait"): "queue",
    ("ollama/http.py", "connect"): "connect",
    ("ollama/http.py", "send"): "send",
    ("ollama/http.py", "receive_head"): "head",
    ("ollama/http.py", "read"): "body",
}
"""By file under gateway/ and function: what a task waits for that is inside. The innermost one
counts."""


def until(look: Callable[[], object], what: str, limit_s: float = 10.0) -> None:
    """Look again and again until something is true. Raises TimeoutError that names it."""
    deadline_s = time.monotonic() + limit_s
    while not look():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {limit_s} s for {what}")
        time.sleep(0.001)


def codes(task: Task[Any]) -> Iterator[CodeType]:
    """Yield the functions a task that waits is in, innermost first."""
    frame = task._greenlet.gr_frame
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def place_of(task: Task[Any]) -> str:
    """Return what a task waits for; "start" before it begins, "" for none of `PLACES`."""
    if not task._begun:
        return "start"
    for code in codes(task):
        for (file, function), place in PLACES.items():
            if code.co_name == function and code.co_filename.endswith(f"gateway/{file}"):
                return place
    return ""


def is_inside(task: Task[Any], function: str) -> bool:
    """Whether a task waits somewhere below a function of this name."""
    return any(code.co_name == function for code in codes(task))
