"""Schedulers for tests: servers, models and keys by short names, time told by the test."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from gateway.core.catalog import Loaded, Model
from gateway.ollama.client import OllamaClient
from gateway.runtime.shared_counts import SharedCounts
from gateway.scheduling.scheduler import Scheduler
from gateway.scheduling.tickets import Slot, Ticket
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings

AT = datetime(2030, 5, 15, 12, 0, tzinfo=UTC)
ALICE = Key(id=1, name="alice", prefix="sk-o2a-aa")
BOB = Key(id=2, name="bob", prefix="sk-o2a-bb")


def server(number: int, **more: Any) -> Server:
    """A server called s1, s2, ..., at an address nobody calls."""
    return Server(number, f"s{number}", f"http://127.0.0.1:{number}", **more)


def model(*server_ids: int, name: str = "tern:latest", **more: Any) -> Model:
    """A model on these servers."""
    return Model(1, name, name.removesuffix(":latest"), server_ids=server_ids, **more)


class Seconds:
    """A monotonic clock that goes on when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def tick(self, seconds: float) -> None:
        self.now_s += seconds


class Bench:
    """A scheduler on a bench: no probes, no network."""

    def __init__(
        self, *servers: Server, counts: SharedCounts | None = None, **behaviour: Any
    ) -> None:
        self.clock = Seconds()
        self.behaviour = RuntimeSettings(**behaviour)
        clock = self.clock if counts is None else time.monotonic
        self.missing: list[tuple[int, str]] = []
        self.scheduler = Scheduler(
            OllamaClient,
            lambda: self.behaviour,
            clock,
            counts,
            on_missing=lambda *what: self.missing.append(what),
        )
        self.know(*servers)

    def know(
        self,
        *servers: Server,
        names: tuple[str, ...] = ("tern:latest",),
        weights: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.servers = servers
        listed = {one.id: frozenset(names) for one in servers}
        self.scheduler.know(servers, listed, weights=weights)

    def well(self, number: int, *loaded: str, context: int = 8192, version: str = "0.33.0") -> None:
        """Let a probe of server `number` go well, with these models in memory."""
        state = self.scheduler.servers[number]
        models = {name: Loaded(name, context_tokens=context) for name in loaded}
        self.scheduler.on_probe_success(state, AT, models, 1.0, version)

    def dead(self, number: int, *, certain: bool = True) -> None:
        """Let a probe of server `number` fail."""
        state = self.scheduler.servers[number]
        self.scheduler.on_probe_failure(state, AT, "Nothing listens there.", certain=certain)

    def ask(self, wanted: Model | None = None, key: Key | None = ALICE, **more: Any) -> Ticket:
        """Get a ticket; by default for a model that every server has."""
        ids = tuple(one.id for one in self.servers)
        return self.scheduler.ticket(wanted or model(*ids), key, **more)

    def run(self, wanted: Model | None = None, key: Key | None = ALICE, **more: Any) -> Slot:
        """Get a slot that must be free."""
        slot = self.ask(wanted, key, **more).wait(0)
        assert slot is not None
        return slot

    def state(self, number: int) -> tuple[str, str]:
        """Give a server's state and reason."""
        return next(
            (view.state, view.reason) for view in self.scheduler.views() if view.server.id == number
        )
