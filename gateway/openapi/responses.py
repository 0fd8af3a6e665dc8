"""The Responses API."""

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
    number,
    ref,
    request,
    text,
    word,
)
from gateway.openapi.shared import (
    EFFORT,
    GENERATION,
    OBJECT,
    REASONING,
    RECORDED,
    RESPONSE_FORMAT,
    SAMPLING,
    page_of,
    token_limit,
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
_PART = {
    "type": constant("output_text"),
    "text": text(),
    **alike(listed(anything()), "annotations", "logprobs"),
}
_SUMMARY = {"type": constant("summary_text"), "text": text()}
_KINDS = {
    "reasoning": {"summary": listed(answer(_SUMMARY)), "encrypted_content": nullable(text())},
    "message": {"role": constant("assistant"), "content": listed(answer(_PART))},
    "function_call": alike(text(), "call_id", "name", "namespace", "arguments"),
    "custom_tool_call": alike(text(), "call_id", "name", "namespace", "input"),
}
_HEAD = {"id": text(), "status": word("in_progress", "completed", "incomplete", "failed")}
_USAGE = {
    **alike(integer(), "input_tokens", "output_tokens", "total_tokens"),
    "input_tokens_details": answer(alike(integer(), "cached_tokens", "cache_write_tokens")),
    "output_tokens_details": answer({"reasoning_tokens": integer()}),
}
_EVENT = {
    "type": word(*EVENTS),
    "sequence_number": integer("Counts from 0 without gaps."),
    "response": ref("Response"),
    "item": ref("ResponseItem"),
    **alike(integer(), "output_index", "content_index", "summary_index"),
    "part": OBJECT,
    **alike(text(), "item_id", "delta", "text", "arguments", "input", "name"),
    "logprobs": listed(anything()),
}
SCHEMAS: dict[str, Schema] = {
    "ResponseRequest": request(
        {
            **GENERATION,
            **SAMPLING,
            "model": text(),
            "input": either(
                text(),
                listed(OBJECT),
                about="A text, or items: messages, reasoning, calls and their outputs.",
            ),
            "instructions": text("System prompt of this request; not inherited."),
            **alike(flag(), "stream", "parallel_tool_calls"),
            "stream_options": request({"include_obfuscation": flag()}),
            "max_output_tokens": token_limit(),
            "max_tokens": token_limit("The same; the other one wins."),
            "reasoning": request(
                {
                    **REASONING,
                    "summary": text("Without effect: the trace is always given."),
                    "generate_summary": text("Without effect."),
                }
            ),
            "reasoning_effort": EFFORT,
            "thinking": either(flag(), OBJECT),
            "text": request({"format": RESPONSE_FORMAT, "verbosity": text("Without effect.")}),
            "tools": listed(OBJECT, "function, custom, namespace; others left out."),
            "tool_choice": either(word("none", "auto", "required"), OBJECT),
            "max_tool_calls": integer("Without effect."),
            "previous_response_id": text("Continue a stored response of the same key."),
            "store": flag("Default true."),
            "include": listed(
                text(), "reasoning.encrypted_content, message.output_text.logprobs; others ignored."
            ),
            "top_logprobs": integer("", 0, 20),
            "truncation": word("auto", "disabled"),
            "metadata": request({}, about="Kept with the response: 16 keys of 64/512 characters."),
            **alike(RECORDED, "user", "safety_identifier"),
            **alike(text("Without effect."), "prompt_cache_key", "service_tier"),
            "context_management": anything("Left out with notice."),
            "background": flag("true is refused."),
            **alike(anything("Refused."), "conversation", "prompt", "moderation"),
        },
        required="model",
    ),
    "Response": answer(
        {
            "object": constant("response"),
            "status": word("in_progress", "completed", "incomplete", "failed"),
            **alike(text(), "id", "model", "service_tier", "truncation"),
            **alike(nullable(text()), "instructions", "previous_response_id", "user"),
            **alike(nullable(text()), "prompt_cache_key", "safety_identifier"),
            **alike(integer(), "created_at", "top_logprobs"),
            **alike(nullable(integer()), "completed_at", "max_output_tokens", "max_tool_calls"),
            **alike(nullable(number()), "temperature", "top_p"),
            **alike(flag(), "background", "parallel_tool_calls", "store"),
            **alike(OBJECT, "reasoning", "text", "metadata"),
            "error": nullable(answer(alike(text(), "code", "message"))),
            "incomplete_details": nullable(answer({"reason": text()})),
            "output": listed(ref("ResponseItem")),
            "tool_choice": anything(),
            "tools": listed(OBJECT),
            "usage": nullable(answer(_USAGE)),
        }
    ),
    "ResponseItem": either(
        *(
            answer({**_HEAD, "type": constant(kind), **own}, optional="encrypted_content namespace")
            for kind, own in _KINDS.items()
        )
    ),
    "ResponseEvent": answer(
        _EVENT,
        "One `event:` and `data:` pair. There is no `[DONE]`.",
        optional=" ".join(list(_EVENT)[2:]),
    ),
    "ResponseDeleted": answer({"id": text(), "object": constant("response"), "deleted": flag()}),
    "ResponseItems": page_of(OBJECT),
    "InputTokens": answer(
        {"object": constant("response.input_tokens"), "input_tokens": integer("Estimated.")}
    ),
}
"""The named schemas."""
