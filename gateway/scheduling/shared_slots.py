"""Slots that several processes take from, in Redis: for the first call of each queue.

One task a model takes slots for its queue, one after the other, so each process tries for the call
that is first and for no other. It belongs to no call: a call that leaves meanwhile does not disturb
it, and what was taken goes to the next in the queue, or back. It is woken

    at once         when a call joins, or a slot of this process is given back
    within 20 ms    when another process gives a slot back (spread by chance, so that not all try)
    every 0.5 s     while calls wait: messages may be lost, and leases of a dead process expire

While Redis is away, taking succeeds at once: each process counts for itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

from gateway.runtime import tasks
from gateway.runtime.redis_connection import RedisAway
from gateway.runtime.shared_counts import Acquired, SharedCounts, of_slot, slot_name
from gateway.scheduling.deployments import Deployment

if TYPE_CHECKING:
    from gateway.scheduling.queue import Next
    from gateway.scheduling.scheduler import Scheduler
    from gateway.scheduling.servers import ServerState

POLL_S: Final = 0.5
SPREAD_S: Final = 0.02
YIELD_S: Final = 0.1
"""How long a slot is left to a process whose call waits for longer."""


@dataclass(eq=False)
class SharedSlots:
    """Takes slots for the queues of this process. The listener of the shared counts."""

    scheduler: Scheduler
    counts: SharedCounts
    clock: Callable[[], float]
    chance: Callable[[], float] = random.random
    _taking: set[str] = field(default_factory=set)
    """Models whose task runs."""
    _again: set[str] = field(default_factory=set)
    """Those it was woken for meanwhile."""
    _delayed: set[str] = field(default_factory=set)
    _observed_s: dict[str, float] = field(default_factory=dict)
    """By model, when Redis last learned that calls wait."""

    def __post_init__(self) -> None:
        self.counts.listener = self

    # -- what the scheduler says -----------------------------------------------------------------

    def wake(self, name: str) -> None:
        """Have slots taken for the queue of a model. Never waits."""
        if name in self._taking:
            self._again.add(name)
        else:
            self._taking.add(name)
            tasks.spawn(self._serve, name)

    def forget_proven(self, server: ServerState) -> None:
        """Forget how many slots a server was seen to have: it was restarted."""
        for name in server.deployments:
            self.counts.forget_proven(slot_name(server.server.id, name))

    # -- what Redis says -------------------------------------------------------------------------

    def on_freed(self, name: str, remote_in_flight: int, *, others_wait: bool) -> None:
        """See `Listener`: somebody gave a slot back."""
        deployment = self._deployment(name)
        if deployment is None:
            return
        deployment.set_remote(remote_in_flight)
        if self.scheduler.queues.get(deployment.name):
            delay_s = SPREAD_S * self.chance() if others_wait else 0.0
            self._wake_later(deployment.name, delay_s)

    def on_answering(self, name: str, count: int) -> None:
        """See `Listener`: so many calls answer at once, in all processes."""
        deployment = self._deployment(name)
        if deployment is not None and not deployment.has_fixed_slots:
            slots = deployment.slots
            deployment.prove(count, self.clock())
            if deployment.slots > slots:
                self.wake(deployment.name)

    def on_away(self) -> None:
        """See `Listener`: from now on only our own calls are known."""
        for server in self.scheduler.servers.values():
            for deployment in server.deployments.values():
                deployment.set_remote(0)
        self.scheduler.serve_all(self.clock())

    # -- steps -----------------------------------------------------------------------------------

    def poll(self) -> None:
        """Look how many slots others hold where calls wait or where they held some, say that ours
        wait, and try again. To be called every `POLL_S`."""
        waiting = self.scheduler.waiting()
        self._observe(tuple(waiting))
        for name in waiting:
            self.wake(name)

    def _observe(self, names: tuple[str, ...]) -> None:
        now_s = self.clock()
        waits: dict[str, float | None] = {}
        for server in self.scheduler.servers.values():
            for deployment in server.deployments.values():
                if deployment.name in names or deployment.remote_in_flight:
                    name = slot_name(deployment.server_id, deployment.name)
                    waits[name] = self._wait_s(deployment.name, now_s)
        found: dict[str, Acquired] = {}
        try:
            if waits:
                found = self.counts.observe(waits, self.scheduler.waiting())
        except RedisAway:
            pass
        self._observed_s.update(dict.fromkeys(names, now_s))
        for name, seen in found.items():
            deployment_now = self._deployment(name)
            if deployment_now is not None:
                self._learn(deployment_now, seen)

    def _serve(self, name: str) -> None:
        """Acquire slots for the queue of a model as long as some are free."""
        try:
            while True:
                self._again.discard(name)
                self._take_all(name)
                if name not in self._again:
                    return
        except Exception as error:
            tasks.note_failure("taking shared slots", error)
        finally:
            self._taking.discard(name)

    def _take_all(self, name: str) -> None:
        skip: set[int] = set()
        while True:
            following = self.scheduler.next_call(name, self.clock(), skip)
            if following is not None:
                if not self._take(following):
                    skip.add(following.deployment.server_id)
            elif not self.scheduler.queues.get(name):
                self._observed_s.pop(name, None)
                return
            elif self.clock() - self._observed_s.get(name, -inf) < POLL_S:
                return
            else:  # what we know of others may be old, and they do not know that we wait
                self._observe((name,))

    def _take(self, following: Next) -> bool:
        """Acquire a slot for a call; False when none is to be had on this server now."""
        deployment = following.deployment
        lease_id = self.counts.new_lease()
        now_s = self.clock()
        name = deployment.name
        acquired = self.counts.try_acquire(
            slot_name(deployment.server_id, name),
            lease_id,
            deployment.slots,
            wait_s=self._wait_s(name, now_s) or 0.0,
            next_wait_s=self._wait_s(name, now_s, but=following),
            is_learned=not deployment.has_fixed_slots,
        )
        self._learn(deployment, acquired)
        if not acquired.granted:
            if acquired.has_older:
                self._wake_later(name, YIELD_S)
            return False
        if not self.scheduler.assign(following, lease_id) and not self._pass_on(
            deployment, lease_id
        ):
            self.counts.release(lease_id)
        return True

    def _pass_on(self, deployment: Deployment, lease_id: str) -> bool:
        """Grant a slot to the next call that can run there: the first one left meanwhile."""
        skip = self.scheduler.servers.keys() - {deployment.server_id}
        following = self.scheduler.next_call(deployment.name, self.clock(), skip)
        return following is not None and self.scheduler.assign(following, lease_id)

    def _learn(self, deployment: Deployment, seen: Acquired) -> None:
        deployment.set_remote(seen.remote_in_flight)
        if not deployment.has_fixed_slots:
            deployment.prove(seen.proven, self.clock())

    def _wait_s(self, name: str, now_s: float, but: Next | None = None) -> float | None:
        """Return how long the oldest call of a model waits, other than `but`; None: none does."""
        joined = [
            entry.joined_s
            for entry in self.scheduler.queues.get(name) or ()
            if but is None or entry is not but.entry
        ]
        return max(0.0, now_s - min(joined)) if joined else None

    def _wake_later(self, name: str, delay_s: float) -> None:
        if name not in self._delayed:
            self._delayed.add(name)
            tasks.spawn(self._delayed_wake, name, delay_s)

    def _delayed_wake(self, name: str, delay_s: float) -> None:
        time.sleep(delay_s)
        self._delayed.discard(name)
        if self.scheduler.queues.get(name):
            self.wake(name)

    def _deployment(self, name: str) -> Deployment | None:
        found = of_slot(name)
        server = None if found is None else self.scheduler.servers.get(found[0])
        return None if found is None or server is None else server.deployments.get(found[1])
