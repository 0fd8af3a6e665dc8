"""The Responses API."""

from __future__ import annotations

from gateway.openapi.chat import sampling
from gateway.openapi.extensions import effort, generation_fields, response_format, token_limit
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
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
)
"""Every event of a stream, in the order of their first possible appearance."""


def schemas() -> dict[str, Schema]:
    """Return the named schemas."""
    return {
        "ResponseRequest": _request(),
        "Response": _response(),
        "ResponseItem": _item(),
        "ResponseEvent": _event(),
        "ResponseDeleted": answer(
            {"id": text(), "object": constant("response"), "deleted": flag()}
        ),
        "ResponseItems": answer(
            {
                "object": constant("list"),
                "data": listed({"type": "object"}),
                "first_id": nullable(text()),
                "last_id": nullable(text()),
                "has_more": flag(),
            }
        ),
        "InputTokens": answer(
            {"object": constant("response.input_tokens"), "input_tokens": integer("Estimated.")}
        ),
    }


def _request() -> Schema:
    return request(
        {
            **generation_fields(),
            **sampling(),
            "model": text(),
            "input": either(
                text(),
                listed({"type": "object"}),
                about="A text, or items: messages, reasoning, calls and their outputs.",
            ),
            "instructions": text("System prompt of this request; not inherited."),
            "stream": flag(),
            "stream_options": request({"include_obfuscation": flag()}),
            "max_output_tokens": token_limit(),
            "max_tokens": token_limit("The same; the other one wins."),
            "reasoning": request(
                {
                    "effort": effort(),
                    "summary": text("Without effect: the trace is always given."),
                    "generate_summary": text("Without effect."),
                    "exclude": flag(),
                    "enabled": flag(),
                    "max_tokens": integer(),
                }
            ),
            "reasoning_effort": effort(),
            "thinking": either(flag(), {"type": "object"}),
            "text": request({"format": response_format(), "verbosity": text("Without effect.")}),
            "tools": listed({"type": "object"}, "function, custom, namespace; others left out."),
            "tool_choice": either(word("none", "auto", "required"), {"type": "object"}),
            "parallel_tool_calls": flag(),
            "max_tool_calls": integer("Without effect."),
            "previous_response_id": text("Continue a stored response of the same key."),
            "store": flag("Default true."),
            "include": listed(
                text(), "reasoning.encrypted_content, message.output_text.logprobs; others ignored."
            ),
            "top_logprobs": integer("", 0, 20),
            "truncation": word("auto", "disabled"),
            "metadata": request({}, about="Kept with the response: 16 keys of 64/512 characters."),
            "user": text("Recorded with the request."),
            "safety_identifier": text(),
            "prompt_cache_key": text(),
            "service_tier": text("Without effect."),
            "context_management": anything("Left out with notice."),
            "background": flag("true is refused."),
            "conversation": anything("Refused."),
            "prompt": anything("Refused."),
            "moderation": anything("Refused."),
        },
        required="model",
    )


def _item() -> Schema:
    part = answer(
        {
            "type": constant("output_text"),
            "text": text(),
            "annotations": listed(anything()),
            "logprobs": listed(anything()),
        }
    )
    head = {"id": text(), "status": word("in_progress", "completed", "incomplete", "failed")}
    return either(
        answer(
            {
                **head,
                "type": constant("reasoning"),
                "summary": listed(answer({"type": constant("summary_text"), "text": text()})),
                "encrypted_content": nullable(text()),
            },
            optional="encrypted_content",
        ),
        answer(
            {
                **head,
                "type": constant("message"),
                "role": constant("assistant"),
                "content": listed(part),
            }
        ),
        answer(
            {
                **head,
                "type": constant("function_call"),
                "call_id": text(),
                "name": text(),
                "namespace": text(),
                "arguments": text(),
            },
            optional="namespace",
        ),
        answer(
            {
                **head,
                "type": constant("custom_tool_call"),
                "call_id": text(),
                "name": text(),
                "namespace": text(),
                "input": text(),
            },
            optional="namespace",
        ),
    )


def _response() -> Schema:
    usage = answer(
        {
            "input_tokens": integer(),
            "input_tokens_details": answer(
                {"cached_tokens": integer(), "cache_write_tokens": integer()}
            ),
            "output_tokens": integer(),
            "output_tokens_details": answer({"reasoning_tokens": integer()}),
            "total_tokens": integer(),
        }
    )
    return answer(
        {
            "id": text(),
            "object": constant("response"),
            "created_at": integer(),
            "completed_at": nullable(integer()),
            "status": word("in_progress", "completed", "incomplete", "failed"),
            "background": flag(),
            "error": nullable(answer({"code": text(), "message": text()})),
            "incomplete_details": nullable(answer({"reason": text()})),
            "instructions": nullable(text()),
            "max_output_tokens": nullable(integer()),
            "max_tool_calls": nullable(integer()),
            "model": text(),
            "output": listed(ref("ResponseItem")),
            "parallel_tool_calls": flag(),
            "previous_response_id": nullable(text()),
            "prompt_cache_key": nullable(text()),
            "reasoning": {"type": "object"},
            "safety_identifier": nullable(text()),
            "service_tier": text(),
            "store": flag(),
            "temperature": nullable(number()),
            "text": {"type": "object"},
            "tool_choice": anything(),
            "tools": listed({"type": "object"}),
            "top_logprobs": integer(),
            "top_p": nullable(number()),
            "truncation": text(),
            "usage": nullable(usage),
            "user": nullable(text()),
            "metadata": {"type": "object"},
        }
    )


def _event() -> Schema:
    return answer(
        {
            "type": word(*EVENTS),
            "sequence_number": integer("Counts from 0 without gaps."),
            "response": ref("Response"),
            "item": ref("ResponseItem"),
            "item_id": text(),
            "output_index": integer(),
            "content_index": integer(),
            "summary_index": integer(),
            "part": {"type": "object"},
            "delta": text(),
            "text": text(),
            "arguments": text(),
            "input": text(),
            "name": text(),
            "logprobs": listed(anything()),
        },
        "One `event:` and `data:` pair. There is no `[DONE]`.",
        optional="response item item_id output_index content_index summary_index part delta text"
        " arguments input name logprobs",
    )
