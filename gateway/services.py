"""Makes the services of an application: the one place that knows how they are wired."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from gateway.accounting.metrics import Metrics, Watchdog
from gateway.accounting.retention import Retention
from gateway.accounting.tracing import Traces
from gateway.accounting.usage_writer import UsageWriter
from gateway.alerts import alerts as alerting
from gateway.calls.active_call import CallParts
from gateway.calls.media import MediaFetcher
from gateway.calls.monitor import Monitor
from gateway.calls.prepare import Preparer
from gateway.calls.records import CallRecords
from gateway.calls.registry import ActiveCalls
from gateway.calls.stored_responses import Responses
from gateway.config import Settings
from gateway.core.chat import Json
from gateway.limits.limiter import Limiter
from gateway.management.admins import Admins
from gateway.management.alert_targets import AlertTargets
from gateway.management.backups.schedule import ScheduledBackups
from gateway.management.keyring import Keyring
from gateway.management.keys import Keys
from gateway.management.model_jobs import ModelJobs
from gateway.management.model_operations import Operations
from gateway.management.models import Models
from gateway.management.provider_logins import ProviderLogins
from gateway.management.servers import Servers
from gateway.management.settings import SettingsCache
from gateway.policy.estimate import Factors
from gateway.policy.overrides import rules
from gateway.revocation import LOOK_S, Revocation
from gateway.runtime.database import Store
from gateway.runtime.identity import worker_name
from gateway.runtime.shared_counts import SharedCounts
from gateway.runtime.tasks import Every
from gateway.runtime.versions import ChangeVersions
from gateway.runtime.workers import Reaper
from gateway.scheduling.catalog import Catalog
from gateway.scheduling.clients import Clients
from gateway.scheduling.discovery import Refresher
from gateway.scheduling.loading import Loading
from gateway.scheduling.memory import MemoryLog
from gateway.scheduling.probes import Prober
from gateway.scheduling.scheduler import Scheduler
from gateway.scheduling.shared_slots import POLL_S
from gateway.store.database.engine import Database
from gateway.version import VERSION
from gateway.web.context import Job, Services
from gateway.web.words import in_language

if TYPE_CHECKING:
    from gateway.openid.provider import Provider

_CALLS_SHARE = 0.8
"""How much of a worker's connections calls may take."""


def make(config: Settings, database: Database | None = None) -> Services:
    """Make the services of one process, on the application's database or one of their own."""
    store = Store(database or Database.open(config.database_url))
    versions = ChangeVersions(store)
    settings = SettingsCache(store, versions)
    catalog = Catalog(
        store, versions, settings.behaviour, listener=lambda snapshot: scheduler.follow(snapshot)
    )
    clients = Clients(settings.behaviour, pool_size=config.worker_connections)
    counts = SharedCounts(config.redis_url) if config.redis_url else None
    refresher = Refresher(store, catalog, clients, settings.behaviour)
    scheduler = Scheduler(
        clients, settings.behaviour, counts=counts, on_missing=refresher.refresh_soon
    )
    live = ActiveCalls(store, versions, is_loaded=partial(_is_loaded, scheduler, catalog))
    loading = Loading(store, catalog, settings.behaviour)
    pulls = ModelJobs(store, scheduler, refresher, loading)
    usage = UsageWriter(
        store, worker=worker_name(), capacity=config.usage_buffer, running=live.taken
    )
    metrics = Metrics(VERSION)
    traces = _traces(config)
    draining = threading.Event()
    limiter = Limiter(store, counts, behaviour=settings.behaviour)
    keyring = Keyring(store, versions)
    factors = Factors()
    calls = CallParts(
        behaviour=settings.behaviour,
        preparer=Preparer(settings.behaviour, catalog, factors, MediaFetcher(settings.behaviour)),
        scheduler=scheduler,
        limiter=limiter,
        registry=live,
        monitor=Monitor(settings.behaviour),
        records=CallRecords(usage, metrics, traces),
        factors=factors,
        max_calls=int(config.worker_connections * _CALLS_SHARE),
    )
    revocation = Revocation(versions, keyring, live)
    shared: tuple[Job, ...] = (
        ()
        if counts is None or scheduler.shared is None
        else (counts, Every(POLL_S, scheduler.shared.poll, "looking at the shared slots"))
    )
    retention = Retention(store, settings.behaviour)
    alerts = alerting.Alerts(
        store, versions, settings.behaviour, scheduler.views, config.data_dir, in_language
    )
    backups = ScheduledBackups(
        store, config, settings.behaviour, on_failure=partial(alerts.note, "backup", "backup")
    )
    jobs: tuple[Job, ...] = (
        usage,
        versions,
        *shared,
        Every(1.0, limiter.return_idle, "returning idle limits"),
        Reaper(store, is_draining=draining.is_set),
        Every(60.0, retention.look, "pruning"),
        Every(60.0, backups.look, "making backups"),
        Every(alerting.LOOK_S, alerts.look, "looking for alerts"),
        Every(0.2, Prober(scheduler, MemoryLog(store)).run_once, "probing the servers"),
        Every(LOOK_S, revocation.look_for_expired, "looking for expired keys"),
        refresher,
        pulls,
        Watchdog(metrics, scheduler, live, usage, draining),
        traces,
        Every(0.25, live.exchange, "telling other workers"),
    )
    return Services(
        config=config,
        store=store,
        settings=settings,
        catalog=catalog,
        refresher=refresher,
        servers=Servers(store, clients, refresher),
        models=Models(store, catalog),
        operations=Operations(store, scheduler, refresher, loading),
        keyring=keyring,
        keys=Keys(store, versions),
        limiter=limiter,
        scheduler=scheduler,
        live=live,
        calls=calls,
        usage=usage,
        metrics=metrics,
        traces=traces,
        responses=Responses(store, settings.behaviour),
        pulls=pulls,
        admins=Admins(store),
        provider=provider_of(config),
        provider_logins=ProviderLogins(store),
        backups=backups,
        alerts=alerts,
        alert_targets=AlertTargets(store),
        draining=draining,
        jobs=jobs,
    )


def provider_of(config: Settings) -> Provider | None:
    """Return the OpenID provider of the environment, None where it names none."""
    if not config.oidc_issuer:
        return None
    from gateway.openid.id_token import Client  # only here: they bring all of cryptography
    from gateway.openid.provider import Provider

    client = Client(
        issuer=config.oidc_issuer,
        client_id=config.oidc_client_id,
        role_claim=config.oidc_role_claim,
        roles={
            "owner": config.oidc_owners,
            "admin": config.oidc_admins,
            "viewer": config.oidc_viewers,
        },
    )
    return Provider(client, config.oidc_client_secret.reveal(), config.oidc_scopes)


def _traces(config: Settings) -> Traces:
    """Return the exporter; its headers stand as `name=value,...` in the environment."""
    given = config.otlp_headers.reveal()
    pairs = (part.partition("=") for part in given.split(",") if part)
    headers = {name.strip(): value.strip() for name, _, value in pairs}
    return Traces(config.otlp_endpoint, headers, config.otlp_service, VERSION)


def _is_loaded(scheduler: Scheduler, catalog: Catalog, server_id: int, model_id: int) -> bool:
    model = catalog.snapshot().by_id.get(model_id)
    server = scheduler.servers.get(server_id)
    return bool(model and server and server.in_memory(model.name))


def _checked(raw: Mapping[str, Json]) -> Mapping[str, Json]:
    """Check a key's parameters by the rules of overrides."""
    return rules.validate(raw, force=False)
