"""How long is a prompt? Estimates: Ollama has no tokenizer endpoint (D42). Nothing is counted as
usage."""

from __future__ import annotations

from flask import Response, g

from gateway.api import bp, storing
from gateway.api.answers import as_json
from gateway.api.hooks import speaks
from gateway.api.inbound import read_body
from gateway.dialects.base import Dialect
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.responses import stored as responses_stored
from gateway.dialects.responses.dialect import RESPONSES
from gateway.policy import access
from gateway.web.context import services


@bp.post("/v1/messages/count_tokens", strict_slashes=False)
@bp.post("/messages/count_tokens", strict_slashes=False)
@bp.post("/anthropic/v1/messages/count_tokens", strict_slashes=False)
@bp.post("/anthropic/messages/count_tokens", strict_slashes=False)
@speaks(MESSAGES)
def count_tokens() -> Response:
    """Estimate the input of a Messages request."""
    return as_json({"input_tokens": _measured(MESSAGES)})


@bp.post("/v1/responses/input_tokens", strict_slashes=False)
@bp.post("/responses/input_tokens", strict_slashes=False)
@speaks(RESPONSES)
def input_tokens() -> Response:
    """Estimate the input of a Responses request."""
    return as_json(responses_stored.input_tokens(_measured(RESPONSES)))


def _measured(dialect: Dialect) -> int:
    access.check_scope(g.key, dialect.scope, dialect.label)
    parts = services()
    body, run = read_body(parts)
    call = run(dialect.parse, body, storing.reading(parts, g.key))
    return parts.calls.preparer.measure_prompt(call, g.key, run)
