"""A circuit breaker as a value: told of successes and failures, it says whether to call.

    closed     calls pass; `limit` failures within `window_s` open it
    open       nothing passes until `retry_at_s`
    half open  one call passes on trial: its success closes, its failure opens for twice as long

Times are monotonic seconds. Every function returns a new value; none waits, none has a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

TRIAL_S = 30.0
"""How long one trial keeps others away, should its outcome never be told."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one circuit. Build it with the limits, then only use the functions below."""

    limit: int = 5
    window_s: float = 10.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    failed_at_s: tuple[float, ...] = ()
    retry_at_s: float | None = None
    pause_s: float = 0.0
    trial_until_s: float | None = None

    def state(self, now_s: float) -> Literal["closed", "open", "half_open"]:
        """Name the state at `now_s`."""
        if self.retry_at_s is None:
            return "closed"
        return "open" if now_s < self.retry_at_s else "half_open"

    def allows(self, now_s: float) -> bool:
        """Return whether a call may pass now."""
        if self.retry_at_s is None:
            return True
        if now_s < self.retry_at_s:
            return False
        return self.trial_until_s is None or now_s >= self.trial_until_s


def called(breaker: Breaker, now_s: float) -> Breaker:
    """Note that a call passes: in the half-open state it is the trial."""
    if breaker.retry_at_s is None:
        return breaker
    return replace(breaker, trial_until_s=now_s + TRIAL_S)


def forgotten(breaker: Breaker) -> Breaker:
    """Note that a call ended without telling anything (the client left): the next may try."""
    return breaker if breaker.trial_until_s is None else replace(breaker, trial_until_s=None)


def succeeded(breaker: Breaker) -> Breaker:
    """Note a success: closed, and everything before is forgiven."""
    if breaker.retry_at_s is None and not breaker.failed_at_s:
        return breaker
    return replace(breaker, failed_at_s=(), retry_at_s=None, pause_s=0.0, trial_until_s=None)


def failed(breaker: Breaker, now_s: float, *, certain: bool = False) -> Breaker:
    """Note a failure. `certain` ones (connection refused, twice asked) open at once."""
    if breaker.retry_at_s is not None:
        if now_s < breaker.retry_at_s:
            return breaker
        return _opened(breaker, now_s, min(breaker.pause_s * 2, breaker.longest_pause_s))
    recent = tuple(at for at in breaker.failed_at_s if now_s - at < breaker.window_s)
    recent = (*recent, now_s)[-breaker.limit :]
    if certain or len(recent) >= breaker.limit:
        return _opened(breaker, now_s, breaker.first_pause_s)
    return replace(breaker, failed_at_s=recent)


def _opened(breaker: Breaker, now_s: float, pause_s: float) -> Breaker:
    return replace(
        breaker,
        failed_at_s=(),
        retry_at_s=now_s + pause_s,
        pause_s=pause_s,
        trial_until_s=None,
    )
