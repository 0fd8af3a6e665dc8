"""What several endpoints take and answer: Ollama's words, sampling; errors, models, usage.

The options come from the table that also checks them, so nothing is missing here.
"""

from __future__ import annotations

from gateway.core.options import NOT_AT_ROOT, OPTIONS, Option
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


def option(rule: Option) -> Schema:
    """Return the schema of one of Ollama's options."""
    match rule.kind:
        case "number":
            return number("", rule.low, rule.high)
        case "integer":
            return integer("", rule.low, rule.high)
        case "flag":
            return flag()
        case "limit":
            return token_limit()
        case _:
            return STOPS


def token_limit(about: str = "") -> Schema:
    """Return the schema of a number of tokens: -1 and -2 are no limit, 0 is refused."""
    return either(integer("", 1), {"type": "integer", "enum": [-1, -2]}, about=about)


def page_of(items: Schema) -> Schema:
    """Return the schema of one page of a list."""
    return answer(
        {
            "object": constant("list"),
            "data": listed(items),
            **alike(nullable(text()), "first_id", "last_id"),
            "has_more": flag(),
        }
    )


OBJECT: Schema = {"type": "object"}
EFFORT = text(
    "none, minimal, low, medium, high, xhigh or max; other words mean that thinking is wanted."
)
STOPS = either(
    text(), listed(text()), about="Texts that end the answer: at most 64 of 1,024 characters."
)
RECORDED = text("Recorded with the request.")
REASONING = {
    "effort": EFFORT,
    "enabled": flag("false switches thinking off."),
    "max_tokens": integer("More than 0 switches thinking on; not a limit.", 0),
    "exclude": flag("Keep the thinking out of the answer."),
}
SAMPLING = {
    "temperature": number("Not sent when absent: the Modelfile's value counts.", 0, 2),
    "top_p": number("Not sent when absent.", 0, 1),
    **alike(number("", -2, 2), "presence_penalty", "frequency_penalty"),
    "seed": integer(),
    "stop": STOPS,
}
"""OpenAI's sampling fields; they take the place of Ollama's of the same name."""
WAITING = {
    "keep_alive": either(
        number(), text(), about="How long the model stays loaded: seconds, or 5m, 1h."
    ),
    "truncate": flag("false makes a prompt that is too long an error."),
    "timeout_ms": integer("Time limit of the whole request in milliseconds; 0 is none.", 0),
    "request_timeout": integer("The same as `timeout_ms`.", 0),
}
"""What embeddings take as well: memory, cutting, time."""
_SCHEMA = anything("A JSON schema.")
RESPONSE_FORMAT = request(
    {
        "type": word("text", "json_object", "json_schema"),
        "json_schema": request(
            {**alike(text(), "name", "description"), "schema": _SCHEMA, "strict": flag()}
        ),
        "schema": _SCHEMA,
    },
    required="type",
)
GENERATION = {
    **{name: option(rule) for name, rule in OPTIONS.items() if name not in NOT_AT_ROOT},
    "options": ref("Options"),
    "think": either(flag(), text(), about="true, false, low, medium, high or max."),
    "enable_thinking": flag("The same as `think`."),
    "chat_template_kwargs": request(
        {**alike(flag(), "enable_thinking", "thinking"), "reasoning_effort": EFFORT}
    ),
    "include_reasoning": flag("false keeps the thinking out of the answer."),
    "exclude_reasoning": flag("true keeps the thinking out of the answer."),
    "hide_reasoning": flag("The same as `exclude_reasoning`."),
    "format": either({"const": "json"}, OBJECT, about="Ollama's `format`."),
    "guided_json": either(OBJECT, text(), about="A schema for the answer."),
    "structured_outputs": request({"json": either(OBJECT, text())}),
    "shift": flag("Let the context shift when it is full."),
    "repetition_penalty": number("The same as `repeat_penalty`.", 0),
    "extra_body": request({}, about="Read as if it stood at the root, with lower rank."),
    **WAITING,
}
"""What every generating endpoint takes that OpenAI and Anthropic do not have."""
_ERROR = {
    "message": text("A sentence to act on."),
    "type": text(),
    "param": nullable(text("Path of the field concerned.")),
    "code": nullable(text("For machines, such as `model_not_found`.")),
}
_TOKEN_DETAILS = {
    "reasoning_tokens": integer("Estimated: Ollama does not count it apart."),
    **alike(integer(), "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"),
}
_LOGPROB = {"token": text(), "logprob": number(), "bytes": nullable(listed(integer()))}
SCHEMAS: dict[str, Schema] = {
    "Options": request(
        {name: option(rule) for name, rule in OPTIONS.items()},
        about="Ollama's options. Unknown ones are passed on while the setting "
        "allow_unverified_options is on.",
    ),
    "Reasoning": request(REASONING),
    "Error": answer(
        {"error": answer(_ERROR)},
        "An error as OpenAI writes it. In a stream it is the last event, without `[DONE]`.",
    ),
    "AnthropicError": answer(
        {
            "type": constant("error"),
            "error": answer(alike(text(), "type", "message")),
            "request_id": text(),
        },
        "An error as Anthropic writes it.",
    ),
    "Model": answer(
        {
            "id": text("The name to call it by."),
            **alike(constant("model"), "object", "type"),
            "created": integer(),
            **alike(text(), "owned_by", "root", "display_name", "lifecycle"),
            "permission": listed(anything()),
            "parent": nullable(text()),
            "created_at": text(format="date-time"),
            "context_length": integer("Context window in tokens."),
            **alike(integer(), "max_model_len", "max_input_tokens"),
            "max_tokens": integer("Most tokens of an answer."),
            "capabilities": listed(text(), "Such as completion, tools, vision, thinking."),
        },
        "One object that OpenAI's and Anthropic's SDKs both read.",
        optional="context_length max_model_len max_input_tokens max_tokens capabilities",
    ),
    "ModelList": page_of(ref("Model")),
    "ChatUsage": answer(
        {
            "prompt_tokens": integer(),
            "completion_tokens": integer("Thinking included."),
            "total_tokens": integer(),
            "prompt_tokens_details": answer(alike(integer(), "cached_tokens", "audio_tokens")),
            "completion_tokens_details": answer(_TOKEN_DETAILS),
        }
    ),
    "TokenLogprob": answer({**_LOGPROB, "top_logprobs": listed(answer(_LOGPROB))}),
    "Ready": answer({"status": word("ready", "starting", "draining"), "usage_store": text()}),
}
"""The named schemas."""
