"""Texts to vectors: one view serves every dialect."""

from __future__ import annotations

from functools import partial

from flask import Response, g, request

from gateway.api import bp, storing
from gateway.api.answers import Complete
from gateway.api.hooks import speaks
from gateway.api.inbound import caller, read_body, record_rejection
from gateway.calls.active_call import ActiveCall
from gateway.calls.embeddings import embed
from gateway.core.chat import Json
from gateway.dialects import EMBEDDING_DIALECTS, LOAD
from gateway.dialects.base import EmbeddingDialect
from gateway.errors import GatewayError
from gateway.policy import access
from gateway.runtime.tasks import run_for
from gateway.web.context import services

_NUMBER_BYTES = 10


def serve(dialect: EmbeddingDialect) -> Response:
    """Return one vector a text, in input order."""
    parts = services()
    body: dict[str, Json] = {}
    try:
        access.check_scope(g.key, dialect.scope, dialect.label)
        body, run = read_body(parts)
        asked = run(dialect.parse, body, storing.reading(parts, g.key))
        if asked.loads:
            access.check_scope(g.key, LOAD, "requests without a text, which only load a model")
        prepared, effective = parts.calls.preparer.prepare_embedding(asked, g.key, run)
    except GatewayError as error:
        record_rejection(dialect, body, error)
        raise
    active = ActiveCall(parts.calls, prepared, caller(dialect), body)
    request.environ["gateway.active"] = active
    with active:
        try:
            found = embed(active, effective)
        finally:
            g.headers = active.headers()
        size = len(found.vectors) * len(found.vectors[0]) * _NUMBER_BYTES
        vectors = run_for(size)(dialect.render, found, asked)
        return Complete(vectors, content_type="application/json")


for _dialect in EMBEDDING_DIALECTS:
    _serve = speaks(_dialect)(partial(serve, _dialect))
    for _path in _dialect.paths:
        bp.add_url_rule(_path, _dialect.name, _serve, methods=["POST"], strict_slashes=False)
