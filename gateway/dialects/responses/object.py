"""The response object and its output items, as `POST /v1/responses` gives, streams and stores them.

Thinking is the reasoning item's *summary*: that is what SDKs and coding agents display (D30). A
call goes back under the caller's own name for the tool, custom ones as `custom_tool_call`, those
of a namespace with `namespace` beside the name (D32).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gateway.core.chat import EMPTY, ChatRequest, Envelope, Json, Tool
from gateway.core.events import TokenLogprob, Usage
from gateway.dialects.base import derived_id
from gateway.errors import GatewayError

Status: TypeAlias = Literal["in_progress", "completed", "incomplete", "failed"]

_TRACE = "ogw1."
_ERROR_CODES = frozenset(
    {
        "context_length_exceeded",
        "failed_to_download_image",
        "image_too_large",
        "invalid_base64_image",
        "invalid_image_url",
        "unsupported_image_media_type",
    }
)


@dataclass(frozen=True, slots=True)
class Echo:
    """What the answer repeats of the request, and what storing it needs; travels in `Call.extra`.

    `fields` are the object's echoed members in their final form, `input_items` the request's own
    items in stored form but without ids, `store` whether the answer is to be kept.
    """

    fields: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    input_items: tuple[Mapping[str, Json], ...] = ()
    previous_id: str | None = None
    store: bool = False
    encrypted: bool = False


def echo_of(envelope: Envelope) -> Echo:
    """Return the envelope's `Echo`; an empty one where the call came without."""
    extra = envelope.call.extra
    return extra if isinstance(extra, Echo) else Echo()


def response_object(
    envelope: Envelope,
    status: Status,
    output: Sequence[Json] = (),
    *,
    usage: Usage | None = None,
    error: GatewayError | None = None,
    reason: str | None = None,
    completed_at: int | None = None,
) -> dict[str, Json]:
    """Return the response object; `reason` tells why it is incomplete."""
    echo = echo_of(envelope)
    return {
        "id": derived_id("resp_", envelope.seed),
        "object": "response",
        "created_at": envelope.created,
        "completed_at": completed_at,
        "status": status,
        "background": False,
        "error": None if error is None else error_object(error),
        "incomplete_details": None if reason is None else {"reason": reason},
        **_DEFAULTS,
        "model": envelope.call.model,
        "output": list(output),
        **echo.fields,
        "usage": None if usage is None else usage_object(usage),
    }


_DEFAULTS: Mapping[str, Json] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "model": "",
    "output": [],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "usage": None,
    "user": None,
    "metadata": {},
}


def usage_object(usage: Usage) -> dict[str, Json]:
    """Return the token counts."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def error_object(error: GatewayError) -> dict[str, str]:
    """Return `error` of a failed response: one of the SDK's own words as `code`."""
    if error.code in _ERROR_CODES:
        code = error.code
    elif error.status == 429:
        code = "rate_limit_exceeded"
    elif error.status == 400:
        code = "invalid_prompt"
    else:
        code = "server_error"
    return {"code": code, "message": error.message}


def reasoning_item(id: str, status: Status, text: str | None, encrypted: bool) -> dict[str, Json]:
    """Return a reasoning item; `text` None is one that has just begun."""
    summary = [] if text is None else [summary_part(text)]
    item: dict[str, Json] = {"id": id, "type": "reasoning", "status": status, "summary": summary}
    if text is not None:
        item["encrypted_content"] = seal(text) if encrypted else None
    return item


def summary_part(text: str) -> dict[str, str]:
    """Return the one part of a reasoning summary."""
    return {"type": "summary_text", "text": text}


def message_item(
    id: str, status: Status, text: str | None, logprobs: Sequence[TokenLogprob] = ()
) -> dict[str, Json]:
    """Return the assistant's message; `text` None is one that has just begun."""
    content = [] if text is None else [text_part(text, logprobs)]
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Json]:
    """Return the one part of a message."""
    tokens = [
        {**_token(each), "top_logprobs": [_token(top) for top in each.top]} for each in logprobs
    ]
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": tokens}


def delta_logprobs(logprobs: Iterable[TokenLogprob]) -> list[Json]:
    """Return log-probabilities as text events carry them: without bytes."""
    return [
        {
            "token": each.token,
            "logprob": each.logprob,
            "top_logprobs": [{"token": top.token, "logprob": top.logprob} for top in each.top],
        }
        for each in logprobs
    ]


def _token(each: TokenLogprob) -> dict[str, Json]:
    utf8 = list(each.utf8) if each.utf8 is not None else list(each.token.encode())
    return {"token": each.token, "bytes": utf8, "logprob": each.logprob}


def call_item(id: str, status: Status, call_id: str, tool: Tool, payload: str) -> dict[str, Json]:
    """Return a call of `tool`: `payload` is the arguments' JSON text, or a custom tool's input."""
    custom = tool.kind == "custom"
    return {
        "id": id,
        "status": status,
        "call_id": call_id,
        "type": "custom_tool_call" if custom else "function_call",
        "name": tool.client_name or tool.name,
        "input" if custom else "arguments": payload,
        **({"namespace": tool.namespace} if tool.namespace else {}),
    }


def tools_by_name(envelope: Envelope) -> dict[str, Tool]:
    """Return the tools on offer under the names the model knows."""
    request = envelope.call.request
    tools = request.tools if isinstance(request, ChatRequest) else ()
    return {tool.name: tool for tool in tools}


def seal(thinking: str) -> str:
    """Return thinking text as `encrypted_content`. No secret: it comes back as it went."""
    data = thinking.encode("utf-8", "surrogatepass")
    return _TRACE + urlsafe_b64encode(data).decode()


def unseal(content: Json) -> str | None:
    """Return the thinking text of our own `encrypted_content`; None for anybody else's."""
    if not isinstance(content, str) or not content.startswith(_TRACE):
        return None
    body = content.removeprefix(_TRACE)
    try:
        return urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
    except ValueError:
        return None
