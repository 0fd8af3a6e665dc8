"""The board of `sharing` in Redis: one hash, a field for each process of all instances.

A process is believed while its beat goes on: who has not been heard for `SILENT_S` seconds tells
nothing. Nobody's clock is compared with anybody else's. The turn is a key that expires, so nobody
waits for a process that was killed during its turn for longer than `_TURN_MS`.

Imported only where `REDIS_URL` is set: the client is 6 MB.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from gateway.scheduling.neighbours import Row, decode, encode

SILENT_S: Final = 3.0
FORGET_S: Final = 60.0
ROW_BYTES: Final = 65_536
HASH: Final = "o2a:line"
TURN: Final = "o2a:line:turn"
_REDIS_S: Final = 0.1
_REST_S: Final = 5.0
_TURN_MS: Final = 500
_TRIES: Final = 20
_PAUSE_S: Final = 0.003
_GIVE_BACK: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""


class RedisBoard:
    """A hash in Redis shared by all instances: one field a process. See `sharing.OpenBoard`.

    After a failure Redis is left alone for a few seconds; in the meantime everything fails at once.
    """

    def __init__(
        self,
        client: Any,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._redis = client
        self._clock = clock
        self._sleep = sleep
        self._name = uuid.uuid4().hex
        self._beat = 0
        self._heard: dict[str, tuple[str, float, Row]] = {}
        self._rows: Mapping[str, Row] = {}
        self._away_until_s = 0.0

    @classmethod
    def at(cls, url: str) -> RedisBoard:
        """Return the board at a Redis address; nothing is connected yet."""
        return cls(
            Redis.from_url(
                url,
                socket_timeout=_REDIS_S,
                socket_connect_timeout=_REDIS_S,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
            )
        )

    def open(self) -> str:
        """See `sharing.Board`."""
        return self._name

    def exchange(self, mine: Row) -> Mapping[str, Row]:
        """See `sharing.OpenBoard`."""
        _, fields = self._do(("HSET", HASH, self._name, self._text(mine)), ("HGETALL", HASH))
        return self._hear(fields)

    def begin(self) -> Mapping[str, Row] | None:
        """See `sharing.Board`."""
        for _ in range(_TRIES):
            is_ours, fields = self._do(
                ("SET", TURN, self._name, "NX", "PX", _TURN_MS), ("HGETALL", HASH)
            )
            if is_ours:
                return self._hear(fields)
            self._sleep(_PAUSE_S)
        return None

    def end(self, mine: Row) -> None:
        """See `sharing.Board`."""
        self._do(
            ("HSET", HASH, self._name, self._text(mine)),
            ("EVAL", _GIVE_BACK, 1, TURN, self._name),
        )

    def close(self) -> None:
        """See `sharing.Board`."""
        self._do(("HDEL", HASH, self._name))
        self._redis.close()

    def _text(self, mine: Row) -> str:
        self._beat += 1
        return f"{self._beat} {encode(mine, ROW_BYTES).decode()}"

    def _do(self, *commands: tuple[object, ...]) -> list[Any]:
        """Send commands in one go and give their answers."""
        now_s = self._clock()
        if now_s < self._away_until_s:
            raise ConnectionError("Redis is left alone for a moment.")
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                found: list[Any] = pipeline.execute()
        except RedisError as error:
            self._away_until_s = now_s + _REST_S
            self._heard.clear()
            self._rows = {}
            raise ConnectionError(str(error)) from error
        return found

    def _hear(self, fields: Mapping[str, str]) -> Mapping[str, Row]:
        now_s = self._clock()
        heard = self._heard
        for name in [name for name in heard if name not in fields]:
            del heard[name]
        for name, text in fields.items():
            known = heard.get(name)
            if name != self._name and (known is None or known[0] != text):
                # what was there before we looked may be of a process long gone
                at_s = now_s - SILENT_S if known is None else now_s
                heard[name] = (text, at_s, decode(text.partition(" ")[2]))
        rows = {name: row for name, (_, at_s, row) in heard.items() if now_s - at_s < SILENT_S}
        for name in [name for name, (_, at_s, _) in heard.items() if now_s - at_s > FORGET_S]:
            with suppress(OSError):  # the next exchange tells whether Redis is away
                self._do(("HDEL", HASH, name))
        if rows != self._rows:
            self._rows = rows
        return self._rows
