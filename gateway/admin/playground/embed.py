"""Texts turned into vectors from the playground, and how alike two of them are."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, request, url_for

from gateway.admin import bp
from gateway.admin.playground.run import answer_of, caller_of, drawn, failure, key_of, reading
from gateway.calls.active_call import ActiveCall
from gateway.calls.whole import embed
from gateway.core.chat import Json
from gateway.dialects.embeddings import EMBEDDINGS, check_count
from gateway.errors import GatewayError, InvalidRequest
from gateway.policy import access
from gateway.web.context import services

_SHOWN = 8


@bp.post("/playground/embed")
def playground_embed() -> Response:
    """Return the length and the first values of the vectors of some texts; of two, also their
    similarity. It is one event, and so is a refusal, with the status a client would get."""
    request_id = "req_" + secrets.token_hex(16)
    sent = request.get_json(silent=True)
    try:
        if not isinstance(sent, dict) or not isinstance(sent.get("body"), dict):
            raise InvalidRequest("The playground sent nothing that can be read.")
        found = _embedded(request_id, sent.get("key"), sent["body"])
    except GatewayError as error:
        return answer_of(failure(error, request_id))
    url = url_for("admin.request_detail", request_id=request_id)
    return answer_of({"type": "vectors", "html": drawn("vectors", found, url)})


def _embedded(request_id: str, key_id: Json, body: Mapping[str, Json]) -> dict[str, Any]:
    parts = services()
    key, caller = key_of(parts, key_id), caller_of(EMBEDDINGS, request_id)
    try:
        access.check_scope(key, EMBEDDINGS.scope, EMBEDDINGS.label)
        asked = EMBEDDINGS.parse(dict(body), reading(parts))
        prepared, effective = parts.calls.preparer.prepare_embedding(asked, key)
        active = ActiveCall(parts.calls, prepared, caller, body)
    except GatewayError as error:
        parts.calls.records.reject(key, caller, str(body.get("model", "")), error)
        raise
    with active:
        found = embed(active, effective)
        check_count(found, effective)
    vectors = found.vectors
    return {
        "dimension": len(vectors[0]),
        "vectors": [list(vector[:_SHOWN]) for vector in vectors],
        "similarity": cosine(vectors[0], vectors[1]) if len(vectors) == 2 else None,
        "input": found.prompt_tokens,
        "total_ms": found.total_ns / 1e6,
    }


def cosine(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the cosine of the angle between two vectors, from -1 to 1; None where one is zero."""
    lengths = math.hypot(*one) * math.hypot(*other)
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / lengths if lengths else None
