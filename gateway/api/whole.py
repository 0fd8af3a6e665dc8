"""What is answered as a whole: texts turned into vectors, and typed questions. One view of each
serves every dialect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from flask import Response, g, request

from gateway.api import bp, storing
from gateway.api.answers import Complete
from gateway.api.hooks import speaks
from gateway.api.inbound import caller, read_body, record_rejection
from gateway.calls.active_call import ActiveCall
from gateway.calls.prepare import PreparedCall
from gateway.calls.whole import decide, embed
from gateway.core.chat import Embeddings, EmbedRequest, Json
from gateway.dialects import DECISION_DIALECTS, EMBEDDING_DIALECTS, LOAD
from gateway.dialects.base import DecisionDialect, EmbeddingDialect, Endpoint, Reading
from gateway.errors import GatewayError
from gateway.policy import access
from gateway.runtime.tasks import Run, run_for
from gateway.schemas.key import Key
from gateway.web.context import services

Asked = TypeVar("Asked")
Found = TypeVar("Found")

_NUMBER_BYTES = 10


def embeddings(dialect: EmbeddingDialect) -> Response:
    """Return one vector a text, in input order."""
    preparer = services().calls.preparer

    def prepare(asked: EmbedRequest, key: Key, run: Run) -> tuple[PreparedCall, EmbedRequest]:
        if asked.loads:
            access.check_scope(key, LOAD, "requests without a text, which only load a model")
        return preparer.prepare_embedding(asked, key, run)

    def render(found: Embeddings, asked: EmbedRequest) -> bytes:
        size = len(found.vectors) * len(found.vectors[0]) * _NUMBER_BYTES
        return run_for(size)(dialect.render, found, asked)

    return _serve(dialect, dialect.parse, prepare, embed, render)


def decisions(dialect: DecisionDialect) -> Response:
    """Return the answers to typed questions, in their order."""
    prepare = services().calls.preparer.prepare_decision
    return _serve(dialect, dialect.parse, prepare, decide, dialect.render)


def _serve(
    endpoint: Endpoint,
    parse: Callable[[Json, Reading], Asked],
    prepare: Callable[[Asked, Key, Run], tuple[PreparedCall, Asked]],
    run_call: Callable[[ActiveCall, Asked], Found],
    render: Callable[[Found, Asked], bytes],
) -> Response:
    parts = services()
    body: dict[str, Json] = {}
    try:
        access.check_scope(g.key, endpoint.scope, endpoint.label)
        body, run = read_body(parts)
        asked = run(parse, body, storing.reading(parts, g.key))
        prepared, effective = prepare(asked, g.key, run)
    except GatewayError as error:
        record_rejection(endpoint, body, error)
        raise
    active = ActiveCall(parts.calls, prepared, caller(endpoint), body)
    request.environ["gateway.active"] = active
    with active:
        try:
            found = run_call(active, effective)
        finally:
            g.headers = active.headers()
        return Complete(render(found, asked), content_type="application/json")


def _add(endpoint: Endpoint, view: Callable[[], Response]) -> None:
    speaks(endpoint)(view)
    for path in endpoint.paths:
        bp.add_url_rule(path, endpoint.name, view, methods=["POST"], strict_slashes=False)


for _embeds in EMBEDDING_DIALECTS:
    _add(_embeds, partial(embeddings, _embeds))
for _decides in DECISION_DIALECTS:
    _add(_decides, partial(decisions, _decides))
