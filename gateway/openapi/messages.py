"""Anthropic's Messages API."""

from __future__ import annotations

from gateway.openapi.parts import (
    Schema,
    alike,
    answer,
    anything,
    constant,
    either,
    flag,
    integer,
    listed,
    nullable,
    ref,
    request,
    text,
    word,
)
from gateway.openapi.shared import EFFORT, GENERATION, OBJECT, RECORDED, RESPONSE_FORMAT, SAMPLING

EVENTS = (
    "message_start",
    "ping",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
)
_TURN = {"role": word("user", "assistant", "system"), "content": either(text(), listed(OBJECT))}
_TOOL_CHOICE = {
    "type": word("auto", "any", "tool", "none"),
    "name": text(),
    "disable_parallel_tool_use": flag(),
}
_BLOCKS = either(
    answer({"type": constant("thinking"), **alike(text(), "thinking", "signature")}),
    answer({"type": constant("text"), "text": text()}),
    answer({"type": constant("tool_use"), **alike(text(), "id", "name"), "input": OBJECT}),
)
_CACHED = alike(integer(), "cache_creation_input_tokens", "cache_read_input_tokens")
_USAGE = {
    "input_tokens": integer(),
    "output_tokens": integer("Thinking included."),
    **_CACHED,
    "service_tier": text(),
}
SCHEMAS: dict[str, Schema] = {
    "MessagesRequest": request(
        {
            **GENERATION,
            **SAMPLING,
            "model": text(),
            "messages": listed(request(_TURN, required="role content"), minItems=1),
            "max_tokens": integer("Thinking counts too. May be absent here.", 1),
            "max_output_tokens": integer("The same; the other one wins.", 1),
            "system": either(text(), listed(OBJECT)),
            "stream": flag(),
            "stop_sequences": listed(text(), "Matched by the gateway, in the text only."),
            "top_k": integer("", -1),
            "tools": listed(ref("Tool"), "Hosted tools are left out with notice."),
            "tool_choice": either(
                request(_TOOL_CHOICE, required="type"), word("auto", "any", "none")
            ),
            "thinking": request(
                {
                    "type": word("enabled", "adaptive", "between_tools", "disabled"),
                    "budget_tokens": integer("Not enforced: Ollama has no budget."),
                    "display": text("omitted keeps the text of thinking out of the blocks."),
                }
            ),
            "output_config": request({"effort": EFFORT, "format": OBJECT}),
            "output_format": OBJECT,
            "response_format": either(RESPONSE_FORMAT, text()),
            "metadata": request({"user_id": RECORDED}),
            "cache_control": anything("Without effect: Ollama caches prefixes by itself."),
            "service_tier": text("Without effect."),
            "betas": listed(text(), "Without effect."),
            **alike(anything("Left out with notice."), "container", "context_management"),
            "mcp_servers": listed(OBJECT, "Refused unless empty."),
            "thread": anything("Refused."),
        },
        required="model messages",
    ),
    "Message": answer(
        {
            "id": text(),
            "type": constant("message"),
            "role": constant("assistant"),
            "model": text("As the caller wrote it."),
            "content": listed(_BLOCKS),
            "stop_reason": nullable(word("end_turn", "max_tokens", "stop_sequence", "tool_use")),
            "stop_sequence": nullable(text()),
            "usage": answer(_USAGE, optional="service_tier"),
        }
    ),
    "MessageEvent": answer(
        {
            "type": word(*EVENTS),
            "index": integer(),
            "message": ref("Message"),
            **alike(OBJECT, "content_block", "delta", "usage", "error"),
            "request_id": text(),
        },
        "One `event:` and `data:` pair.",
        optional="index message content_block delta usage error request_id",
    ),
    "TokenCount": answer({"input_tokens": integer("Estimated.")}),
}
"""The named schemas."""
