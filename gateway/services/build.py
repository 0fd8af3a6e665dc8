"""Makes the services of an application: the one place that knows how they are wired."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from flask import Flask

from gateway.config import Settings
from gateway.core.chat import Json
from gateway.policy import override_rules
from gateway.policy.estimate import Factors
from gateway.services import Services, attach
from gateway.services.admins import Admins
from gateway.services.catalog import Catalog
from gateway.services.clients import Clients
from gateway.services.fleet import Fleet, Job
from gateway.services.identity import worker_name
from gateway.services.images import Images
from gateway.services.keyring import Keyring
from gateway.services.keys import Keys
from gateway.services.limiter import Limiter
from gateway.services.live import Live
from gateway.services.loading import Loading
from gateway.services.local_board import LocalBoard
from gateway.services.metrics import Metrics, Watchdog
from gateway.services.models import Models
from gateway.services.operations import Operations
from gateway.services.probes import Prober
from gateway.services.pulls import Pulls
from gateway.services.reaper import Reaper
from gateway.services.refresh import Refresher
from gateway.services.responses import Responses
from gateway.services.retention import Retention
from gateway.services.revisions import Revisions
from gateway.services.revocation import Revocation
from gateway.services.servers import Servers
from gateway.services.settings import SettingsCache
from gateway.services.sharing import InPassing, OnRequest
from gateway.services.stored import Store
from gateway.services.tracing import Traces
from gateway.services.usage_writer import UsageWriter
from gateway.services.watcher import Watcher
from gateway.store.engine import Database
from gateway.version import VERSION


def attach_services(app: Flask, config: Settings) -> Services:
    """Make all services and attach them to `app`. Opens no connection, starts nothing."""
    parts = make(config)
    attach(app, parts)
    return parts


def make(config: Settings) -> Services:
    """Make the services of one process."""
    database = Database(
        config.database_url, synchronous=config.sqlite_synchronous, pool=config.database_pool
    )
    store = Store(database)
    marks = Revisions(store)
    settings = SettingsCache(store, marks)
    catalog = Catalog(store, marks, settings.behaviour)
    clients = Clients(settings.behaviour, pool_size=config.worker_connections)
    fleet = Fleet(clients, settings.behaviour)
    catalog.listener = fleet.follow
    refresher = Refresher(store, catalog, clients, settings.behaviour)
    fleet.dispatcher.on_missing = refresher.soon
    live = Live(store, marks, is_loaded=_is_loaded(fleet, catalog))
    loading = Loading(store, catalog, settings.behaviour)
    pulls = Pulls(store, fleet, refresher, loading)
    usage = UsageWriter(store, worker=worker_name(), capacity=config.usage_buffer)
    metrics = Metrics(VERSION)
    traces = _traces(config)
    draining = threading.Event()
    limiter = Limiter(
        store,
        config.redis_url,
        behaviour=settings.behaviour,
        folder=config.data_dir,
        workers=config.web_concurrency,
    )
    keyring = Keyring(store, marks)
    Revocation(marks, keyring, live)
    jobs = (
        marks,
        limiter,
        Reaper(store, version=VERSION),
        Retention(store, settings.behaviour),
        Prober(fleet),
        refresher,
        _sharing(fleet, config),
        pulls,
        Watchdog(metrics, fleet, live, usage, draining),
        traces,
    )
    for job in jobs:
        fleet.run(job)
    return Services(
        config=config,
        store=store,
        settings=settings,
        catalog=catalog,
        refresher=refresher,
        servers=Servers(store, clients, refresher),
        models=Models(store, catalog),
        operations=Operations(store, fleet, refresher, loading),
        keyring=keyring,
        keys=Keys(store, marks, check_params=_checked),
        limiter=limiter,
        fleet=fleet,
        live=live,
        usage=usage,
        metrics=metrics,
        traces=traces,
        images=Images(settings.behaviour),
        responses=Responses(store, settings.behaviour),
        pulls=pulls,
        admins=Admins(store),
        watcher=Watcher(),
        factors=Factors(),
        draining=draining,
    )


def _sharing(fleet: Fleet, config: Settings) -> Job:
    """Return what makes one line of the lines of several processes."""
    if not config.redis_url:
        return InPassing(fleet, LocalBoard(config.data_dir / "line"))
    from gateway.services.redis_board import RedisBoard

    return OnRequest(fleet, RedisBoard.at(config.redis_url))


def _traces(config: Settings) -> Traces:
    """Return the exporter; its headers stand as `name=value,...` in the environment."""
    given = config.otlp_headers.reveal()
    pairs = (part.partition("=") for part in given.split(",") if part)
    headers = {name.strip(): value.strip() for name, _, value in pairs}
    return Traces(config.otlp_endpoint, headers, config.otlp_service, VERSION)


def _is_loaded(fleet: Fleet, catalog: Catalog) -> Callable[[int, int], bool]:
    def is_loaded(server_id: int, model_id: int) -> bool:
        model = catalog.snapshot().by_id.get(model_id)
        station = fleet.dispatcher.stations.get(server_id)
        return bool(model and station and station.in_memory(model.name))

    return is_loaded


def _checked(raw: Mapping[str, Json]) -> Mapping[str, Json]:
    """Check a key's parameters by the rules of overrides."""
    return override_rules.validate(raw, force=False)
