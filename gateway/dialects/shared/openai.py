"""What chat completions, completions and embeddings say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.chat import Envelope, Json
from gateway.core.events import Finish, TokenLogprob, Usage
from gateway.dialects.base import Vendor, derived_id
from gateway.dialects.shared.sse import frame
from gateway.errors import ContextOverflow, GatewayError, ModelNotFound

FINGERPRINT = "fp_ollama"

_PROMPTS = (None, "messages", "prompt", "input")
"""Where a prompt stands; Ollama's endpoints and ours do not call it the same."""


def error_body(error: GatewayError, overflow_param: str | None = None) -> Json:
    """Return the error body, always with four keys; `overflow_param` names a prompt too long."""
    param = error.param
    if isinstance(error, ContextOverflow) and param in _PROMPTS:
        param = overflow_param or param
    if param is None and isinstance(error, ModelNotFound):
        param = "model"
    return {
        "error": {
            # openai-python puts words of its own in place of an empty message.
            "message": error.message or error.code,
            "type": error.type,
            "param": param,
            "code": error.code,
        }
    }


def error_frame(error: GatewayError, overflow_param: str | None = None) -> bytes:
    """Return the last event of a stream that failed (D37)."""
    return frame(error_body(error, overflow_param))


def _headers(request_id: str, version: str | None, elapsed_ms: int) -> Iterable[tuple[str, str]]:
    return (
        ("x-request-id", request_id),
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", str(elapsed_ms)),
    )


OPENAI = Vendor(
    "openai", lambda error, request_id, prompt_param: error_body(error, prompt_param), _headers
)


def head(envelope: Envelope, prefix: str, kind: str) -> dict[str, Json]:
    """Return what an answer and each of its chunks begin with."""
    return {
        "id": derived_id(prefix, envelope.seed, digits=24),
        "object": kind,
        "created": envelope.created,
        "model": envelope.call.model,
        "system_fingerprint": FINGERPRINT,
    }


def finish_word(finish: Finish, called: str = "") -> str:
    """Translate the end of an answer; `called` is the word for calls made."""
    if finish.reason == "length":
        return "length"
    return "stop" if finish.reason == "stop_sequence" else called or "stop"


def reasoning_names(envelope: Envelope) -> tuple[str, ...]:
    """Return the fields thinking goes out under; clients that know both show it twice (D11)."""
    if envelope.reasoning_field == "both":
        return ("reasoning_content", "reasoning")
    return (envelope.reasoning_field,)


def usage_object(usage: Usage) -> Json:
    """Return the usage of a chat completion; no count is missing, for strict clients."""
    return {
        **short_usage_object(usage),
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def short_usage_object(usage: Usage) -> Json:
    """Return the usage of a completion."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def total_usage(usages: Sequence[Usage], n: int) -> Usage:
    """Sum the usage of all choices; a prompt that was answered `n` times counts once (D16)."""
    prompt = cached = completion = reasoning = 0
    for start in range(0, len(usages), n):
        answers = usages[start : start + n]
        prompt += max(usage.prompt_tokens for usage in answers)
        cached += max(usage.cached_tokens for usage in answers)
        completion += sum(usage.completion_tokens for usage in answers)
        reasoning += sum(usage.reasoning_tokens for usage in answers)
    return Usage(prompt, completion, cached, reasoning)


def token_object(token: TokenLogprob) -> Json:
    """Return one token of visible text with its alternatives (D53)."""
    return {**_token(token), "top_logprobs": [_token(other) for other in token.top]}


def _token(token: TokenLogprob) -> dict[str, Json]:
    return {
        "token": token.token,
        "logprob": token.logprob,
        "bytes": None if token.utf8 is None else list(token.utf8),
    }
