"""How long is a prompt? Estimates: Ollama has no tokenizer endpoint (D42). Nothing is counted as
usage."""

from __future__ import annotations

from flask import Response, g

from gateway.api import bp, storing
from gateway.api.answers import as_json
from gateway.api.hooks import speaks
from gateway.api.inbound import read_body
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.responses import dialect as openai_responses
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
    access.check_scope(g.key, MESSAGES.name, MESSAGES.label)
    parts = services()
    call = MESSAGES.parse(read_body(parts), storing.reading(parts, g.key))
    return as_json({"input_tokens": parts.calls.preparer.measure_prompt(call, g.key)})


@bp.post("/v1/responses/input_tokens", strict_slashes=False)
@bp.post("/responses/input_tokens", strict_slashes=False)
@speaks(RESPONSES)
def input_tokens() -> Response:
    """Estimate the input of a Responses request."""
    access.check_scope(g.key, RESPONSES.name, RESPONSES.label)
    parts = services()
    call = openai_responses.parse(read_body(parts), storing.reading(parts, g.key))
    tokens = parts.calls.preparer.measure_prompt(call, g.key)
    return as_json(responses_stored.input_tokens(tokens))
