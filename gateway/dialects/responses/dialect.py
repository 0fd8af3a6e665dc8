"""`POST /v1/responses` (docs/contract/responses.md).

input     the items, as a conversation
tools     the tools
object    the answer and its items
stream    the answer as events; its `Builder` also knows the finished object
stored    what is kept, and how it is shown again
dialect   everything else of a request, and what the answer echoes of it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from gateway.core.chat import Call, ChatRequest, Json, Params
from gateway.core.options import OPTIONS, Option
from gateway.dialects.base import Dialect, Reading
from gateway.dialects.responses.input import Conversation, read_input
from gateway.dialects.responses.object import Echo
from gateway.dialects.responses.stored import to_keep
from gateway.dialects.responses.stream import Builder, render
from gateway.dialects.responses.tools import read_tools
from gateway.dialects.shared.openai import OPENAI, error_body
from gateway.dialects.shared.params import OPENAI_NAMES, read_params, root_of
from gateway.dialects.shared.reading import (
    Fields,
    as_fields,
    as_text,
    invalid,
    read_end_user,
    read_model,
    unsupported,
    wrong_type,
)
from gateway.dialects.shared.schemas import read_response_format
from gateway.dialects.shared.tool_choice import read_choice
from gateway.errors import GatewayError

NAMES: Mapping[str, Option] = {
    **{name: rule for name, rule in OPENAI_NAMES.items() if name != "max_completion_tokens"},
    "max_output_tokens": OPTIONS["num_predict"],
}
"""The vendor's names of options, weakest first."""

_REFUSED = {
    "conversation": "conversations are not kept here; use previous_response_id.",
    "prompt": "stored prompt templates do not exist here.",
    "moderation": "nothing is moderated here.",
}
_TRUNCATIONS = {"auto": True, "disabled": False}
_ECHOED = ("prompt_cache_key", "safety_identifier", "user")
_MAX_METADATA = 16
_LONGEST_KEY = 64
_LONGEST_VALUE = 512


def parse(body: Json, reading: Reading) -> Call:
    """Read a Responses request; recalls what it refers to. Raises InvalidRequest."""
    behaviour = reading.behaviour
    body = as_fields(body, "body").raw
    root = root_of(body)
    model = read_model(root)
    _check_support(root)
    conversation = read_input(root, reading)
    changes = _configured(root, conversation)
    root = Fields({**root.raw, **changes})
    params, unread = read_params({**body, **changes}, NAMES)
    declared = [*root.objects("tools"), *conversation.tools]
    ignored = list(conversation.ignored)
    offered, echoed = read_tools(declared, behaviour.max_tools, ignored)
    tools, choice = read_choice(root.get("tool_choice"), "tool_choice", offered, hosted=True)
    parallel = root.flag("parallel_tool_calls")
    params = _with_answer_shape(root, params)
    request = ChatRequest(
        model=model,
        messages=tuple(conversation.messages),
        params=params,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel is not False,
        media_param="input",
    )
    management = ["context_management"] if root.get("context_management") else []
    return Call(
        request=request,
        stream=root.flag("stream") or False,
        ignored=(*unread, *management, *ignored),
        end_user=read_end_user(root),
        default_truncate=False,  # `truncation` is "disabled" unless asked for
        format_param="text.format",
        extra=Echo(
            fields=_echoed(root, request, echoed, reading),
            input_items=tuple(conversation.stored),
            previous_id=root.text("previous_response_id") or None,
            store=_stores(root, reading),
            encrypted="reasoning.encrypted_content" in _included(root),
        ),
        body=body,
    )


def error_event(error: GatewayError, request_id: str) -> bytes:
    """Return the last event of a stream whose writer broke."""
    told = {**error_body(error)["error"], "type": "error"}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(told)


def _check_support(root: Fields) -> None:
    """Raise InvalidRequest for what would have to change the answer and cannot."""
    for name, why in _REFUSED.items():
        if root.get(name) is not None:
            raise unsupported(name, why)
    if root.flag("background"):
        raise unsupported("background", "answers are given at once or streamed.")


def _configured(root: Fields, conversation: Conversation) -> Mapping[str, Json]:
    """Return the members of the body that items of the conversation change."""
    form = conversation.text_format
    changes: dict[str, Json] = {}
    for name, member, value in (
        ("reasoning", "effort", conversation.effort),
        ("text", "format", None if form is None else form.raw),
    ):
        if value is not None:
            said = root.get(name)
            changes[name] = {**(said if isinstance(said, Mapping) else {}), member: value}
    return changes


def _with_answer_shape(root: Fields, params: Params) -> Params:
    """Add `text.format`, `truncation` and log-probabilities."""
    text = root.fields("text")
    form = None if text is None else text.fields("format")
    if form is not None:
        params = replace(params, format=read_response_format(form))
    truncation = root.word("truncation", _TRUNCATIONS)
    if truncation is not None:
        params = replace(params, truncate=_TRUNCATIONS[truncation])
    top = root.integer("top_logprobs", 0, 20)
    if top or "message.output_text.logprobs" in _included(root):
        params = replace(params, logprobs=True, top_logprobs=top)
    return params


def _included(root: Fields) -> tuple[str, ...]:
    return tuple(
        as_text(item, f"include[{index}]") for index, item in enumerate(root.items("include"))
    )


def _stores(root: Fields, reading: Reading) -> bool:
    return reading.behaviour.responses_store and root.flag("store") is not False


def _echoed(
    root: Fields, request: ChatRequest, tools: list[Json], reading: Reading
) -> Mapping[str, Json]:
    """Return the members of the answer that repeat the request."""
    reasoning = root.fields("reasoning") or Fields({})
    summary = reasoning.get("summary")
    if summary is None:
        summary = reasoning.get("generate_summary")
    text = root.fields("text") or Fields({})
    given: dict[str, Json] = {
        "instructions": root.text("instructions"),
        "max_output_tokens": root.integer("max_output_tokens"),
        "max_tool_calls": root.integer("max_tool_calls"),
        "parallel_tool_calls": request.parallel_tool_calls,
        "previous_response_id": root.text("previous_response_id") or None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": summary},
        "store": _stores(root, reading),
        "temperature": root.number("temperature"),
        "text": {
            "format": {"type": "text"},
            **{name: value for name, value in text.raw.items() if value is not None},
        },
        "tool_choice": "auto" if root.get("tool_choice") is None else root.get("tool_choice"),
        "tools": tools,
        "top_logprobs": root.integer("top_logprobs") or 0,
        "top_p": root.number("top_p"),
        "truncation": root.text("truncation") or "disabled",
        "metadata": _metadata(root),
    }
    return {**given, **{name: root.text(name) for name in _ECHOED}}


def _metadata(root: Fields) -> Json:
    """Return `metadata` as strings, within the vendor's bounds."""
    metadata = root.fields("metadata") or Fields({})
    if len(metadata.raw) > _MAX_METADATA:
        raise invalid(f"At most {_MAX_METADATA} entries are allowed.", "metadata")
    found: dict[str, str] = {}
    for key, value in metadata.raw.items():
        where = metadata.path(key[:_LONGEST_KEY])
        if len(key) > _LONGEST_KEY:
            raise invalid(f"Keys may have at most {_LONGEST_KEY} characters.", where)
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, int | float):
            value = str(value)  # some write time limits as numbers
        elif not isinstance(value, str):
            raise wrong_type(where, "a string", value)
        elif len(value) > _LONGEST_VALUE:
            raise invalid(f"Values may have at most {_LONGEST_VALUE} characters.", where)
        found[key] = value
    return found


RESPONSES = Dialect(
    name="responses",
    label="the Responses API",
    vendor=OPENAI,
    paths=("/v1/responses", "/responses"),
    prompt_param="input",
    parse=parse,
    render=render,
    writer=Builder,
    error_event=error_event,
    on_complete=to_keep,
)
