"""The living parts: made once an application, handed to views as one frozen value.

`init_app` makes them without opening a connection or starting anything: a worker starts its
background work after the fork (`lifecycle.start`), tests and the command line never do.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import Flask, current_app

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.policy.estimate import Factors
    from gateway.services.admins import Admins
    from gateway.services.catalog import Catalog
    from gateway.services.fleet import Fleet
    from gateway.services.images import Images
    from gateway.services.keyring import Keyring
    from gateway.services.keys import Keys
    from gateway.services.limiter import Limiter
    from gateway.services.live import Live
    from gateway.services.metrics import Metrics
    from gateway.services.models import Models
    from gateway.services.operations import Operations
    from gateway.services.pulls import Pulls
    from gateway.services.refresh import Refresher
    from gateway.services.responses import Responses
    from gateway.services.servers import Servers
    from gateway.services.settings import SettingsCache
    from gateway.services.stored import Store
    from gateway.services.tracing import Traces
    from gateway.services.usage_writer import UsageWriter
    from gateway.services.watcher import Watcher

_NAME = "gateway.services"


@dataclass(frozen=True, slots=True)
class Services:
    """Every part a view may use."""

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
    fleet: Fleet
    live: Live
    usage: UsageWriter
    metrics: Metrics
    traces: Traces
    images: Images
    responses: Responses
    pulls: Pulls
    admins: Admins
    watcher: Watcher
    factors: Factors
    draining: threading.Event


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
