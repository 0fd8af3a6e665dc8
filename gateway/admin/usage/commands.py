"""A recorded call as a command: what its client sent to the gateway, and what went to Ollama.

`$KEY` and `$OLLAMA` are for the person who runs it. Where the texts were not kept, or not to their
end, the parameters in force and a placeholder stand there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.admin.usage.explained import Upstream, fields_of
from gateway.core.chat import Json
from gateway.core.requests import CallDetail
from gateway.dialects import DECISION_DIALECTS, DIALECTS, EMBEDDING_DIALECTS
from gateway.dialects.base import Dialect
from gateway.dialects.messages.answer import ANTHROPIC

PLACEHOLDER: Final = "YOUR PROMPT"
_MAX_ARGUMENT: Final = 100_000
"""A longer argument may be refused by the system (128 KB on Linux)."""
_OLLAMAS: Final = {
    "/api/chat": "messages",
    "/api/generate": "prompt",
    "/api/embed": "input",
    "/v1/systemone": "state",
}
"""The field that holds the prompt."""
_ENDPOINTS: Final = {
    endpoint.name: endpoint for endpoint in (*DIALECTS, *EMBEDDING_DIALECTS, *DECISION_DIALECTS)
}
_QUESTIONS: Final[Mapping[str, Json]] = {
    "decisions": [{"type": "predicate", "instructions": PLACEHOLDER}],
    "systemone": {"question": {"type": "noul", "instructions": PLACEHOLDER}},
}
_MAX_TOKENS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a shell. `has_texts` tells that the call's own texts stand in it."""

    text: str
    has_texts: bool


def whole(kept: str | None) -> Mapping[str, Json] | None:
    """Return a body that was kept; None where it was not, or was cut."""
    try:
        body = json.loads(kept or "")
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def for_gateway(call: CallDetail, base: str) -> Command | None:
    """Return the client's own request to the gateway at `base`; None for what is no endpoint."""
    endpoint = _ENDPOINTS.get(call.row.endpoint)
    if endpoint is None:
        return None
    body = whole(call.request_body)
    has_texts = body is not None
    if body is None:
        body = {
            **_placeholder(call.row.requested_model, endpoint.prompt_param or "input"),
            **fields_of(call.explain),
        }
        if endpoint.name in _QUESTIONS:
            body["questions"] = _QUESTIONS[endpoint.name]
        if isinstance(endpoint, Dialect):
            body["stream"] = call.row.streamed
        if endpoint.vendor is ANTHROPIC:  # required there, and stronger than the option
            body["max_tokens"] = body.get("options", {}).get("num_predict", _MAX_TOKENS)
    fields = ['"Authorization: Bearer $KEY"']
    if endpoint.vendor is ANTHROPIC:
        fields.append("'anthropic-version: 2023-06-01'")
    return Command(_curl(shlex.quote(base + endpoint.paths[0]), body, *fields), has_texts)


def for_ollama(call: CallDetail, upstream: Upstream) -> Command | None:
    """Return what went to Ollama; None for a path Ollama does not have."""
    field = _OLLAMAS.get(upstream.path)
    if field is None:
        return None
    body = whole(call.upstream_body)
    has_texts = body is not None
    if body is None:
        body = {**_placeholder(upstream.model, field), **upstream.fields}
        if field == "state":
            body["questions"] = _QUESTIONS["systemone"]
    return Command(_curl(f'"$OLLAMA{upstream.path}"', body), has_texts)


def _placeholder(model: str, field: str) -> dict[str, Json]:
    hello = [{"role": "user", "content": PLACEHOLDER}]
    return {"model": model, field: hello if field == "messages" else PLACEHOLDER}


def _curl(url: str, body: Mapping[str, Json], *fields: str) -> str:
    """Return the command; `url` and `fields` are words of a shell."""
    words = shlex.quote(json.dumps(body, ensure_ascii=False))
    headers = [f"-H {field}" for field in (*fields, "'Content-Type: application/json'")]
    if len(words.encode("utf-8", "replace")) > _MAX_ARGUMENT:  # a shell's own printf takes it
        return " \\\n  ".join([f"printf %s {words} | curl -N {url}", *headers, "--data-binary @-"])
    return " \\\n  ".join([f"curl -N {url}", *headers, f"--data-raw {words}"])
