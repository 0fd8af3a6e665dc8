"""The services of an application, as views reach them: one frozen value.

`gateway.services.make` makes them without opening a connection or starting anything: a worker
starts its background jobs after the fork (`lifecycle.start`), tests and the command line never do.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from flask import Flask, current_app, request
from flask_login import current_user

from gateway.core.admin import Actor

if TYPE_CHECKING:
    from gateway.accounting.metrics import Metrics
    from gateway.accounting.tracing import Traces
    from gateway.accounting.usage_writer import UsageWriter
    from gateway.alerts.alerts import Alerts
    from gateway.calls.active_call import CallParts
    from gateway.calls.registry import ActiveCalls
    from gateway.calls.stored_responses import Responses
    from gateway.config import Settings
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
    from gateway.openid.provider import Provider
    from gateway.runtime.database import Store
    from gateway.scheduling.catalog import Catalog
    from gateway.scheduling.discovery import Refresher
    from gateway.scheduling.scheduler import Scheduler

_NAME = "gateway.services"


class Job(Protocol):
    """Something that runs beside requests."""

    def start(self) -> None:
        """Begin. Called once, after the fork."""

    def stop(self) -> None:
        """End soon."""


@dataclass(frozen=True, slots=True)
class Services:
    """Every part a view may use; `provider` is None where nobody signs in through OpenID."""

    config: Settings
    store: Store
    settings: SettingsCache
    catalog: Catalog
    refresher: Refresher
    servers: Servers
    models: Models
    operations: Operations
    keyring: Keyring
    keys: Keys
    limiter: Limiter
    scheduler: Scheduler
    live: ActiveCalls
    calls: CallParts
    usage: UsageWriter
    metrics: Metrics
    traces: Traces
    responses: Responses
    pulls: ModelJobs
    admins: Admins
    provider: Provider | None
    provider_logins: ProviderLogins
    backups: ScheduledBackups
    alerts: Alerts
    alert_targets: AlertTargets
    draining: threading.Event
    jobs: tuple[Job, ...]


def attach(app: Flask, parts: Services) -> None:
    """Make `parts` the services of `app`."""
    app.extensions[_NAME] = parts


def services() -> Services:
    """Return the services of the current application."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    return cast(Services, app.extensions[_NAME])


def of(app: Flask) -> Services:
    """Return the services of `app`, outside a request."""
    return cast(Services, app.extensions[_NAME])


def actor() -> Actor:
    """Return who is signed in at the console, as the author of a change."""
    me = current_user
    return Actor("admin", me.username, me.id, me.role, request.remote_addr or "")
