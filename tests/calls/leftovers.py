"""What a process holds: sockets and greenlets, counted without the garbage collector's help."""

from __future__ import annotations

import gc
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from greenlet import greenlet

_DESCRIPTORS = 4_096


def open_sockets() -> int:
    """Return how many descriptors of this process are sockets."""
    return sum(1 for fd in range(_DESCRIPTORS) if _is_socket(fd))


def running_greenlets() -> int:
    """Return how many greenlets have begun and not ended."""
    return sum(1 for found in gc.get_objects() if isinstance(found, greenlet) and bool(found))


@contextmanager
def without_gc() -> Iterator[None]:
    """Let nothing be freed that something still points at in a circle."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
