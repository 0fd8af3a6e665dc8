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
from gateway.dialects import ENDPOINTS

PLACEHOLDER: Final = "YOUR PROMPT"
_MAX_ARGUMENT: Final = 100_000
"""A longer argument may be refused by the system (128 KB on Linux)."""
_HELLO: Final = [{"role": "user", "content": PLACEHOLDER}]
_PROMPTS: Final[Mapping[str, Json]] = {
    "chat": {"messages": _HELLO},
    "completions": {"prompt": PLACEHOLDER},
    "embeddings": {"input": PLACEHOLDER},
    "responses": {"input": PLACEHOLDER},
    "messages": {"messages": _HELLO, "max_tokens": 1_024},
    "/api/chat": {"messages": _HELLO},
    "/api/generate": {"prompt": PLACEHOLDER},
    "/api/embed": {"input": PLACEHOLDER},
}
_PATHS: Final = {endpoint.name: endpoint.paths[0] for endpoint in ENDPOINTS}


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
    name = call.row.endpoint
    if name not in _PROMPTS or name not in _PATHS:
        return None
    body = whole(call.request_body)
    has_texts = body is not None
    if body is None:
        body = {"model": call.requested_model, **_PROMPTS[name], **fields_of(call.explain)}
        if call.row.streamed:
            body["stream"] = True
    fields = ['"Authorization: Bearer $KEY"']
    if name == "messages":
        fields.append("'anthropic-version: 2023-06-01'")
    return Command(_curl(shlex.quote(base + _PATHS[name]), body, *fields), has_texts)


def for_ollama(call: CallDetail, upstream: Upstream) -> Command | None:
    """Return what went to Ollama; None for a path Ollama does not have."""
    path = upstream.path
    if path not in _PROMPTS:
        return None
    body = whole(call.upstream_body)
    has_texts = body is not None
    if body is None:
        body = {"model": upstream.model, **_PROMPTS[path], **upstream.fields}
    return Command(_curl(f'"$OLLAMA{path}"', body), has_texts)


def _curl(url: str, body: Mapping[str, Json], *fields: str) -> str:
    """Return the command; `url` and `fields` are words of a shell."""
    words = shlex.quote(json.dumps(body, ensure_ascii=False))
    headers = [f"-H {field}" for field in (*fields, "'Content-Type: application/json'")]
    if len(words.encode("utf-8", "replace")) > _MAX_ARGUMENT:  # a shell's own printf takes it
        return " \\\n  ".join([f"printf %s {words} | curl -N {url}", *headers, "--data-binary @-"])
    return " \\\n  ".join([f"curl -N {url}", *headers, f"--data-raw {words}"])
