"""The counts of `sharing` in Redis: one hash, a field for each process of all instances.

Imported only where `REDIS_URL` is set: the client is 6 MB.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from gateway.services.sharing import SILENT_S, Counts, decode, encode, total

FORGET_S: Final = 60.0
_HASH: Final = "o2a:calls"
_REDIS_S: Final = 0.1
_REST_S: Final = 5.0


class RedisBoard:
    """A hash in Redis shared by all instances: one field a process."""

    def __init__(self, client: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = client
        self._clock = clock
        self._name = uuid.uuid4().hex
        self._beat = 0
        self._heard: dict[str, tuple[str, float]] = {}
        self._away_until_s = 0.0

    @classmethod
    def at(cls, url: str) -> RedisBoard:
        """Give the board at a Redis address; nothing is connected yet."""
        return cls(
            Redis.from_url(
                url,
                socket_timeout=_REDIS_S,
                socket_connect_timeout=_REDIS_S,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
            )
        )

    def exchange(self, mine: Counts) -> Counts:
        """See `Board`. After a failure Redis is left alone for a few seconds."""
        now_s = self._clock()
        if now_s < self._away_until_s:
            return {}
        self._beat += 1
        text = f"{self._beat} {encode(mine).decode()}"
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hset(_HASH, self._name, text)
                pipeline.hgetall(_HASH)
                fields: dict[str, str] = pipeline.execute()[1]
        except RedisError as error:
            self._away_until_s = now_s + _REST_S
            self._heard.clear()
            raise ConnectionError(str(error)) from error
        fields.pop(self._name, None)
        return total(self._believed(fields, now_s))

    def close(self) -> None:
        """See `Board`."""
        try:
            self._redis.hdel(_HASH, self._name)
        except RedisError as error:
            raise ConnectionError(str(error)) from error
        self._redis.close()

    def _believed(self, fields: Mapping[str, str], now_s: float) -> Iterator[Counts]:
        for name in [name for name in self._heard if name not in fields]:
            del self._heard[name]
        for name, text in fields.items():
            known = self._heard.get(name)
            if known is None or known[0] != text:
                # what was there before we looked may be of a process long gone
                at_s = now_s - SILENT_S if known is None else now_s
                known = self._heard[name] = (text, at_s)
            if now_s - known[1] < SILENT_S:
                yield decode(text.partition(" ")[2].encode())
            elif now_s - known[1] > FORGET_S:
                with suppress(RedisError):  # the next exchange tells whether Redis is away
                    self._redis.hdel(_HASH, name)
