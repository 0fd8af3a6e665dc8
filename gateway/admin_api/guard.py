"""Who may call, and how refusals and faults are answered."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from gateway.admin_api import bp
from gateway.admin_api.operation import answer
from gateway.core.admin import Actor, Role, role_allows
from gateway.errors import Forbidden, GatewayError, Unauthenticated
from gateway.logs import REQUEST_ID
from gateway.web.context import services

log = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD"})


@bp.before_request
def allow() -> None:
    """Require a token whose role suffices."""
    g.request_id = f"req_{secrets.token_hex(16)}"
    REQUEST_ID.set(g.request_id)
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated(
            "Send an admin token as 'Authorization: Bearer o2a-admin-...'.",
            code="missing_admin_token",
            headers={"WWW-Authenticate": "Bearer"},
        )
    token = services().admins.tokens.find(secret.strip())
    view: Any = current_app.view_functions[request.endpoint or ""]
    needed: Role = view.operation.role or ("viewer" if request.method in _READING else "admin")
    if not role_allows(token.role, needed):
        raise Forbidden(f"This needs the role {needed}; the token has {token.role}.")
    g.actor = Actor("token", token.name, token.id, token.role, request.remote_addr or "")


@bp.after_request
def finish(response: Response) -> Response:
    """Add what every answer carries; nothing of it belongs in a cache."""
    response.headers["x-request-id"] = g.get("request_id", "")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@bp.errorhandler(GatewayError)
def refuse(error: GatewayError) -> Response:
    """Answer a refusal."""
    told = {name: getattr(error, name) for name in ("message", "type", "param", "code")}
    response = answer({"error": told}, error.status)
    response.headers.update(error.headers)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


@bp.errorhandler(HTTPException)
def refuse_http(error: HTTPException) -> Response:
    """Answer what Werkzeug refuses."""
    status = error.code or 500
    words = error.description or error.name
    return refuse(GatewayError(words, status=status, type="invalid_request_error", code="refused"))


@bp.errorhandler(Exception)
def fail(error: Exception) -> Response:
    """Answer a fault of ours without telling anything of it."""
    log.error("an admin call failed", exc_info=error)
    return refuse(GatewayError(f"The gateway failed on request {g.get('request_id', '')}."))
