"""The Messages API (`POST /v1/messages`): api-mapping 4."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import Reply
from gateway.dialects.anthropic_common import (
    error_body,
    message_object,
    omits_thinking,
    signature,
    stop_reason,
    tool_use_id,
)
from gateway.dialects.anthropic_stream import stream

__all__ = ["MEDIA_TYPE", "NAME", "error", "render", "render_count", "stream"]

NAME = "messages"
MEDIA_TYPE = "text/event-stream; charset=utf-8"

error = error_body


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Give the answer object: thinking, text, calls; never without a block."""
    reply = replies[0]
    content: list[Json] = []
    if reply.thinking:
        shown = "" if omits_thinking(envelope) else reply.thinking
        signed = signature(reply.thinking)
        content.append({"type": "thinking", "thinking": shown, "signature": signed})
    if reply.text or not reply.tool_calls:
        # Many callers read `content[0].text` without looking.
        content.append({"type": "text", "text": reply.text})
    content += [
        {
            "type": "tool_use",
            "id": tool_use_id(envelope.seed, number),
            "name": call.name,
            "input": orjson.loads(call.arguments),
        }
        for number, call in enumerate(reply.tool_calls)
    ]
    finish = reply.finish
    reason = stop_reason(finish, bool(reply.tool_calls))
    return message_object(envelope, content, reason, finish.stop_sequence, finish.usage)


def render_count(tokens: int) -> Json:
    """Give the answer of `count_tokens`."""
    return {"input_tokens": tokens}
