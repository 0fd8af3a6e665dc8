"""The parts around a scheduler on a real store, before fake servers: no loops run."""

from __future__ import annotations

from typing import Any

from fake_ollama import FakeOllama
from gateway.core.admin import SYSTEM
from gateway.core.catalog import Model
from gateway.management.model_jobs import ModelJobs
from gateway.management.model_operations import Operations
from gateway.management.servers import Servers
from gateway.management.settings import SettingsCache
from gateway.runtime.database import Store
from gateway.runtime.versions import ChangeVersions
from gateway.scheduling.catalog import Catalog
from gateway.scheduling.clients import Clients
from gateway.scheduling.discovery import Refreshed, Refresher
from gateway.scheduling.loading import Loading
from gateway.scheduling.probes import Prober
from gateway.scheduling.scheduler import Scheduler
from gateway.schemas.server import Server
from tests.services.conftest import FakeClock


class Site:
    """Everything that deals with servers, as one worker has it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.versions = ChangeVersions(store, clock.seconds)
        self.settings = SettingsCache(store, self.versions, clock.now)
        behaviour = self.settings.behaviour
        self.catalog = Catalog(
            store,
            self.versions,
            behaviour,
            listener=lambda snapshot: self.scheduler.follow(snapshot),
        )
        self.clients = Clients(behaviour, pool_size=8)
        self.scheduler = Scheduler(self.clients, behaviour, clock.seconds)
        self.refresher = Refresher(
            store,
            self.catalog,
            self.clients,
            behaviour,
            now=clock.now,
            clock=clock.seconds,
            chance=lambda: 0.5,
        )
        self.prober = Prober(
            self.scheduler, clock=clock.seconds, random_number=lambda: 0.5, limit_s=0.5
        )
        self.servers = Servers(store, self.clients, self.refresher, now=clock.now)
        self.loading = Loading(store, self.catalog, behaviour, now=clock.now)
        parts = (store, self.scheduler, self.refresher, self.loading)
        self.operations = Operations(*parts, now=clock.now)
        self.pulls = ModelJobs(*parts, clock=clock.seconds, now=clock.now)

    def set(self, **changes: Any) -> None:
        """Change settings."""
        self.settings.update(changes, SYSTEM)

    def add(self, ollama: FakeOllama, name: str = "box", **more: Any) -> Server:
        """Add a fake server and take over its models."""
        return self.servers.create({"name": name, "url": ollama.url, **more}, SYSTEM)

    def refresh(self, server: Server) -> Refreshed:
        """Refresh one server."""
        (found,) = self.refresher.refresh(server.id)
        return found

    def model(self, name: str) -> Model:
        """Give a model by its canonical name."""
        return next(model for model in self.catalog.models() if model.name == name)

    def names(self) -> set[str]:
        """Give the names of the models that can be called."""
        return {model.name for model in self.catalog.index().models}

    def probe(self) -> None:
        """Ask every server that is due, here and now."""
        self.scheduler.on_time_passed()
        for server in self.prober.due():
            self.prober.probe(server)

    def state(self, server: Server) -> tuple[str, str]:
        """Give a server's state and reason."""
        return next(
            (view.state, view.reason)
            for view in self.scheduler.views()
            if view.server.id == server.id
        )

    def close(self) -> None:
        """End what is open."""
        self.versions.stop()
        for server in self.catalog.servers():
            self.clients.forget(server.id)
