"""Rate limits per minute: a sliding window in two numbers, and the headers that tell of it.

The window of the last 60 s is estimated from the count of the running minute and that of the one
before, weighted by how much of it still lies in the window. It never lets more than the limit pass
from a standing start, needs no list of instants, and is the same rule as the `limits` library's
sliding window counter, which counts for several machines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

WINDOW_S = 60.0

Form: TypeAlias = Literal["openai", "anthropic", "ollama"]


@dataclass(frozen=True, slots=True)
class RateWindow:
    """A limit per minute as a caller sees it: what is left, and when all of it is again."""

    limit: int
    remaining: int
    reset_s: float


def used(previous: float, current: float, elapsed_s: float) -> float:
    """Estimate the count of the last 60 s, `elapsed_s` into the running minute."""
    return previous * max(0.0, 1 - elapsed_s / WINDOW_S) + current


def wait_s(previous: float, current: float, elapsed_s: float, limit: int, wanted: float) -> float:
    """Return how long until `wanted` more fit into the window (at least when it is empty)."""
    room = limit - wanted
    left_s = WINDOW_S - elapsed_s
    if used(previous, current, elapsed_s) <= room:
        return 0.0
    if room < 0:
        return left_s + WINDOW_S if current else left_s
    if current <= room:
        return max(0.0, WINDOW_S * (1 - (room - current) / previous) - elapsed_s)
    return left_s + WINDOW_S * (1 - room / current)


def window(previous: float, current: float, elapsed_s: float, limit: int) -> RateWindow:
    """Return the window as a caller sees it."""
    remaining = max(0, math.floor(limit - used(previous, current, elapsed_s)))
    left_s = WINDOW_S - elapsed_s
    reset_s = left_s + WINDOW_S if current else left_s if previous else 0.0
    return RateWindow(limit, remaining, reset_s)


def headers(windows: Mapping[str, RateWindow], form: Form, now: datetime) -> dict[str, str]:
    """Return the headers of `requests` and `tokens` windows in a vendor's own form (D5);
    Ollama has none, so its clients get OpenAI's."""
    found: dict[str, str] = {}
    for name, seen in windows.items():
        if form == "anthropic":
            at = now + timedelta(seconds=math.ceil(seen.reset_s))
            found[f"anthropic-ratelimit-{name}-limit"] = str(seen.limit)
            found[f"anthropic-ratelimit-{name}-remaining"] = str(seen.remaining)
            found[f"anthropic-ratelimit-{name}-reset"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            found[f"x-ratelimit-limit-{name}"] = str(seen.limit)
            found[f"x-ratelimit-remaining-{name}"] = str(seen.remaining)
            found[f"x-ratelimit-reset-{name}"] = duration(seen.reset_s)
    return found


def duration(seconds: float) -> str:
    """Write a duration as OpenAI does: 12ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = math.ceil(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60}s"
