"""Limits per minute and of concurrent calls, in the memory of this process.

`redis_windows.py` keeps the same counts for several processes and falls back to these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.errors import RateLimited
from gateway.policy import rate_window
from gateway.policy.rate_window import WINDOW_S, RateWindow
from gateway.schemas.key import Key

_IDLE_MINUTES = 2


class LimitReached(Exception):
    """A limit is reached; `error` says which, `windows` what is left of each."""

    def __init__(self, error: RateLimited, windows: Mapping[str, RateWindow]) -> None:
        super().__init__(error.message)
        self.error = error
        self.windows = windows


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a running call holds; give it to `leave`. `lease_id` is set when Redis counts it."""

    key_id: int
    tokens: int = 0
    counted: bool = False
    windows: Mapping[str, RateWindow] = field(default_factory=dict)
    lease_id: str = ""


@dataclass(slots=True)
class _Counts:
    """The counts of one key: those of a minute and of the one before."""

    minute: int
    requests: int = 0
    requests_before: int = 0
    tokens: int = 0
    tokens_before: int = 0
    running: int = 0
    reserved: int = 0

    def roll(self, minute: int) -> None:
        """Go on to `minute`: what was now becomes before, or is forgotten."""
        if minute == self.minute:
            return
        follows = minute == self.minute + 1
        self.requests_before = self.requests if follows else 0
        self.tokens_before = self.tokens if follows else 0
        self.requests = self.tokens = 0
        self.minute = minute


@dataclass(eq=False)
class LocalWindows:
    """The windows of this process. Nothing in here waits, so that no lock is needed. Minutes are
    those of a monotonic clock: setting the system's clock changes nothing."""

    clock: Callable[[], float] = time.monotonic
    _counts: dict[int, _Counts] = field(default_factory=dict)

    def enter(self, key: Key, tokens: int) -> Reservation:
        """Count a call that expects `tokens`. Raises LimitReached: nothing was counted."""
        if not is_limited(key):
            return Reservation(key.counter_id)
        counts, elapsed_s = self._now(key.counter_id)
        refusal = _refusal(counts, key, tokens, elapsed_s)
        if refusal is not None:
            raise LimitReached(refusal, _windows(counts, key, elapsed_s))
        counts.requests += 1
        counts.running += 1
        counts.reserved += tokens
        return Reservation(key.counter_id, tokens, True, _windows(counts, key, elapsed_s))

    def leave(self, reservation: Reservation, tokens: int) -> None:
        """Count what a call took in the end, and that it no longer runs. Never waits."""
        if not reservation.counted:
            return
        counts, _ = self._now(reservation.key_id)
        counts.tokens += max(0, tokens)
        counts.running -= 1
        counts.reserved -= reservation.tokens

    def read(self, key: Key) -> Mapping[str, RateWindow]:
        """Return what is left of each limit per minute; counts nothing."""
        counts, elapsed_s = self._now(key.counter_id)
        return _windows(counts, key, elapsed_s)

    def sweep(self) -> None:
        """Forget keys that have no call running and used nothing for two minutes."""
        oldest = int(self.clock() // WINDOW_S) - _IDLE_MINUTES
        for key_id, counts in tuple(self._counts.items()):
            if not counts.running and counts.minute < oldest:
                del self._counts[key_id]

    def _now(self, key_id: int) -> tuple[_Counts, float]:
        """Return the counts of a key, and how far into the minute we are, in seconds."""
        now_s = self.clock()
        minute = int(now_s // WINDOW_S)
        counts = self._counts.get(key_id)
        if counts is None:
            counts = self._counts[key_id] = _Counts(minute)
        counts.roll(minute)
        return counts, now_s % WINDOW_S


def is_limited(key: Key) -> bool:
    """Whether a call has to be counted here at all."""
    return bool(key.requests_per_minute or key.tokens_per_minute or key.concurrent)


def too_many_concurrent(key: Key) -> RateLimited:
    """Return the refusal of too many concurrent calls."""
    return RateLimited(
        f"This key may run {key.concurrent} calls at once; wait for one to end.",
        code="concurrency_limit_exceeded",
        retry_after_s=1,
    )


def too_many_per_minute(metric: str, limit: int, wait_s: float) -> RateLimited:
    """Return the refusal of too many requests, or tokens, per minute."""
    seconds = max(1, int(wait_s + 0.999))
    return RateLimited(
        f"This key may use {limit} {metric} per minute; try again in {seconds} s.",
        type=metric,
        retry_after_s=seconds,
    )


def _refusal(counts: _Counts, key: Key, tokens: int, elapsed_s: float) -> RateLimited | None:
    if key.concurrent and counts.running >= key.concurrent:
        return too_many_concurrent(key)
    before, now = counts.requests_before, counts.requests
    if key.requests_per_minute:
        wait_s = rate_window.wait_s(before, now, elapsed_s, key.requests_per_minute, 1)
        if wait_s > 0:
            return too_many_per_minute("requests", key.requests_per_minute, wait_s)
    if key.tokens_per_minute:
        return _tokens_refusal(counts, key.tokens_per_minute, tokens, elapsed_s)
    return None


def _tokens_refusal(
    counts: _Counts, limit: int, tokens: int, elapsed_s: float
) -> RateLimited | None:
    """Refuse what does not fit beside what running calls expect. A call that is larger than the
    limit itself may pass when nothing else was used, or it could never."""
    before, now = counts.tokens_before, counts.tokens
    used = rate_window.used(before, now, elapsed_s)
    if used + counts.reserved + tokens <= limit or (used < 1 and not counts.reserved):
        return None
    wait_s = rate_window.wait_s(before, now, elapsed_s, limit, min(tokens, limit))
    return too_many_per_minute("tokens", limit, wait_s)


def _windows(counts: _Counts, key: Key, elapsed_s: float) -> dict[str, RateWindow]:
    both = {
        "requests": (counts.requests_before, counts.requests, key.requests_per_minute),
        "tokens": (counts.tokens_before, counts.tokens, key.tokens_per_minute),
    }
    return {
        name: rate_window.window(before, now, elapsed_s, limit)
        for name, (before, now, limit) in both.items()
        if limit
    }
