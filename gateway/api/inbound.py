"""What an API view needs of the HTTP request: its body, and who sent it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import g, request

from gateway.api.body import read_json
from gateway.core.chat import Json
from gateway.errors import GatewayError
from gateway.logs import clean
from gateway.services import Services, calls, offload
from gateway.services.calls import Caller


def read_body(parts: Services) -> Json:
    """Give the JSON object of the current request. Raises as `body.read_json` does."""
    environ = request.environ
    return read_json(
        environ["wsgi.input"],
        content_length=request.content_length,
        encoding=request.headers.get("Content-Encoding", ""),
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
    sock = request.environ.get("gunicorn.socket")
    offload.quicken(sock)
    return Caller(
        request_id=g.request_id,
        endpoint=endpoint,
        address=request.remote_addr or "",
        application=clean(request.headers.get("User-Agent", ""), 120),
        sock=sock,
        traceparent=request.headers.get("traceparent", ""),
        their_id=_their_id(),
    )


def _their_id() -> str:
    """Give what the caller calls the request: logged, never adopted (D4)."""
    headers = request.headers
    given = headers.get("X-Request-Id") or headers.get("X-Client-Request-Id") or ""
    return clean(given, 128)
