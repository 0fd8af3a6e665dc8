"""Admits calls within their key's limits: per minute, concurrent, and of budgets.

Limits per minute and of concurrent calls are exact in one process, and with Redis over several;
budgets are exact wherever the database is shared. What a call holds is a `Lease`, settled with what
the call took; that never waits.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.errors import RateLimited
from gateway.limits.budgets import Budgets, Holds
from gateway.limits.windows import (
    LimitReached,
    LocalWindows,
    Reservation,
    too_many_concurrent,
)
from gateway.policy import rate_window
from gateway.policy.rate_window import Form, RateWindow
from gateway.runtime.database import Store
from gateway.runtime.identity import worker_name
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings

if TYPE_CHECKING:
    from gateway.runtime.shared_counts import SharedCounts


@dataclass(eq=False)
class Lease:
    """What an admitted call holds, until it is settled; its key may run `concurrent` at once, 0 is
    any number."""

    limiter: Limiter
    reservation: Reservation
    holds: Holds
    concurrent: int = 0
    is_open: bool = True

    def headers_for(self, form: Form) -> dict[str, str]:
        """Return the rate-limit headers in a vendor's form."""
        return self.limiter.headers(self.reservation.windows, form)

    def settle(self, tokens: int, *, counted: bool = True) -> None:
        """Count what the call took, once; `counted` ones take one of request budgets."""
        if self.is_open:
            self.is_open = False
            self.limiter.settle(self, tokens, counted=counted)


class Limiter:
    """Admits calls."""

    def __init__(
        self,
        store: Store,
        counts: SharedCounts | None = None,
        *,
        behaviour: Callable[[], RuntimeSettings] = RuntimeSettings,
        worker: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._behaviour = behaviour
        self._now = now
        self._counts = counts
        if counts is None:
            self._windows = LocalWindows(clock)
        else:
            from gateway.limits.redis_windows import RedisWindows  # only here: it loads a library

            self._windows = RedisWindows(counts, clock)
        self._reading: Counter[int] = Counter()
        self._budgets = Budgets(store, worker or worker_name(), now=now, clock=clock)

    def admit(self, key: Key, tokens: int, *, prompt: int = 0, form: Form = "openai") -> Lease:
        """Admit a call that expects to take `tokens`, of which `prompt` are its question.

        Raises RateLimited, QuotaExhausted (both with the headers of `form`), StoreUnavailable.
        """
        key = self._with_defaults(key)
        try:
            reservation = self._windows.enter(key, tokens)
        except LimitReached as reached:
            raise self._with_headers(reached.error, reached.windows, form) from None
        try:
            holds = self._budgets.take(key, tokens, prompt)
        except RateLimited as error:
            self._windows.leave(reservation, 0)
            raise self._with_headers(error, reservation.windows, form) from None
        except BaseException:
            self._windows.leave(reservation, 0)
            raise
        return Lease(self, reservation, holds, key.concurrent or 0)

    def count(self, key: Key, form: Form) -> None:
        """Count a request that calls no model, of which only those per minute are limited. Raises
        RateLimited with the headers of `form`."""
        key = replace(key, tokens_per_minute=0, concurrent=0)
        try:
            self._windows.leave(self._windows.enter(key, 0), 0)
        except LimitReached as reached:
            raise self._with_headers(reached.error, reached.windows, form) from None

    @contextmanager
    def reading(self, key: Key) -> Iterator[None]:
        """Count a body that is being read, in this process: a key may send as many at once as it
        may run calls, so that slow ones fill no connections. Raises RateLimited."""
        key, owner = self._with_defaults(key), key.counter_id
        if key.concurrent and self._reading[owner] >= key.concurrent:
            raise too_many_concurrent(key)
        self._reading[owner] += 1
        try:
            yield
        finally:
            self._reading[owner] -= 1
            if not self._reading[owner]:
                del self._reading[owner]

    def _with_defaults(self, key: Key) -> Key:
        if key.concurrent or not (common := self._behaviour().default_key_concurrency):
            return key
        return replace(key, concurrent=common)

    def settle(self, lease: Lease, tokens: int, *, counted: bool) -> None:
        """Count what a call took; called once, by its lease."""
        self._windows.leave(lease.reservation, tokens)
        self._budgets.settle(lease.holds, tokens, counted=counted)

    def headers(self, windows: Mapping[str, RateWindow], form: Form) -> dict[str, str]:
        """Return the rate-limit headers in a vendor's form; none where there are no limits."""
        return rate_window.headers(windows, form, self._now()) if windows else {}

    def left(self, key: Key, form: Form) -> dict[str, str]:
        """Return the headers of a key's limits for an answer that counts nothing."""
        if not (key.requests_per_minute or key.tokens_per_minute):
            return {}
        return self.headers(self._windows.read(key), form)

    def state(self) -> dict[str, object]:
        """Return where limits are counted: for the health page and the metrics."""
        if self._counts is None:
            return {"backend": "local", "degraded": False, "failures": 0}
        return self._counts.state()

    def return_idle(self) -> None:
        """Return what is idle; to be called every second."""
        self._budgets.return_idle()
        self._windows.sweep()

    def _with_headers(
        self, error: RateLimited, seen: Mapping[str, RateWindow], form: Form
    ) -> RateLimited:
        error.headers = {**error.headers, **self.headers(seen, form)}
        return error
