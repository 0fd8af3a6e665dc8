"""What the whole answer, the stream and the errors of the Messages API have in common."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import Finish, Usage
from gateway.dialects.base import Vendor, derived_id
from gateway.errors import ContextOverflow, GatewayError

NO_THREADS = "thread_unsupported_request"
"""The vendor's word for a request that cannot be part of a stored conversation."""
_STOPS = {"stop_sequence": "stop_sequence", "length": "max_tokens", "tool_calls": "tool_use"}
OMIT_THINKING = "omit_thinking"
"""`Call.extra` where thinking blocks go out with empty text (`thinking.display: "omitted"`)."""


def tool_use_id(seed: str, number: int) -> str:
    """Return the id of the answer's `number`-th call; clients expect the prefix."""
    return derived_id("toolu_", seed, number, digits=24)


def signature(thinking: str) -> str:
    """Return the required `signature` of a thinking block. It proves nothing."""
    digest = sha256(thinking.encode("utf-8", "surrogatepass")).digest()[:16]
    return "ogw." + urlsafe_b64encode(digest).decode()


def stop_reason(finish: Finish, called: bool) -> str:
    """Translate the end of an answer; `called` tells whether calls were made."""
    word = _STOPS.get(finish.reason)
    return word or ("tool_use" if called else "end_turn")


def usage_counts(usage: Usage) -> dict[str, int]:
    """Return the counts; `input_tokens` and the cached ones add up here, unlike at OpenAI."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    return {
        "input_tokens": usage.prompt_tokens - cached,
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
    }


def message_object(
    envelope: Envelope,
    content: list[Json],
    stop: str | None,
    sequence: str | None,
    usage: Usage,
) -> Json:
    """Return the answer object: whole, or as `message_start` opens it."""
    return {
        "id": derived_id("msg_", envelope.seed, digits=24),
        "type": "message",
        "role": "assistant",
        "model": envelope.call.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": sequence,
        "usage": {**usage_counts(usage), "service_tier": "standard"},
    }


def error_body(error: GatewayError, request_id: str, prompt_estimate: int = 0) -> Json:
    """Return the error body; `prompt_estimate` stands in for a prompt's size."""
    told: dict[str, Json] = {
        "type": error.anthropic_type,
        "message": _message(error, prompt_estimate),
    }
    if error.code == NO_THREADS:
        # SDKs that read this go on by themselves, with the whole conversation in each request.
        told["details"] = {"error_code": NO_THREADS, "unsupported": []}
    return {"type": "error", "error": told, "request_id": request_id}


def error_event(error: GatewayError, request_id: str) -> bytes:
    """Return the last event of a stream whose writer broke."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps(error_body(error, request_id))


def _headers(request_id: str, version: str | None, elapsed_ms: int) -> Iterable[tuple[str, str]]:
    yield "x-request-id", request_id
    yield "request-id", request_id
    if version is not None:
        yield "anthropic-version", version


def _message(error: GatewayError, prompt_estimate: int) -> str:
    """Return the sentence; there is no member for the field concerned, so it leads the sentence."""
    if not isinstance(error, ContextOverflow):
        param = error.param
        if param is None or param in error.message:
            return error.message
        return f"{param}: {error.message}"
    # Claude Code compacts by itself when it reads these words, and only then.
    prompt = error.detail.get("prompt_tokens") or prompt_estimate
    window = error.detail.get("context_tokens")
    if prompt and window:
        # Both may be estimates; the claim must stay true to be acted on.
        return f"prompt is too long: {max(prompt, window + 1)} tokens > {window} maximum"
    return f"prompt is too long: {error.message}"


ANTHROPIC = Vendor(
    "anthropic",
    lambda error, request_id, prompt_param: error_body(error, request_id),
    _headers,
    roots=("/anthropic",),
)
