"""The connection to Redis, and whether Redis answers.

Redis may be slow or gone at any time. A command has `COMMAND_S` to connect and as long again to be
answered, and is never repeated. The first failure marks Redis as away, whatever it is: if something
else answers on its port, redis-py raises any kind of error. From then on nobody waits for it,
whoever asks gets `RedisAway` at once and counts in this process alone. A background task asks again
every `RETRY_S` and marks it as back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gateway.runtime import tasks

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

log = logging.getLogger(__name__)

COMMAND_S: Final = 0.5
RETRY_S: Final = 1.0
_LISTEN_S: Final = 1.0
T = TypeVar("T")


class RedisAway(Exception):
    """Redis does not answer; count in this process."""


class RedisConnection:
    """Runs commands while Redis answers. `on_away` and `on_back` are called, in the greenlet that
    noticed, when that changes; they must not wait.

    Opens no connection before the first command.
    """

    def __init__(self, url: str) -> None:
        from redis import Redis  # only here: the client takes 6 MB
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options: dict[str, Any] = {
            "socket_timeout": COMMAND_S,
            "socket_connect_timeout": COMMAND_S,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
        }
        self.url = url
        self.options = options
        self.client: Redis = Redis.from_url(url, **options)
        self.is_away = False
        self.failures = 0
        self.on_away: Callable[[], None] = lambda: None
        self.on_back: Callable[[], None] = lambda: None
        self._is_closed = False

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, which talks to Redis and checks what came. Raises RedisAway
        for whatever it raises."""
        if self.is_away:
            raise RedisAway
        try:
            return work()
        except Exception as error:
            self._lost(error)
            raise RedisAway from error

    def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        """Call `on_message` with what is published, until `close`; not while Redis is away."""
        pubsub: Callable[..., PubSub] = self.client.pubsub
        is_failing = False
        while not self._is_closed:
            try:
                with pubsub(ignore_subscribe_messages=True) as subscription:
                    subscription.subscribe(channel)
                    failures, is_failing = self.failures, False
                    while not self._is_closed and failures == self.failures:
                        message = subscription.get_message(timeout=_LISTEN_S)
                        if message is not None:
                            on_message(message["data"])
            except Exception as error:
                if not self._is_closed:  # else its socket was closed under it
                    tasks.note_failure("listening to Redis", error, is_logged=not is_failing)
                    is_failing = True
                    time.sleep(RETRY_S)

    def close(self) -> None:
        """Close the connections, and ask no more."""
        self._is_closed = True
        self.client.close()

    def _lost(self, error: Exception) -> None:
        self.failures += 1
        if self.is_away or self._is_closed:
            return
        self.is_away = True
        cause = f"{type(error).__name__}: {error}"[:200]
        log.error("Redis does not answer (%s): each process counts for itself", cause)
        tasks.spawn(self._wait_for_it)
        self.on_away()

    def _wait_for_it(self) -> None:
        ping: Callable[[], object] = self.client.ping
        while not self._is_closed:
            time.sleep(RETRY_S)
            with suppress(Exception):
                # redis-py uses idle connections again that the other side has closed meanwhile
                self.client.connection_pool.disconnect(inuse_connections=False)
                self.is_away = not ping()
            if self.is_away:
                continue
            log.warning("Redis answers again: counts are shared")
            self.on_back()
            return
