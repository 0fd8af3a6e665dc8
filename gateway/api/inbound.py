"""What an API view needs of the HTTP request: its body, and who sent it."""

from __future__ import annotations

from types import TracebackType

from flask import Request, g, request
from flask.ctx import _AppCtxGlobals
from werkzeug.wsgi import get_content_length

from gateway.calls.records import Caller
from gateway.core.chat import Json
from gateway.dialects.base import Endpoint
from gateway.errors import GatewayError
from gateway.logs import clean
from gateway.web.context import Services
from gateway.web.request_body import read_json


def this_request() -> Request:
    """Return the request itself: every look at it through Flask's proxy costs three calls."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    return found


def this_g() -> _AppCtxGlobals:
    """Return Flask's `g` itself, not the proxy."""
    found: _AppCtxGlobals = g._get_current_object()
    return found


def read_body(parts: Services) -> Json:
    """Return the JSON object of the current request. Raises as `read_json` does."""
    environ = this_request().environ
    return read_json(
        environ["wsgi.input"],
        content_length=get_content_length(environ),
        encoding=environ.get("HTTP_CONTENT_ENCODING", ""),
        limit_bytes=parts.settings.behaviour().max_body_mb << 20,
    )


class Recorded:
    """Records a refusal that comes before the call is admitted, so that an admin can see why.

    Gives a place for the body, from which the record takes the model's name. What a call raises
    later is recorded by the call itself.
    """

    __slots__ = ("_body", "_endpoint", "_parts")

    def __init__(self, parts: Services, endpoint: Endpoint) -> None:
        self._parts = parts
        self._endpoint = endpoint
        self._body: dict[str, Json] = {}

    def __enter__(self) -> dict[str, Json]:
        return self._body

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, GatewayError):
            model = self._body.get("model")
            name = model if isinstance(model, str) else ""
            self._parts.calls.records.reject(g.key, caller(self._endpoint), name, error)


def caller(endpoint: Endpoint) -> Caller:
    """Return who calls, for records and for noticing that they left."""
    here = this_request()
    environ = here.environ
    sock = environ.get("gunicorn.socket")
    # what the caller calls the request: logged, never adopted (D4)
    theirs = environ.get("HTTP_X_REQUEST_ID") or environ.get("HTTP_X_CLIENT_REQUEST_ID") or ""
    return Caller(
        request_id=this_g().request_id,
        endpoint=endpoint.name,
        form=endpoint.vendor.name,
        address=here.remote_addr or "",
        application=clean(environ.get("HTTP_USER_AGENT", ""), 120),
        sock=sock,
        traceparent=environ.get("HTTP_TRACEPARENT", ""),
        client_request_id=clean(theirs, 128),
    )
