"""What every generating endpoint takes beside its vendor's own fields: Ollama's words.

The options come from the table that also checks them, so nothing is missing here.
"""

from __future__ import annotations

from gateway.core.options import NOT_AT_ROOT, OPTIONS, Option
from gateway.openapi.parts import (
    Schema,
    anything,
    either,
    flag,
    integer,
    listed,
    number,
    request,
    text,
    word,
)


def schemas() -> dict[str, Schema]:
    """Return the named schemas."""
    options = {name: option(rule) for name, rule in OPTIONS.items()}
    return {
        "Options": request(
            options,
            about="Ollama's options. Unknown ones are passed on while the setting "
            "allow_unverified_options is on.",
        ),
        "Reasoning": request(
            {
                "effort": effort(),
                "enabled": flag("false switches thinking off."),
                "max_tokens": integer("More than 0 switches thinking on; not a limit.", 0),
                "exclude": flag("Keep the thinking out of the answer."),
            }
        ),
    }


def generation_fields() -> dict[str, Schema]:
    """Return the fields of every generating endpoint that OpenAI and Anthropic do not have."""
    root = {name: option(rule) for name, rule in OPTIONS.items() if name not in NOT_AT_ROOT}
    return {
        **root,
        "options": {"$ref": "#/components/schemas/Options"},
        "think": either(flag(), text(), about="true, false, low, medium, high or max."),
        "enable_thinking": flag("The same as `think`."),
        "chat_template_kwargs": request(
            {"enable_thinking": flag(), "thinking": flag(), "reasoning_effort": effort()}
        ),
        "include_reasoning": flag("false keeps the thinking out of the answer."),
        "exclude_reasoning": flag("true keeps the thinking out of the answer."),
        "hide_reasoning": flag("The same as `exclude_reasoning`."),
        "format": either({"const": "json"}, {"type": "object"}, about="Ollama's `format`."),
        "guided_json": either({"type": "object"}, text(), about="A schema for the answer."),
        "structured_outputs": request({"json": either({"type": "object"}, text())}),
        "shift": flag("Let the context shift when it is full."),
        "repetition_penalty": number("The same as `repeat_penalty`.", 0),
        "extra_body": request({}, about="Read as if it stood at the root, with lower rank."),
        **waiting(),
    }


def waiting() -> dict[str, Schema]:
    """Return what embeddings take as well: memory, cutting, time."""
    return {
        "keep_alive": either(
            number(), text(), about="How long the model stays loaded: seconds, or 5m, 1h."
        ),
        "truncate": flag("false makes a prompt that is too long an error."),
        "timeout_ms": integer("Time limit of the whole call in milliseconds; 0 is none.", 0),
        "request_timeout": integer("The same as `timeout_ms`.", 0),
    }


def effort() -> Schema:
    """Return the schema of an effort word."""
    return text(
        "none, minimal, low, medium, high, xhigh or max; other words mean that thinking is wanted."
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
            return stops()


def token_limit(about: str = "") -> Schema:
    """Return the schema of a number of tokens: -1 and -2 are no limit, 0 is refused."""
    found = {"anyOf": [integer("", 1), {"type": "integer", "enum": [-1, -2]}]}
    return {**found, "description": about} if about else found


def stops() -> Schema:
    """Return the schema of stop strings."""
    about = "Texts that end the answer: at most 64 of 1,024 characters."
    return either(text(), listed(text()), about=about)


def response_format() -> Schema:
    """Return the schema of `response_format`."""
    schema = anything("A JSON schema.")
    return request(
        {
            "type": word("text", "json_object", "json_schema"),
            "json_schema": request(
                {"name": text(), "schema": schema, "strict": flag(), "description": text()}
            ),
            "schema": schema,
        },
        required="type",
    )
