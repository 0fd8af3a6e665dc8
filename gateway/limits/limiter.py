"""Admits calls within their key's limits: per minute, at once, and of budgets.

Limits per minute and at once are exact across the workers of a machine, and across machines with
Redis; budgets are exact wherever the database is shared. What a call holds is a `Lease`: settle it
with what the call took, release it in any case.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from gateway.core.behaviour import Behaviour
from gateway.core.keys import Key
from gateway.errors import GatewayError, RateLimited
from gateway.limits.budgets import Budgets, Holds
from gateway.limits.rate_windows import LimitReached, LocalWindows, Place, Windows, machine_counts
from gateway.policy import rate_window
from gateway.policy.rate_window import Form, RateWindow
from gateway.runtime.database import Store
from gateway.runtime.identity import worker_name
from gateway.runtime.shared_counts import SharedCounts
from gateway.runtime.tasks import every
from gateway.runtime.workers import lives

if TYPE_CHECKING:
    from gateway.limits.redis_windows import RedisWindows

log = logging.getLogger(__name__)

_LOOK_S = 1.0


class Lease:
    """What an admitted call holds. A context manager; `release` may be called twice."""

    __slots__ = ("_budgets", "_holds", "_now", "_open", "_place", "_windows", "headers")

    def __init__(
        self,
        place: Place,
        holds: Holds,
        counts: Windows,
        budgets: Budgets,
        now: Callable[[], datetime],
    ) -> None:
        self.headers: Mapping[str, RateWindow] = place.windows
        self._place = place
        self._holds = holds
        self._windows = counts
        self._budgets = budgets
        self._now = now
        self._open = True

    @property
    def token_room(self) -> int | None:
        """How many tokens the call may take in all before a budget ends; None: not bounded."""
        return self._holds.room

    def headers_for(self, form: Form) -> dict[str, str]:
        """Return the rate-limit headers in a vendor's form."""
        return rate_window.headers(self.headers, form, self._now()) if self.headers else {}

    def settle(self, tokens: int, *, counted: bool = True) -> None:
        """Count what the call took; `counted` ones take one from request budgets as well."""
        if not self._open:
            return
        self._open = False
        self._windows.leave(self._place, tokens)
        self._budgets.settle(self._holds, tokens, counted=counted)

    def release(self) -> None:
        """Give everything back that `settle` was not called for."""
        self.settle(0, counted=False)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Limiter:
    """Admits calls."""

    def __init__(
        self,
        store: Store,
        redis_url: str = "",
        *,
        behaviour: Callable[[], Behaviour] = Behaviour,
        folder: Path | None = None,
        workers: int = 1,
        worker: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._behaviour = behaviour
        self._now = now
        self._counts = SharedCounts() if folder is None else machine_counts(folder, workers)
        local = LocalWindows(self._counts, clock)
        self._redis = _redis(redis_url, local) if redis_url else None
        self._windows: Windows = self._redis or local
        self._budgets = Budgets(store, worker or worker_name(), now=now, clock=clock)
        self._stop: threading.Event | None = None

    def admit(self, key: Key, tokens: int, *, prompt: int = 0, form: Form = "openai") -> Lease:
        """Let a call in that expects to take `tokens`, of which `prompt` are its question.

        Raises RateLimited, QuotaExhausted (both with the headers of `form`), StoreUnavailable.
        """
        limits = key.limits
        if not limits.concurrent:
            common = self._behaviour().default_key_concurrency
            limits = replace(limits, concurrent=common) if common else limits
        try:
            place = self._windows.enter(key.counter_id, limits, tokens)
        except LimitReached as reached:
            raise self._with_headers(reached.error, reached.windows, form) from None
        try:
            holds = self._budgets.take(key, tokens, prompt)
        except RateLimited as error:
            self._windows.leave(place, 0)
            raise self._with_headers(error, place.windows, form) from None
        except GatewayError:
            self._windows.leave(place, 0)
            raise
        return Lease(place, holds, self._windows, self._budgets, self._now)

    def left(self, key: Key, form: Form) -> dict[str, str]:
        """Return the headers of a key's limits for an answer that counts nothing."""
        limits = key.limits
        if not (limits.requests_per_minute or limits.tokens_per_minute):
            return {}
        return rate_window.headers(self._windows.look(key.counter_id, limits), form, self._now())

    def state(self) -> dict[str, object]:
        """Say where limits are counted: for the health page and the metrics."""
        if self._redis is None:
            return {"backend": "local", "degraded": False, "failures": 0}
        return {
            "backend": "redis",
            "degraded": self._redis.away,
            "failures": self._redis.failures,
        }

    def start(self) -> None:
        """Take back what dead workers held, now and regularly; return idle leases."""
        self._take_back(all_of_ours=True)
        self._stop = every(_LOOK_S, self.look, "limiter")

    def stop(self) -> None:
        """Stop looking and close what is open."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        if self._redis is not None:
            self._redis.stop()
        self._counts.close()

    def look(self) -> None:
        """Return what is idle or held by the dead. Never raises."""
        try:
            self._budgets.return_idle()
            self._take_back()
        except Exception:
            log.exception("returning idle limits failed")

    def _take_back(self, *, all_of_ours: bool = False) -> None:
        for pid in self._counts.holders():
            if not lives(pid) or (all_of_ours and pid == self._counts.pid):
                calls = self._counts.forget_worker(pid)
                log.warning("%d calls of the ended worker %d no longer count", calls, pid)

    def _with_headers(
        self, error: RateLimited, seen: Mapping[str, RateWindow], form: Form
    ) -> RateLimited:
        error.headers = {**error.headers, **rate_window.headers(seen, form, self._now())}
        return error


def _redis(url: str, local: LocalWindows) -> RedisWindows:
    """Return the windows in Redis; its client is loaded only here, as it takes 6 MB."""
    from gateway.limits.redis_windows import RedisWindows

    return RedisWindows(url, local)
