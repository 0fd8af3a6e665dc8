"""Limits per minute and of concurrent calls over several processes; in this one while Redis is
away.

Minutes are counted by the sliding window counter of the `limits` library. A running call is a lease
(`runtime.shared_counts`) whose name says how many tokens it expects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from gateway.errors import RateLimited
from gateway.limits.windows import (
    LimitReached,
    LocalWindows,
    Reservation,
    is_limited,
    too_many_concurrent,
    too_many_per_minute,
)
from gateway.policy.rate_window import WINDOW_S, RateWindow
from gateway.runtime import tasks
from gateway.runtime.redis_connection import RedisAway
from gateway.runtime.shared_counts import PREFIX, SharedCounts
from gateway.schemas.key import Key


class RedisWindows(LocalWindows):
    """The windows of all processes on one Redis; those of this one while it is away."""

    def __init__(
        self,
        counts: SharedCounts,
        clock: Callable[[], float],
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock)
        self._shared = counts
        self._time = now
        redis = counts.redis
        url = redis.url if not redis.url.startswith("unix://") else f"redis+{redis.url}"
        storage = RedisStorage(url, connection_pool=redis.client.connection_pool, key_prefix=PREFIX)
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    def enter(self, key: Key, tokens: int) -> Reservation:
        if not is_limited(key):
            return Reservation(key.counter_id)
        lease_id = self._shared.new_lease(tokens)
        try:
            with tasks.shield():
                return self._enter(lease_id, key, tokens)
        except RedisAway:
            self._shared.release(lease_id)
            return super().enter(key, tokens)
        except BaseException:
            self._shared.release(lease_id)
            raise

    def leave(self, reservation: Reservation, tokens: int) -> None:
        if not reservation.lease_id:
            super().leave(reservation, tokens)
            return
        self._shared.release(reservation.lease_id)
        if tokens > 0 and "tokens" in reservation.windows:
            item = RateLimitItemPerMinute(reservation.windows["tokens"].limit)
            self._shared.submit(partial(self._add, item, reservation.key_id, tokens))

    def read(self, key: Key) -> Mapping[str, RateWindow]:
        try:
            return self._shared.redis.run(lambda: self._left(key))
        except RedisAway:
            return super().read(key)

    def _enter(self, lease_id: str, key: Key, tokens: int) -> Reservation:
        is_counted, reserved = self._shared.enter(f"key:{key.counter_id}", lease_id, key.concurrent)
        run = self._shared.redis.run
        if not is_counted:
            refusal: RateLimited | None = too_many_concurrent(key)
        else:
            refusal = run(lambda: self._refusal(key, tokens, reserved))
        windows = run(lambda: self._left(key))
        if refusal is not None:
            raise LimitReached(refusal, windows)
        return Reservation(key.counter_id, tokens, True, windows, lease_id)

    def _refusal(self, key: Key, tokens: int, reserved: int) -> RateLimited | None:
        if key.tokens_per_minute:
            limit = key.tokens_per_minute
            item = RateLimitItemPerMinute(limit)
            stats = self._limiter.get_window_stats(item, str(key.counter_id), "tokens")
            used = limit - stats.remaining
            if used + reserved + tokens > limit and (used or reserved):
                return too_many_per_minute("tokens", limit, self._wait_s(stats.reset_time))
        if key.requests_per_minute:
            item = RateLimitItemPerMinute(key.requests_per_minute)
            if not self._limiter.hit(item, str(key.counter_id), "requests"):
                stats = self._limiter.get_window_stats(item, str(key.counter_id), "requests")
                wait_s = self._wait_s(stats.reset_time)
                return too_many_per_minute("requests", key.requests_per_minute, wait_s)
        return None

    def _wait_s(self, reset_at_s: float) -> float:
        return min(WINDOW_S, reset_at_s - self._time())

    def _left(self, key: Key) -> dict[str, RateWindow]:
        found: dict[str, RateWindow] = {}
        for name, limit in (
            ("requests", key.requests_per_minute),
            ("tokens", key.tokens_per_minute),
        ):
            if limit:
                item = RateLimitItemPerMinute(limit)
                stats = self._limiter.get_window_stats(item, str(key.counter_id), name)
                full = stats.remaining >= limit
                reset_s = 0.0 if full else max(0.0, stats.reset_time - self._time())
                found[name] = RateWindow(limit, max(0, stats.remaining), reset_s)
        return found

    def _add(self, item: RateLimitItemPerMinute, key_id: int, tokens: int) -> None:
        """Add tokens that were taken, also beyond the limit: `hit` alone would refuse those."""
        if not self._limiter.hit(item, str(key_id), "tokens", cost=tokens):
            left = self._limiter.get_window_stats(item, str(key_id), "tokens").remaining
            if left > 0:
                self._limiter.hit(item, str(key_id), "tokens", cost=left)
