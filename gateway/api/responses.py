"""The stateful half of the Responses API: read, delete, list input items (D28)."""

from __future__ import annotations

from flask import Response, g, request

from gateway.api import bp
from gateway.api.answers import as_json
from gateway.api.errors import unknown_path
from gateway.api.hooks import speaks
from gateway.dialects.responses import stored as responses_stored
from gateway.dialects.responses.dialect import RESPONSES
from gateway.errors import MethodNotAllowed
from gateway.policy import access
from gateway.web.context import services


@bp.get("/v1/responses", strict_slashes=False)
@bp.get("/responses", strict_slashes=False)
@speaks(RESPONSES)
def no_socket() -> Response:
    """Refuse at once: Codex tries a WebSocket here first and falls back to POST."""
    raise MethodNotAllowed("GET is not allowed here; use POST.", headers={"Allow": "POST"})


@bp.post("/v1/responses/compact", strict_slashes=False)
@bp.post("/responses/compact", strict_slashes=False)
@speaks(RESPONSES)
def compact() -> Response:
    """Refuse: nothing compacts here; without this route it would be called a wrong method."""
    raise unknown_path("POST", request.path)


@bp.get("/v1/responses/<response_id>", strict_slashes=False)
@bp.get("/responses/<response_id>", strict_slashes=False)
@speaks(RESPONSES)
def get_response(response_id: str) -> Response:
    """Return a stored response of this key."""
    access.check_scope(g.key, RESPONSES.scope, RESPONSES.label)
    responses_stored.check_retrieval(request.args)
    return as_json(services().responses.get(g.key, response_id))


@bp.delete("/v1/responses/<response_id>", strict_slashes=False)
@bp.delete("/responses/<response_id>", strict_slashes=False)
@speaks(RESPONSES)
def delete_response(response_id: str) -> Response:
    """Forget a stored response of this key."""
    access.check_scope(g.key, RESPONSES.scope, RESPONSES.label)
    services().responses.delete(g.key, response_id)
    return as_json(responses_stored.deletion(response_id))


@bp.get("/v1/responses/<response_id>/input_items", strict_slashes=False)
@bp.get("/responses/<response_id>/input_items", strict_slashes=False)
@speaks(RESPONSES)
def input_items(response_id: str) -> Response:
    """List what a stored response was asked."""
    access.check_scope(g.key, RESPONSES.scope, RESPONSES.label)
    items = services().responses.items(g.key, response_id)
    return as_json(responses_stored.items_page(items, request.args))


@bp.post("/v1/responses/<response_id>/cancel", strict_slashes=False)
@bp.post("/responses/<response_id>/cancel", strict_slashes=False)
@speaks(RESPONSES)
def cancel_response(response_id: str) -> Response:
    """Refuse: only background responses can be cancelled, and there are none."""
    access.check_scope(g.key, RESPONSES.scope, RESPONSES.label)
    services().responses.get(g.key, response_id)
    raise responses_stored.cancellation_refused()
