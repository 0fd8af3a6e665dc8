"""What happens around every API call: its id, its key, CORS, and the headers each dialect expects.

The guard is stated here once: every route of the blueprint needs a key, its own or the anonymous
one of its address, unless its view is marked `open_to_all`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from gateway.api import bp
from gateway.api.auth import Failures, authenticate, named_origins
from gateway.api.errors import from_http, logged_fault, response_for
from gateway.dialects import spoken
from gateway.dialects.base import Endpoint
from gateway.errors import GatewayError, Unavailable
from gateway.logs import REQUEST_ID, clean
from gateway.policy import access
from gateway.policy.rate_window import Form
from gateway.web.context import services

View = TypeVar("View", bound=Callable[..., Any])

_LIMITS = tuple(
    f"x-ratelimit-{what}-{unit}"
    for unit in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)
_ANTHROPIC_LIMITS = tuple(
    f"anthropic-ratelimit-{unit}-{what}"
    for unit in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)
EXPOSED = ", ".join(
    (
        "x-request-id", "request-id", "retry-after", "x-should-retry", "x-gateway-ignored",
        "x-gateway-server", "x-gateway-fallback", "x-gateway-queue", "x-gateway-context",
        "x-gateway-explain-params", "x-gateway-explain-route",
        "openai-processing-ms",
        *_LIMITS, *_ANTHROPIC_LIMITS,
    )
)  # fmt: skip
METHODS = "GET, POST, DELETE, OPTIONS"
_failures = Failures()


def open_to_all(view: View) -> View:
    """Mark a view that needs no key."""
    view.open_to_all = True  # type: ignore[attr-defined]  # a mark on a function
    return view


def speaks(endpoint: Endpoint) -> Callable[[View], View]:
    """Mark a view with the endpoint it serves, which decides the form of errors and headers."""

    def mark(view: View) -> View:
        view.speaks = endpoint  # type: ignore[attr-defined]  # a mark on a function
        return view

    return mark


def new_request_id() -> str:
    """Return `req_` + 32 hex digits (D4)."""
    return "req_" + os.urandom(16).hex()


def no_content() -> Response:
    """Return an answer without a body, and without a word about its type."""
    response = Response(status=HTTPStatus.NO_CONTENT)
    del response.headers["Content-Type"]
    return response


@bp.before_request
def begin() -> Response | None:
    """Name the request, answer preflights, demand a key."""
    g.request_id = request_id = new_request_id()
    g.started_s = time.monotonic()
    REQUEST_ID.set(request_id)
    if request.method == "OPTIONS":
        return no_content()
    view = current_app.view_functions[request.endpoint or ""]
    if getattr(view, "open_to_all", False):
        return None
    parts = services()
    if parts.draining.is_set():
        raise Unavailable("The gateway is shutting down; try again.", code="shutting_down")
    key = authenticate(request, parts, _failures)
    access.check_address(key, request.remote_addr or "")
    g.key = key
    return None


@bp.after_request
def finish(response: Response) -> Response:
    """Add what every answer carries."""
    environ = request.environ
    headers = response.headers
    request_id = g.get("request_id") or new_request_id()
    add = headers.add  # nobody has set these: what replaces looks at every header first
    version = environ.get("HTTP_ANTHROPIC_VERSION")
    vendor = _endpoint().vendor
    elapsed_ms = (time.monotonic() - g.get("started_s", time.monotonic())) * 1000
    shown = None if version is None else clean(version, 32)
    for name, value in vendor.headers(request_id, shown, int(elapsed_ms)):
        add(name, value)
    add("X-Content-Type-Options", "nosniff")
    has_own = response.status_code >= HTTPStatus.BAD_REQUEST  # a refusal may bring its limits
    for name, value in _of_the_call(vendor.name).items():
        (headers.setdefault if has_own else add)(name, value)
    if environ.get("HTTP_X_GATEWAY_EXPLAIN") == "1" and "gateway.active" in environ:
        headers.update(environ["gateway.active"].reasons())
    if "HTTP_ORIGIN" in environ:
        _allow_origin(response)
    return response


def _endpoint() -> Endpoint:
    """Return what the caller talks to, or thinks it does."""
    view = current_app.view_functions.get(request.endpoint or "")
    version = request.environ.get("HTTP_ANTHROPIC_VERSION")
    return spoken(getattr(view, "speaks", None), request.path, version)


def _of_the_call(form: Form) -> Mapping[str, str]:
    """Return the headers that the call left; where none was admitted, what its key has left."""
    found: Mapping[str, str] | None = g.get("headers")
    if found is not None or "key" not in g:
        return found or {}
    return services().limiter.left(g.key, form)


def _allow_origin(response: Response) -> None:
    """CORS without credentials (D6): keys travel in headers, never in cookies."""
    allowed = services().settings.behaviour().cors_allow_origins
    headers = response.headers
    if allowed.strip() == "*":
        headers["Access-Control-Allow-Origin"] = "*"
    else:
        headers.add("Vary", "Origin")
        origin = request.headers["Origin"]
        if origin not in named_origins(allowed):
            return
        headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = EXPOSED
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = METHODS
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        headers["Access-Control-Allow-Headers"] = clean(wanted or "*", 4096)
        headers["Access-Control-Max-Age"] = "86400"


@bp.errorhandler(GatewayError)
def refuse(error: GatewayError) -> Response:
    """Answer a failure in the caller's dialect."""
    if "key" not in g and error.status == HTTPStatus.UNAUTHORIZED:
        services().metrics.turned_away(error.status, error.code)
    return response_for(error, _endpoint(), g.get("request_id") or new_request_id())


@bp.errorhandler(HTTPException)
def refuse_http(error: HTTPException) -> Response:
    """Answer what Werkzeug refuses, in the caller's dialect."""
    return refuse(from_http(error, request))


@bp.errorhandler(Exception)
def fail(error: Exception) -> Response:
    """Answer a fault of ours: the log has the places, the caller the request id."""
    request_id = g.get("request_id") or new_request_id()
    return response_for(logged_fault(error, request_id), _endpoint(), request_id)
