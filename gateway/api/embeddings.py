"""`POST /v1/embeddings`."""

from __future__ import annotations

from flask import Response, g, request

from gateway.api import bp, storing
from gateway.api.answers import Complete
from gateway.api.hooks import speaks
from gateway.api.inbound import caller, read_body, record_rejection
from gateway.calls.active_call import ActiveCall
from gateway.calls.embeddings import embed
from gateway.core.chat import Json
from gateway.dialects import embeddings as openai_embeddings
from gateway.dialects.embeddings import EMBEDDINGS
from gateway.errors import GatewayError
from gateway.policy import access
from gateway.runtime.tasks import run_for
from gateway.web.context import services

_NUMBER_BYTES = 10


@bp.post("/v1/embeddings", strict_slashes=False)
@bp.post("/embeddings", strict_slashes=False)
@speaks(EMBEDDINGS)
def embeddings() -> Response:
    """Return one vector a text, in input order."""
    parts = services()
    body: dict[str, Json] = {}
    try:
        access.check_scope(g.key, EMBEDDINGS.scope, EMBEDDINGS.label)
        body, run = read_body(parts)
        asked = run(openai_embeddings.parse, body, storing.reading(parts, g.key))
        prepared, effective = parts.calls.preparer.prepare_embedding(asked, g.key, run)
    except GatewayError as error:
        record_rejection(EMBEDDINGS, body, error)
        raise
    active = ActiveCall(parts.calls, prepared, caller(EMBEDDINGS), body)
    request.environ["gateway.active"] = active
    with active:
        try:
            found = embed(active, effective)
        finally:
            g.headers = active.headers()
        size = len(found.vectors) * len(found.vectors[0]) * _NUMBER_BYTES
        vectors = run_for(size)(openai_embeddings.render, found, asked)
        return Complete(vectors, content_type="application/json")
