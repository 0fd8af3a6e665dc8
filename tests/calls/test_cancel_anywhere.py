"""A thousand calls are cancelled at random moments, and nothing of them is left."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.calls.active_call import ActiveCall
from gateway.core.admin import SYSTEM
from gateway.errors import ClientGone, GatewayError, UpstreamUnreachable
from gateway.limits.limiter import Lease
from gateway.runtime import tasks
from gateway.runtime.tasks import Event, Task
from gateway.web.context import Services
from tests.api.apps import application
from tests.calls.bench import Bench, read, read_vectors, start
from tests.calls.leftovers import open_sockets, running_greenlets, without_gc
from tests.calls.maze import MODELS, Maze
from tests.calls.places import is_inside, place_of, until

SEED = 20_301_129
STRIKES = 1_000
AT_ONCE = 44
SLOTS = 4
LARGE = "x" * (4 << 20)
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}
LEAST = {
    "queue": 30, "connect": 30, "send": 30, "head": 30, "body": 30, "put": 30,
    "embeddings": 30, "several choices": 30, "second pass": 30, "second server": 30,
    "abort": 30, "twice": 200, "consumer": 30,
}  # fmt: skip
"""How often each place and each way must have been met."""


class Launched:
    """One call, and the greenlet that reads it."""

    def __init__(self, kind: str, run: Callable[[Launched], None]) -> None:
        self.kind = kind
        self.active: ActiveCall | None = None
        self.goes_on = Event()
        """A slow consumer reads nothing until then."""
        self.consumer: Task[None] = tasks.spawn(run, self)

    @property
    def producers(self) -> list[Task[None]]:
        return [] if self.active is None else [one for one in self.active.tasks if not one.ended]


class Site:
    """An application before a maze, and the calls it is asked for."""

    def __init__(self, services: Services, mazes: list[Maze]) -> None:
        self.services = services
        self.mazes = mazes
        for server in services.catalog.servers():
            services.servers.update(server.id, {"slots": SLOTS}, SYSTEM)
        self.bench = bench = Bench(services, concurrent=AT_ONCE)
        tools = {"tools": [TOOL], "tool_choice": "required"}
        self._prepared = {
            "connect": bench.chat("connect", stream=True),
            "send": bench.chat("send", LARGE),
            "silent": bench.chat("silent", stream=True),
            "slow": bench.chat("slow", stream=True),
            "several": bench.chat("slow", n=3),
            "several streamed": bench.chat("quick", n=2, stream=True),
            "flood": bench.chat("flood", stream=True),
            "flood whole": bench.chat("flood"),
            "quick": bench.chat("quick", stream=True),
            "tools": bench.chat("tools", stream=True, **tools),
            "twice": bench.chat("twice", stream=True),
        }
        self._vectors = {
            "vectors": bench.embedding("vectors", "one"),
            "silent vectors": bench.embedding("vectors", "one", "two"),
        }
        mazes[1].turn("deaf")
        mazes[2].turn("closed")
        mazes[3].turn("dying")

    @property
    def kinds(self) -> list[str]:
        return [*self._prepared, *self._vectors]

    def launch(self, kind: str) -> Launched:
        return Launched(kind, self._run)

    def _run(self, launched: Launched) -> None:
        """Read a call as its view does."""
        prepared, request = self._vectors.get(launched.kind, (None, None))
        active = self.bench.call(prepared or self._prepared[launched.kind])
        launched.active = active
        try:
            with active:
                if request is not None:
                    read_vectors(active, request)
                    return
                start(active)
                if launched.kind == "flood":
                    active.first()
                    launched.goes_on.wait()
                read(active)
        except GatewayError:
            pass

    def rest(self) -> None:
        """Let the servers be well again: what was noted against them is forgotten."""
        scheduler = self.services.scheduler
        for server in scheduler.servers.values():
            scheduler.on_probe_failure(server, datetime.now(UTC), "rest", certain=True)
            scheduler.on_probe_success(server, datetime.now(UTC), {}, 1.0, "0.33.0")
        for maze in self.mazes:
            maze.let_go()

    def close_idle(self) -> None:
        """Close the connections that wait for another call."""
        for server in self.services.scheduler.servers.values():
            server.client.adapter.close()
            server.client.adapter._is_closed = False

    def leases(self) -> list[Lease]:
        """Take all the calls the key may run at once. Raises RateLimited if some still run."""
        return [self.services.limiter.admit(self.bench.key, 1) for _ in range(AT_ONCE)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    mazes = [Maze(*MODELS), Maze("send"), Maze("connect"), Maze("twice"), Maze("twice", "slow")]
    with application(tmp_path, *mazes) as app:
        yield Site(app.services, mazes)
        for task in (app.services.calls.monitor._task, app.services.calls.monitor.loop):
            end(task)
    for maze in mazes:
        maze.close()


def end(task: Task[Any] | None) -> None:
    if task is not None:
        task.interrupt("the test is over")
        assert task.wait(10)


class Striker:
    """Ends calls in every way there is, and writes down where that struck."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.seen: Counter[str] = Counter()
        self.strikes = 0

    def strike(self, launched: Launched) -> None:
        """End a call that still runs."""
        chance, active = self._chance, launched.active
        if active is None or not launched.producers:
            self.seen["ended before"] += 1
            return
        if chance.random() < 0.25 and active.attempts:
            self._note(launched, "abort")
            for attempt in list(active.attempts):
                attempt.abort(UpstreamUnreachable("The server was found dead."))
            self._pause()
        if launched.producers:
            how = chance.choices(["cancel", "consumer", "close"], [7, 2, 1])[0]
            self._note(launched, how)
            self._end(launched, active, how)
        if chance.random() < 0.4:
            self.seen["twice"] += 1
            self._pause()
            self._end(launched, active, chance.choice(["cancel", "consumer", "close"]))
        launched.goes_on.set()

    def _end(self, launched: Launched, active: ActiveCall, how: str) -> None:
        match how:
            case "consumer":
                launched.consumer.interrupt("killed")
            case "close":
                tasks.spawn(active.close)
            case _:
                kind = self._chance.choice([ClientGone, GatewayError])
                active.cancel(kind("over"))
                for task in active.tasks:
                    task.kick()

    def _note(self, launched: Launched, how: str) -> None:
        active, seen = launched.active, self.seen
        assert active is not None
        self.strikes += 1
        seen[how] += 1
        for task in launched.producers:
            seen[place_of(task) or "elsewhere"] += 1
            seen["second pass"] += is_inside(task, "_make")
        seen["embeddings"] += "vectors" in launched.kind
        seen["several choices"] += "several" in launched.kind
        seen["second server"] += launched.kind == "twice" and active.stats.upstream_calls > 1

    def _pause(self) -> None:
        """Let others run, for a moment nobody knows."""
        if self._chance.random() < 0.5:
            time.sleep(self._chance.choice([0, 0, 0.001]))


def test_nothing_is_left_of_calls_cancelled_anywhere(site: Site) -> None:
    chance = random.Random(SEED)
    striker = Striker(chance)
    services, parts, records = site.services, site.bench.parts, site.bench.records
    wave(site, striker, chance)  # what is made at first use is made
    rest(site)
    striker.strikes = 0
    striker.seen.clear()

    with without_gc():
        sockets, greenlets = open_sockets(), running_greenlets()
        while striker.strikes < STRIKES:
            wave(site, striker, chance)
        rest(site)
        told = f"seed {SEED}: {dict(striker.seen)}"
        print(told)

        until(lambda: open_sockets() <= sockets, f"the sockets to be closed; {told}")
        until(lambda: running_greenlets() <= greenlets, f"the greenlets to end; {told}")

    settled = Counter(settlement.request_id for settlement in records.settled)
    assert {place for place, least in LEAST.items() if striker.seen[place] < least} == set(), told
    assert services.scheduler.in_flight() == {}, told
    assert services.scheduler.waiting() == {}, told
    assert (len(parts.registry), len(parts.monitor)) == (0, 0), told
    assert set(settled) == {admission.request_id for admission in records.admitted}, told
    assert set(settled.values()) == {1}, told
    for lease in site.leases():
        lease.settle(0, counted=False)


def wave(site: Site, striker: Striker, chance: random.Random) -> None:
    """Launch many calls, and end each of them at a moment of its own."""
    kinds = (site.kinds * AT_ONCE)[:AT_ONCE]
    chance.shuffle(kinds)
    launched = [site.launch(kind) for kind in kinds]
    time.sleep(chance.uniform(0.005, 0.06))
    chance.shuffle(launched)
    for one in launched:
        striker.strike(one)
        if chance.random() < 0.3:
            time.sleep(chance.choice([0, 0.001, 0.002]))
    for one in launched:
        one.goes_on.set()
        if one.producers and one.active is not None:
            one.active.cancel(ClientGone("over"))
    ended = f"all consumers to end (seed {SEED})"
    until(lambda: all(one.consumer.ended for one in launched), ended)
    site.rest()


def rest(site: Site) -> None:
    site.rest()
    site.close_idle()
