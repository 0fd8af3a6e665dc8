"""Is it up, can it serve: two answers for balancers, and the front door for people and probes."""

from __future__ import annotations

from flask import Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.api import bp
from gateway.api.answers import as_json
from gateway.api.hooks import open_to_all
from gateway.runtime.database import StoreUnavailable
from gateway.web.context import Services, services


@bp.get("/")
@open_to_all
def front_door() -> AnyResponse:
    """Send browsers to the console; answer probes such as Claude Code's `HEAD /` in the words
    that clients of Ollama look for."""
    if "text/html" in request.headers.get("Accept", ""):
        return redirect("/admin/", 302)
    return Response("Ollama is running", mimetype="text/plain")


@bp.get("/healthz")
@open_to_all
def healthz() -> Response:
    """Return 200: the process answers. Touches nothing else."""
    return Response(b'{"status":"ok"}', mimetype="application/json")


@bp.get("/readyz")
@open_to_all
def readyz() -> Response:
    """Return whether calls can be served: 503 while draining, before any server was asked for its
    models, and when nobody looks after the active calls. Without its database the gateway still
    serves keys it knows, so that is told and not refused."""
    parts = services()
    status = _status(parts)
    body = {"status": status, "usage_store": parts.usage.state()}
    return as_json(body, 200 if status == "ready" else 503)


def _status(parts: Services) -> str:
    if parts.draining.is_set():
        return "draining"
    if parts.calls.monitor.is_late:
        return "stalled"
    try:
        return "starting" if parts.catalog.is_awaited() else "ready"
    except StoreUnavailable:
        return "ready"
