"""`GET /metrics` for Prometheus: with the token of METRICS_TOKEN, or from this machine only."""

from __future__ import annotations

import ipaddress
import secrets

from flask import Request, Response, request

from gateway.accounting import metrics as series
from gateway.api import bp
from gateway.api.auth import is_relayed
from gateway.api.hooks import open_to_all
from gateway.config import Settings
from gateway.errors import Forbidden, Unauthenticated
from gateway.web.context import services


@bp.get("/metrics")
@open_to_all
def metrics() -> Response:
    """Return all series of all workers. Guarded by `check`, not by an API key."""
    parts = services()
    check(request, parts.config)
    return Response(parts.metrics.text(), content_type=series.CONTENT_TYPE)


def check(asked: Request, config: Settings) -> None:
    """Raise Unauthenticated or Forbidden unless the caller may see the metrics.

    Without a token only this machine may. A reverse proxy on this machine speaks for others: its
    requests count as foreign, unless TRUSTED_PROXIES lets us know whom it speaks for.
    """
    token = config.metrics_token.reveal()
    if token:
        scheme, _, given = asked.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(
            given.strip().encode(), token.encode()
        ):
            raise Unauthenticated("Send METRICS_TOKEN as 'Authorization: Bearer TOKEN'.")
        return
    if is_relayed(asked, config) or not _is_local(asked.remote_addr or ""):
        raise Forbidden("Metrics are for this machine only; set METRICS_TOKEN to read them afar.")


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
