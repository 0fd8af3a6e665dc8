"""Why Ollama loads a model for a call.

Ollama says how long a call waited for its model (`load_duration`), not why. What the gateway knows
of the server before the call tells the reason:

    first       the gateway had not seen the model in memory there
    idle        its time to stay was over
    evicted     another model needed its place
    unloaded    it was taken out of memory, by an admin or somebody beside the gateway
    restarted   the server was away
    window      it was loaded with another `num_ctx`
    options     it was loaded with other runner options
    other       it was in memory and fitted: its runner ended, or another process changed it

A load also empties the prompt cache, and sets how long the model stays to the server's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, get_args

from gateway.core.catalog import Loaded
from gateway.core.chat import Json, Params
from gateway.core.options import OPTIONS

Reason: TypeAlias = Literal[
    "first", "idle", "evicted", "unloaded", "restarted", "window", "options", "other"
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
RELOADS: Final[tuple[Reason, ...]] = ("window", "options", "other")
"""Loads of a model that was in memory."""
LOAD_MS: Final = 100
"""A call that waits no longer for its model found it loaded: 1 ms is usual, 540 ms the shortest
load seen."""
_RUNNER: Final = tuple(name for name in OPTIONS if OPTIONS[name].runner)
_ABOUT_NOW: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Before:
    """What was known of a model on a server before a call was sent there: the parameters `sent`
    with the call before (None: there was none), the window it was loaded with (`loaded_tokens`;
    0: it was not, 1: not known), why it was `gone`, and whether other calls ran."""

    sent: Params | None
    loaded_tokens: int
    gone: Reason
    is_shared: bool

    def reason(self, now: Params) -> Reason | None:
        """Return why Ollama loaded the model for a call that sent `now`; None where the load was
        that of another call, which it waited for."""
        before = self.sent
        if self.is_shared and before is not None and _decisive(before) == _decisive(now):
            return None
        if not self.loaded_tokens:
            return self.gone
        window = now.options.get("num_ctx")
        if window and self.loaded_tokens > 1 and window != self.loaded_tokens:
            return "window"
        if before is None or _decisive(before) == _decisive(now):
            return "other"
        return "options" if before.options.get("num_ctx") == window else "window"


def _decisive(params: Params) -> tuple[Json, ...]:
    """Return what of a call's parameters decides how its model is loaded."""
    return (params.shift, *(params.options.get(name) for name in _RUNNER))


def why_gone(
    was: Loaded, now: Mapping[str, Loaded], before: Mapping[str, Loaded], at: datetime
) -> Reason:
    """Return why a model is no longer in memory at `at`, of a server that had `before` loaded."""
    if was.expires_at is not None and was.expires_at <= at + _ABOUT_NOW:
        return "idle"
    return "evicted" if now.keys() - before.keys() else "unloaded"
