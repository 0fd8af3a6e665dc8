"""Limits per minute and of calls at once, on this machine: exact across its workers.

The Redis twin (`redis_windows.py`) has the same two methods and falls back to this one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gateway.core.keys import Limits
from gateway.errors import RateLimited
from gateway.policy import rate_window as windows
from gateway.policy.rate_window import WINDOW_S, RateWindow
from gateway.runtime.shared_counts import Counts, SharedCounts

log = logging.getLogger(__name__)

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class LimitReached(Exception):
    """A limit is reached; `error` says which, `windows` what is left of each."""

    def __init__(self, error: RateLimited, seen: Mapping[str, RateWindow]) -> None:
        super().__init__(error.message)
        self.error = error
        self.windows = seen


@dataclass(frozen=True, slots=True)
class Place:
    """What a running call holds; give it to `leave`. `member` is its name in Redis."""

    key_id: int
    reserved: int = 0
    counted: bool = False
    windows: Mapping[str, RateWindow] = field(default_factory=dict)
    member: str = ""


class Windows(Protocol):
    """Counts calls and tokens of keys."""

    def enter(self, key_id: int, limits: Limits, tokens: int) -> Place:
        """Count a call that expects to take `tokens`. Raises LimitReached; then nothing was
        counted."""
        ...

    def leave(self, place: Place, tokens: int) -> None:
        """Count what a call took in the end, and give its place back."""
        ...

    def look(self, key_id: int, limits: Limits) -> Mapping[str, RateWindow]:
        """Return what is left of each limit per minute; counts nothing."""
        ...


class LocalWindows:
    """The windows of this machine's workers."""

    def __init__(self, counts: SharedCounts, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock

    def enter(self, key_id: int, limits: Limits, tokens: int) -> Place:
        """Count a call. Raises LimitReached."""
        if not (limits.requests_per_minute or limits.tokens_per_minute or limits.concurrent):
            return Place(key_id)
        now_s = self._clock()
        elapsed_s = now_s % WINDOW_S
        with self._counts.change(key_id, now_s) as counts:
            refusal = _refusal(counts, limits, tokens, elapsed_s)
            if refusal is None:
                counts.requests += 1
                counts.running += 1
                counts.reserved += tokens
            seen = _seen(counts, limits, elapsed_s)
        if refusal is not None:
            raise LimitReached(refusal, seen)
        return Place(key_id, tokens, True, seen)

    def leave(self, place: Place, tokens: int) -> None:
        """Count what a call took."""
        if not place.counted:
            return
        with self._counts.change(place.key_id, self._clock()) as counts:
            counts.tokens += max(0, tokens)
            counts.running -= 1
            counts.reserved -= place.reserved

    def look(self, key_id: int, limits: Limits) -> Mapping[str, RateWindow]:
        """Return what is left."""
        now_s = self._clock()
        with self._counts.change(key_id, now_s) as counts:
            return _seen(counts, limits, now_s % WINDOW_S)


def machine_counts(folder: Path, workers: int) -> SharedCounts:
    """Return the counts to use: a file beside the data for several workers, else private memory."""
    if workers <= 1:
        return SharedCounts()
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = ""
    name = hashlib.sha256(f"{os.uname().nodename} {boot}".encode()).hexdigest()[:12]
    path = folder / f"limits-{name}.bin"
    for old in folder.glob("limits-*.bin"):
        if old != path and old.stat().st_mtime < time.time() - 86_400:
            old.unlink(missing_ok=True)
    return SharedCounts(path)


def at_once(limits: Limits) -> RateLimited:
    """Return the refusal of too many calls at once."""
    return RateLimited(
        f"This key may run {limits.concurrent} calls at once; wait for one to end.",
        code="concurrency_limit_exceeded",
        retry_after_s=1,
    )


def per_minute(metric: str, limit: int, wait_s: float) -> RateLimited:
    """Return the refusal of too many requests, or tokens, per minute."""
    seconds = max(1, int(wait_s + 0.999))
    return RateLimited(
        f"This key may use {limit} {metric} per minute; try again in {seconds} s.",
        type=metric,
        retry_after_s=seconds,
    )


def _refusal(counts: Counts, limits: Limits, tokens: int, elapsed_s: float) -> RateLimited | None:
    if limits.concurrent and counts.running >= limits.concurrent:
        return at_once(limits)
    before, now = counts.requests_before, counts.requests
    if limits.requests_per_minute:
        wait_s = windows.wait_s(before, now, elapsed_s, limits.requests_per_minute, 1)
        if wait_s > 0:
            return per_minute("requests", limits.requests_per_minute, wait_s)
    if limits.tokens_per_minute:
        return _tokens_refusal(counts, limits.tokens_per_minute, tokens, elapsed_s)
    return None


def _tokens_refusal(
    counts: Counts, limit: int, tokens: int, elapsed_s: float
) -> RateLimited | None:
    """Refuse what does not fit beside what running calls expect. A call that is larger than the
    limit itself may pass when nothing else was used, or it could never."""
    before, now = counts.tokens_before, counts.tokens
    used = windows.used(before, now, elapsed_s)
    if used + counts.reserved + tokens <= limit or (used < 1 and not counts.reserved):
        return None
    wait_s = windows.wait_s(before, now, elapsed_s, limit, min(tokens, limit))
    return per_minute("tokens", limit, wait_s)


def _seen(counts: Counts, limits: Limits, elapsed_s: float) -> dict[str, RateWindow]:
    seen: dict[str, RateWindow] = {}
    if limits.requests_per_minute:
        seen["requests"] = windows.window(
            counts.requests_before, counts.requests, elapsed_s, limits.requests_per_minute
        )
    if limits.tokens_per_minute:
        seen["tokens"] = windows.window(
            counts.tokens_before, counts.tokens, elapsed_s, limits.tokens_per_minute
        )
    return seen
