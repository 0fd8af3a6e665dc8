"""Anthropic's Messages API."""

from __future__ import annotations

from gateway.openapi.extensions import effort, generation_fields, response_format
from gateway.openapi.parts import (
    Schema,
    answer,
    anything,
    constant,
    either,
    flag,
    integer,
    listed,
    nullable,
    number,
    ref,
    request,
    text,
    word,
)

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


def schemas() -> dict[str, Schema]:
    """Return the named schemas."""
    return {
        "MessagesRequest": _request(),
        "Message": _message(),
        "MessageEvent": answer(
            {
                "type": word(*EVENTS),
                "index": integer(),
                "message": ref("Message"),
                "content_block": {"type": "object"},
                "delta": {"type": "object"},
                "usage": {"type": "object"},
                "error": {"type": "object"},
                "request_id": text(),
            },
            "One `event:` and `data:` pair.",
            optional="index message content_block delta usage error request_id",
        ),
        "TokenCount": answer({"input_tokens": integer("Estimated.")}),
    }


def _request() -> Schema:
    block = {"type": "object"}
    cached = anything("Without effect: Ollama caches prefixes by itself.")
    return request(
        {
            **generation_fields(),
            "model": text(),
            "messages": listed(
                request(
                    {
                        "role": word("user", "assistant", "system"),
                        "content": either(text(), listed(block)),
                    },
                    required="role content",
                ),
                minItems=1,
            ),
            "max_tokens": integer("Thinking counts too. May be absent here.", 1),
            "max_output_tokens": integer("The same; the other one wins.", 1),
            "system": either(text(), listed(block)),
            "stream": flag(),
            "stop_sequences": listed(text(), "Matched by the gateway, in the text only."),
            "temperature": number("", 0, 2),
            "top_p": number("", 0, 1),
            "top_k": integer("", -1),
            "presence_penalty": number("", -2, 2),
            "frequency_penalty": number("", -2, 2),
            "tools": listed(ref("Tool"), "Hosted tools are left out with notice."),
            "tool_choice": either(
                request(
                    {
                        "type": word("auto", "any", "tool", "none"),
                        "name": text(),
                        "disable_parallel_tool_use": flag(),
                    },
                    required="type",
                ),
                word("auto", "any", "none"),
            ),
            "thinking": request(
                {
                    "type": word("enabled", "adaptive", "between_tools", "disabled"),
                    "budget_tokens": integer("Not enforced: Ollama has no budget."),
                    "display": text("omitted keeps the text of thinking out of the blocks."),
                }
            ),
            "output_config": request({"effort": effort(), "format": {"type": "object"}}),
            "output_format": {"type": "object"},
            "response_format": either(response_format(), text()),
            "metadata": request({"user_id": text("Recorded with the request.")}),
            "cache_control": cached,
            "service_tier": text("Without effect."),
            "betas": listed(text(), "Without effect."),
            "container": anything("Left out with notice."),
            "context_management": anything("Left out with notice."),
            "mcp_servers": listed(block, "Refused unless empty."),
            "thread": anything("Refused."),
        },
        required="model messages",
    )


def _message() -> Schema:
    blocks = either(
        answer({"type": constant("thinking"), "thinking": text(), "signature": text()}),
        answer({"type": constant("text"), "text": text()}),
        answer(
            {
                "type": constant("tool_use"),
                "id": text(),
                "name": text(),
                "input": {"type": "object"},
            }
        ),
    )
    return answer(
        {
            "id": text(),
            "type": constant("message"),
            "role": constant("assistant"),
            "model": text("As the caller wrote it."),
            "content": listed(blocks),
            "stop_reason": nullable(word("end_turn", "max_tokens", "stop_sequence", "tool_use")),
            "stop_sequence": nullable(text()),
            "usage": answer(
                {
                    "input_tokens": integer(),
                    "output_tokens": integer("Thinking included."),
                    "cache_creation_input_tokens": integer(),
                    "cache_read_input_tokens": integer(),
                    "service_tier": text(),
                },
                optional="service_tier",
            ),
        }
    )
