"""What an API view needs of the HTTP request: its body, and who sent it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Request, g, request

from gateway.api.body import read_json
from gateway.core.chat import Json
from gateway.errors import GatewayError
from gateway.logs import clean
from gateway.services import Services, calls, offload
from gateway.services.calls import Caller


def this_request() -> Request:
    """Give the request itself: every look at it through Flask's proxy costs three calls."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    return found


def read_body(parts: Services) -> Json:
    """Give the JSON object of the current request. Raises as `body.read_json` does."""
    here = this_request()
    environ = here.environ
    return read_json(
        environ["wsgi.input"],
        content_length=here.content_length,
        encoding=environ.get("HTTP_CONTENT_ENCODING", ""),
        limit_bytes=parts.settings.behaviour().max_body_mb << 20,
        sock=environ.get("gunicorn.socket"),
    )


@contextmanager
def recorded(parts: Services, endpoint: str) -> Iterator[dict[str, Json]]:
    """Record a refusal that comes before the call is admitted, so that an admin can see why.

    Gives a place for the body, from which the record takes the model's name. What a call raises
    later is recorded by the call itself.
    """
    body: dict[str, Json] = {}
    try:
        yield body
    except GatewayError as error:
        model = body.get("model")
        name = model if isinstance(model, str) else ""
        calls.refused(parts, g.key, caller(endpoint), name, error)
        raise


def caller(endpoint: str) -> Caller:
    """Give who calls, for records and for noticing that they left."""
    here = this_request()
    environ = here.environ
    sock = environ.get("gunicorn.socket")
    offload.quicken(sock)
    # what the caller calls the request: logged, never adopted (D4)
    theirs = environ.get("HTTP_X_REQUEST_ID") or environ.get("HTTP_X_CLIENT_REQUEST_ID") or ""
    return Caller(
        request_id=g.request_id,
        endpoint=endpoint,
        address=here.remote_addr or "",
        application=clean(environ.get("HTTP_USER_AGENT", ""), 120),
        sock=sock,
        traceparent=environ.get("HTTP_TRACEPARENT", ""),
        their_id=clean(theirs, 128),
    )
