"""`POST /v1/embeddings`."""

from __future__ import annotations

from flask import Response, g

from gateway.api import bp, storing
from gateway.api.answers import Complete
from gateway.api.hooks import speaks
from gateway.api.inbound import Recorded, caller, read_body
from gateway.calls import active_call
from gateway.dialects import embeddings as openai_embeddings
from gateway.dialects.embeddings import EMBEDDINGS
from gateway.policy import access
from gateway.web.context import services


@bp.post("/v1/embeddings", strict_slashes=False)
@bp.post("/embeddings", strict_slashes=False)
@speaks(EMBEDDINGS)
def embeddings() -> Response:
    """Return one vector a text, in input order."""
    parts = services()
    with Recorded(parts, EMBEDDINGS) as body:
        access.check_scope(g.key, EMBEDDINGS.name, EMBEDDINGS.label)
        body |= read_body(parts)
        request = openai_embeddings.parse(body, storing.reading(parts, g.key))
        running, effective = active_call.start_embedding(
            parts, request, g.key, caller(EMBEDDINGS), body
        )
    with running:
        try:
            found = running.answer.vectors(effective)
        finally:
            g.headers = running.headers()
        vectors = openai_embeddings.render(found, request)
        return Complete(vectors, content_type="application/json")
