"""What an API view needs of the HTTP request: its body, and who sent it."""

from __future__ import annotations

from flask import g, request
from werkzeug.wsgi import get_content_length

from gateway.calls.records import Caller
from gateway.core.chat import Json
from gateway.dialects.base import Endpoint
from gateway.errors import GatewayError
from gateway.logs import clean
from gateway.runtime.tasks import Run
from gateway.web.context import Services, services
from gateway.web.request_body import read_json


def read_body(parts: Services) -> tuple[Json, Run]:
    """Return the JSON object of the current request, and how what reads all of it is to be run.
    Raises as `read_json` does, and RateLimited when the key sends too many bodies at once."""
    environ = request.environ
    with parts.limiter.reading(g.key):
        return read_json(
            environ["wsgi.input"],
            content_length=get_content_length(environ),
            encoding=environ.get("HTTP_CONTENT_ENCODING", ""),
            limit_bytes=parts.settings.behaviour().max_body_mb << 20,
        )


def record_rejection(endpoint: Endpoint, body: Json, error: GatewayError) -> None:
    """Record a refusal that comes before the call is admitted, so that an admin can see why."""
    model = body.get("model")
    name = model if isinstance(model, str) else ""
    services().calls.records.reject(g.key, caller(endpoint), name, error)


def caller(endpoint: Endpoint) -> Caller:
    """Return who calls, for records and for noticing that they left."""
    environ = request.environ
    # what the caller calls the request: logged, never adopted (D4)
    theirs = environ.get("HTTP_X_REQUEST_ID") or environ.get("HTTP_X_CLIENT_REQUEST_ID") or ""
    session = (
        environ.get("HTTP_X_CLAUDE_CODE_SESSION_ID")
        or environ.get("HTTP_SESSION_ID")  # Codex
        or environ.get("HTTP_X_SESSION_ID")
        or ""
    )
    agent = clean(environ.get("HTTP_USER_AGENT", ""), 64)
    return Caller(
        request_id=g.request_id,
        endpoint=endpoint.name,
        form=endpoint.vendor.name,
        address=request.remote_addr or "",
        application=services().calls.records.client_name(g.key.id, agent),
        sock=environ.get("gunicorn.socket"),
        traceparent=environ.get("HTTP_TRACEPARENT", ""),
        client_request_id=clean(theirs, 128),
        session=session,
    )
