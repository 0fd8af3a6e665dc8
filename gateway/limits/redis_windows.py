"""Limits per minute and of calls at once across machines, kept in Redis; when it is away, locally.

Minutes are counted by the `limits` library's sliding window counter. Calls at once are members of a
sorted set by the time they were last confirmed: a machine that dies stops confirming, and its calls
are forgotten after HELD_S.

Redis may be slow or gone at any time: each command has a tenth of a second, there are no retries,
and the first failure switches to local counts at once. A background look switches back. Nobody's
request waits for Redis while it is known to be away.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from gateway.core.keys import Limits
from gateway.limits.rate_windows import (
    LimitReached,
    LocalWindows,
    Place,
    Windows,
    at_once,
    per_minute,
)
from gateway.policy.rate_window import RateWindow
from gateway.runtime.tasks import every, spawn

log = logging.getLogger(__name__)

COMMAND_S = 0.1
LOOK_S = 1.0
HELD_S = 60.0
_CONFIRM_S = 15.0
_PREFIX = "ollama2openai"
_ENTER = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - ARGV[2])
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
local reserved = 0
for _, member in ipairs(members) do
  reserved = reserved + tonumber(string.match(member, '^(%d+):') or 0)
end
if tonumber(ARGV[3]) > 0 and #members >= tonumber(ARGV[3]) then return {-1, reserved} end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[2] * 2)
return {#members, reserved}
"""


class RedisWindows:
    """The windows of all machines on one Redis, or `local` ones while it is away."""

    def __init__(self, url: str, local: LocalWindows, now: Callable[[], float] = time.time) -> None:
        self._local: Windows = local
        self._now = now
        options: dict[str, Any] = {
            "socket_timeout": COMMAND_S,
            "socket_connect_timeout": COMMAND_S,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
        }
        self._redis = Redis.from_url(url, **options)
        storage_url = url if not url.startswith("unix://") else f"redis+{url}"
        self._storage = RedisStorage(storage_url, key_prefix=_PREFIX, **options)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._script = self._redis.register_script(_ENTER)
        self._held: dict[str, int] = {}
        self._confirming: threading.Event | None = None
        self._away = False
        self.failures = 0

    @property
    def away(self) -> bool:
        """Whether limits are counted locally, because Redis does not answer."""
        return self._away

    def enter(self, key_id: int, limits: Limits, tokens: int) -> Place:
        """Count a call. Raises LimitReached."""
        if not (limits.requests_per_minute or limits.tokens_per_minute or limits.concurrent):
            return Place(key_id)
        if not self._away:
            try:
                return self._enter(key_id, limits, tokens)
            except (RedisError, OSError) as exc:
                self._leave_redis(exc)
        return self._local.enter(key_id, limits, tokens)

    def leave(self, place: Place, tokens: int) -> None:
        """Count what a call took."""
        if not place.member:
            self._local.leave(place, tokens)
            return
        self._held.pop(place.member, None)
        if self._away:
            return
        try:
            self._redis.zrem(_running(place.key_id), place.member)
            if tokens > 0 and "tokens" in place.windows:
                limit = place.windows["tokens"].limit
                self._count(_tokens(limit), place.key_id, tokens)
        except (RedisError, OSError) as exc:
            self._leave_redis(exc)

    def look(self, key_id: int, limits: Limits) -> Mapping[str, RateWindow]:
        """Return what is left."""
        if not self._away:
            try:
                return self._seen(key_id, limits)
            except (RedisError, OSError) as exc:
                self._leave_redis(exc)
        return self._local.look(key_id, limits)

    def stop(self) -> None:
        """Stop confirming, and close the connections."""
        if self._confirming is not None:
            self._confirming.set()
        self._redis.close()

    def _enter(self, key_id: int, limits: Limits, tokens: int) -> Place:
        member = f"{tokens}:{secrets.token_hex(8)}"
        answer = self._script(
            keys=[_running(key_id)],
            args=[f"{self._now():.3f}", int(HELD_S), limits.concurrent, member],
        )
        running, reserved = cast("tuple[int, int]", tuple(answer))
        if running < 0:
            raise LimitReached(at_once(limits), self._seen(key_id, limits))
        self._hold(member, key_id)
        refusal = self._refusal(key_id, limits, tokens, reserved)
        if refusal is not None:
            self._held.pop(member, None)
            self._redis.zrem(_running(key_id), member)
            raise LimitReached(refusal, self._seen(key_id, limits))
        return Place(key_id, tokens, True, self._seen(key_id, limits), member)

    def _refusal(self, key_id: int, limits: Limits, tokens: int, reserved: int) -> Any:
        if limits.tokens_per_minute:
            limit = limits.tokens_per_minute
            stats = self._limiter.get_window_stats(_tokens(limit), str(key_id), "tokens")
            used = limit - stats.remaining
            if used + reserved + tokens > limit and (used or reserved):
                return per_minute("tokens", limit, min(60.0, stats.reset_time - self._now()))
        if limits.requests_per_minute:
            item = RateLimitItemPerMinute(limits.requests_per_minute)
            if not self._limiter.hit(item, str(key_id), "requests"):
                stats = self._limiter.get_window_stats(item, str(key_id), "requests")
                wait_s = min(60.0, stats.reset_time - self._now())
                return per_minute("requests", limits.requests_per_minute, wait_s)
        return None

    def _seen(self, key_id: int, limits: Limits) -> dict[str, RateWindow]:
        seen: dict[str, RateWindow] = {}
        for name, limit in (
            ("requests", limits.requests_per_minute),
            ("tokens", limits.tokens_per_minute),
        ):
            if limit:
                item = RateLimitItemPerMinute(limit)
                stats = self._limiter.get_window_stats(item, str(key_id), name)
                full = stats.remaining >= limit
                reset_s = 0.0 if full else max(0.0, stats.reset_time - self._now())
                seen[name] = RateWindow(limit, max(0, stats.remaining), reset_s)
        return seen

    def _count(self, item: RateLimitItemPerMinute, key_id: int, tokens: int) -> None:
        """Add tokens that were taken, also beyond the limit: `hit` alone would refuse those."""
        if not self._limiter.hit(item, str(key_id), "tokens", cost=tokens):
            left = self._limiter.get_window_stats(item, str(key_id), "tokens").remaining
            if left > 0:
                self._limiter.hit(item, str(key_id), "tokens", cost=left)

    def _hold(self, member: str, key_id: int) -> None:
        self._held[member] = key_id
        if self._confirming is None:
            self._confirming = every(_CONFIRM_S, self._confirm, "redis-limits")

    def _confirm(self) -> None:
        """Say that our running calls still run."""
        if self._away or not self._held:
            return
        try:
            pipe = self._redis.pipeline(transaction=False)
            for member, key_id in list(self._held.items()):
                pipe.zadd(_running(key_id), {member: self._now()}, xx=True)
                pipe.expire(_running(key_id), int(HELD_S * 2))
            pipe.execute()
        except (RedisError, OSError) as exc:
            self._leave_redis(exc)

    def _leave_redis(self, exc: Exception) -> None:
        self.failures += 1
        if self._away:
            return
        self._away = True
        log.error("Redis is away (%s): limits are counted per machine", type(exc).__name__)
        spawn(self._return_to_redis)

    def _return_to_redis(self) -> None:
        while self._away:
            time.sleep(LOOK_S)
            try:
                self._redis.ping()
            except (RedisError, OSError):
                continue
            self._away = False
            log.warning("Redis is back: limits are shared again")


def _running(key_id: int) -> str:
    return f"{_PREFIX}:running:{key_id}"


def _tokens(limit: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(limit)
