"""Counts that several processes agree on, as leases in Redis: calls in flight for each server and
model, concurrent calls of a key.

**Leases.** What a call holds is a lease with an id made here. Taking and giving back may be
repeated; a lease that was given back cannot be taken any more. It expires after `LEASE_S`, and one
heartbeat of this process renews all that it holds every third of that: when a process is killed,
what it held is free after at most `LEASE_S`. A process whose event loop stands still for longer
lets too many calls in for a moment; `lapsed` counts that.

**Only acquiring waits.** Releases and the rest are sent by one background task, in order. What it
has not sent yet goes along with the next `try_acquire` of the same count, so that a process that
releases and acquires again is not in its own way.

**Redis away** (`redis_connection`): taking succeeds at once and means nothing to others; each
process counts for itself. What runs when Redis is back is counted again with the first heartbeat.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from gateway.runtime import redis_scripts as scripts
from gateway.runtime import tasks
from gateway.runtime.redis_connection import RedisAway, RedisConnection

LEASE_S: Final = 15.0
PREFIX: Final = "ollama2openai"
_WAITING: Final = f"{PREFIX}:waiting"


@dataclass(frozen=True, slots=True)
class Acquired:
    """What came of `try_acquire`. `remote_in_flight`: slots other processes hold; `proven`: how
    many calls were seen to answer at the same time, by any process; `has_older`: a slot is free,
    but another process has a call that waits for longer."""

    granted: bool
    remote_in_flight: int = 0
    proven: int = 0
    has_older: bool = False


class Listener(Protocol):
    """What is called when something changes in Redis. None of these may wait."""

    def on_freed(self, name: str, remote_in_flight: int, *, others_wait: bool) -> None:
        """A slot was given back; other processes hold `remote_in_flight` of them."""

    def on_answering(self, name: str, count: int) -> None:
        """So many calls answer at this moment."""

    def on_away(self) -> None:
        """Redis does not answer any more."""


class SharedCounts:
    """The leases of this process. Start it after the fork; what is asked before works as well."""

    def __init__(
        self,
        url: str,
        *,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.redis = RedisConnection(url)
        self.redis.on_back = self._back
        self.redis.on_away = self._away
        self.lapsed = 0
        self._lease_ms = int(lease_s * 1000)
        self._beat_s = lease_s / 3
        self._clock = clock
        self._process = secrets.token_hex(6)
        self._channel = f"{PREFIX}:freed"
        self._ids = 0
        self._held: dict[str, str] = {}
        self._known: Counter[str] = Counter()
        """By name, how many leases of ours Redis knows."""
        self._to_release: dict[str, list[str]] = {}
        """By name, leases that were given back and are not sent to Redis yet."""
        self._jobs: deque[Callable[[], object]] = deque()
        self.listener: Listener | None = None
        self._wake = tasks.Event()
        self._next_beat_s = 0.0
        self._task: tasks.Task[None] | None = None
        self._is_stopped = False
        self._renewing = ""
        """The count that is being renewed at this moment."""
        register: Callable[[str], Any] = self.redis.client.register_script
        self._acquire = register(scripts.ACQUIRE)
        self._enter = register(scripts.ENTER)
        self._release = register(scripts.RELEASE)
        self._renew = register(scripts.RENEW)
        self._observe = register(scripts.OBSERVE)
        self._answered = register(scripts.ANSWERED)

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to renew, and to listen."""
        self._ensure_task()
        tasks.spawn(self.redis.subscribe, self._channel, self._on_message)

    def stop(self) -> None:
        """Release what is held, and close the connections."""
        if self._is_stopped:
            return
        for lease_id in tuple(self._held):
            self.release(lease_id)
        self._is_stopped = True
        self._wake.set()
        if self._task is not None:
            self._task.wait(2.0)
        self.redis.close()

    def state(self) -> dict[str, object]:
        """Return where is counted: for the health page and the metrics."""
        return {
            "backend": "redis",
            "degraded": self.redis.is_away,
            "failures": self.redis.failures,
            "lapsed": self.lapsed,
        }

    # -- what calls hold ---------------------------------------------------------------------------

    def new_lease(self, tokens: int = 0) -> str:
        """Return the id of a lease to take; one of a key says how many tokens its call expects."""
        self._ids += 1
        return f"{self._process}.{self._ids}:{tokens}"

    def try_acquire(
        self,
        name: str,
        lease_id: str,
        limit: int,
        *,
        wait_s: float = 0.0,
        next_wait_s: float | None = None,
        is_learned: bool = False,
    ) -> Acquired:
        """Acquire one of `limit` slots, for the process's oldest waiting call or another of it.

        `wait_s` is how long its oldest call waits, `next_wait_s` the oldest of those that go on to
        wait if this one is taken (None: nobody does). With `is_learned`, more than `limit` may be
        taken where another process has seen more calls answer at the same time. Waits for Redis,
        at most twice `COMMAND_S`.
        """
        leases, waits, proven = _keys(name, "leases", "waits", "proven")
        keys = [leases, waits, *_keys(lease_id, "released"), proven]
        next_ms = -1 if next_wait_s is None else int(next_wait_s * 1000)
        waits_ms = (int(wait_s * 1000), next_ms)
        args = (lease_id, self._lease_ms, limit, int(is_learned), self._process, *waits_ms)
        try:
            state, count, seen = self._take(
                lease_id, name, self._acquire, keys, (*args, self._channel, name), 3
            )
        except RedisAway:
            self._held[lease_id] = name  # counted in Redis as soon as it is back
            return Acquired(True)
        return Acquired(state == 1, self._remote_in_flight(name, count), seen, state == 2)

    def enter(self, name: str, lease_id: str, limit: int) -> tuple[bool, int]:
        """Count a call of a key, of which `limit` may run (0: any number); waits like
        `try_acquire`. Returns whether it was counted, and the tokens that other running calls of
        the key expect. Raises RedisAway: nothing was counted."""
        keys = [*_keys(name, "leases"), *_keys(lease_id, "released")]
        args = (lease_id, self._lease_ms, limit)
        granted, tokens = self._take(lease_id, name, self._enter, keys, args, 2)
        return granted == 1, tokens

    def release(self, lease_id: str) -> None:
        """Release a lease. Never waits; may be repeated."""
        name = self._held.pop(lease_id, None)
        if name is None:
            return
        if self.redis.is_away:  # it expires there by itself
            self._known[name] -= 1
            return
        self._to_release.setdefault(name, []).append(lease_id)
        self._wake.set()

    def note_answer(self, lease_id: str) -> None:
        """Note a first token; the listener learns how many calls answer. Never waits."""
        if name := self._held.get(lease_id):
            self.submit(partial(self._send_answer, name, lease_id))

    def forget_proven(self, name: str) -> None:
        """Forget how many calls answered at the same time: the server was restarted."""
        self.submit(partial(self.redis.client.delete, *_keys(name, "proven")))

    def submit(self, job: Callable[[], object]) -> None:
        """Run something with Redis in the background; dropped while Redis is away."""
        if not self.redis.is_away:
            self._jobs.append(job)
            self._ensure_task()
            self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything given back was sent to Redis; False when it was not in time."""
        sent = tasks.Event()
        self.submit(sent.set)
        return bool(sent.wait(timeout_s))

    def observe(
        self, waits: Mapping[str, float | None], waiting: Mapping[str, int]
    ) -> dict[str, Acquired]:
        """Record for how long the oldest call for each of these counts waits (None: none does), and
        how many calls wait here, by model. Returns what other processes hold. Raises RedisAway."""

        def work() -> list[list[int]]:
            pipe = self.redis.client.pipeline(transaction=False)
            for name, wait_s in waits.items():
                self._observe(
                    keys=_keys(name, "leases", "waits", "proven"),
                    args=[self._process, -1 if wait_s is None else int(wait_s * 1000)],
                    client=pipe,
                )
            said = msgspec.json.encode((time.time(), waiting))
            pipe.hset(_WAITING, self._process, said)
            pipe.expire(_WAITING, 2 * scripts.WAIT_SEEN_MS // 1000)
            return [_numbers(reply, 2) for reply in pipe.execute()[: len(waits)]]

        replies = self.redis.run(work)
        return {
            name: Acquired(False, self._remote_in_flight(name, count), proven)
            for name, (count, proven) in zip(waits, replies, strict=False)
        }

    def remote_waiting(self) -> Counter[str]:
        """Return how many calls wait in other processes, by model; nothing while Redis is away. For
        people: what a process said is forgotten after two seconds, by the machines' clocks."""

        def work() -> Counter[str]:
            found: Counter[str] = Counter()
            oldest_s = time.time() - scripts.WAIT_SEEN_MS / 1000
            rows: Any = self.redis.client.hgetall(_WAITING)
            for process, said in rows.items():
                at_s, waiting = msgspec.json.decode(said, type=tuple[float, dict[str, int]])
                if process.decode() != self._process and at_s >= oldest_s:
                    found.update(waiting)
            return found

        try:
            return self.redis.run(work)
        except RedisAway:
            return Counter()

    # -- steps -------------------------------------------------------------------------------------

    def _take(
        self,
        lease_id: str,
        name: str,
        script: Any,
        keys: list[str],
        args: tuple[Any, ...],
        size: int,
    ) -> list[int]:
        """Return Redis' `size` numbers for the taking of a lease, 1 first if taken. Raises
        RedisAway."""
        self._ensure_task()
        freed = () if name == self._renewing else self._to_release.pop(name, ())
        try:
            reply = self.redis.run(lambda: _numbers(script(keys=keys, args=(*args, *freed)), size))
        except RedisAway:
            raise
        except BaseException:  # it may have been taken
            self._known[name] += 1
            self._held[lease_id] = name
            self.release(lease_id)
            self._to_release.setdefault(name, []).extend(freed)
            raise
        self._known[name] -= len(freed)
        if reply[0] == 1:
            self._held[lease_id] = name
            self._known[name] += 1
        return reply

    def _remote_in_flight(self, name: str, count: int) -> int:
        return max(0, count - self._known[name])

    def _ensure_task(self) -> None:
        if self._task is None and not self._is_stopped:
            self._next_beat_s = self._clock() + self._beat_s
            self._task = tasks.spawn(self._work)

    def _work(self) -> None:
        while True:
            self._wake.wait(max(0.0, self._next_beat_s - self._clock()))
            self._wake.clear()
            try:
                self._flush()
                if self._clock() >= self._next_beat_s:
                    self._next_beat_s = self._clock() + self._beat_s
                    self._renew_all()
            except RedisAway:
                self._jobs.clear()
            except Exception as error:
                tasks.note_failure("sending counts to Redis", error)
            if self._is_stopped:
                return

    def _flush(self) -> None:
        while self._to_release or self._jobs:
            for name in tuple(self._to_release):
                self._send_releases(name, self._to_release.pop(name, []))
            while self._jobs:
                self.redis.run(self._jobs.popleft())

    def _send_releases(self, name: str, leases: list[str]) -> None:
        if not leases:
            return
        keys = _keys(name, "leases", "waits", "answering")
        args = (self._channel, name, f"{PREFIX}:released:", self._lease_ms, *leases)
        count, waiting = self.redis.run(lambda: _numbers(self._release(keys=keys, args=args), 2))
        self._known[name] -= len(leases)
        if self.listener is not None:
            in_flight = self._remote_in_flight(name, count)
            self.listener.on_freed(name, in_flight, others_wait=waiting > 1)

    def _send_answer(self, name: str, lease_id: str) -> None:
        keys = _keys(name, "leases", "answering", "proven")
        (count,) = _numbers([self._answered(keys=keys, args=[lease_id])], 1)
        if self.listener is not None:
            self.listener.on_answering(name, count)

    def _renew_all(self) -> None:
        """Renew what is held. Leases of a count that is being renewed are not given back with
        the taking of another: that could overtake the renewal, which would count them again."""
        for name in set(self._held.values()):
            leases = [lease_id for lease_id, of in self._held.items() if of == name]
            if leases:
                self._renewing = name
                try:
                    self.lapsed += self.redis.run(partial(self._renew_leases, name, leases))
                finally:
                    self._renewing = ""

    def _renew_leases(self, name: str, leases: list[str]) -> int:
        args: tuple[str | int, ...] = (self._lease_ms, *leases)
        return _numbers([self._renew(keys=_keys(name, "leases"), args=args)], 1)[0]

    def _away(self) -> None:
        self._to_release.clear()
        self._jobs.clear()
        if self.listener is not None:
            self.listener.on_away()

    def _back(self) -> None:
        """Count what runs here again, at once."""
        self._known = Counter(self._held.values())
        self._next_beat_s = 0.0
        self._wake.set()

    def _on_message(self, data: bytes) -> None:
        name, _, count = data.decode().rpartition("\n")
        if self.listener is not None and count.isdigit():
            in_flight = self._remote_in_flight(name, int(count))
            self.listener.on_freed(name, in_flight, others_wait=True)


def slot_name(server_id: int, model: str) -> str:
    """Return what the slots of a model on a server are called."""
    return f"{server_id}/{model}"


def of_slot(name: str) -> tuple[int, str] | None:
    """Return server and model of such a name; None for another one."""
    server_id, _, model = name.partition("/")
    return (int(server_id), model) if server_id.isdigit() else None


def _numbers(reply: Any, size: int) -> list[int]:
    """Return a script's answer. Raises ValueError for another: what answers may not be Redis."""
    if not isinstance(reply, list) or [type(each) for each in reply] != [int] * size:
        raise ValueError("the answer is not one of our scripts'")
    return reply


def _keys(name: str, *kinds: str) -> list[str]:
    return [f"{PREFIX}:{kind}:{name}" for kind in kinds]
