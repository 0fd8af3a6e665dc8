"""`POST /v1/messages` and its `count_tokens` (docs/contract/messages.md).

input     the conversation
tools     the tools
answer    what the whole answer, the stream and errors have in common
stream    the answer as events
dialect   everything else of a request, and the whole answer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.core.chat import Call, ChatRequest, Envelope, Json, Think, Tool
from gateway.core.events import Reply
from gateway.core.options import OPTIONS, Option
from gateway.dialects.base import Dialect, Reading
from gateway.dialects.messages.answer import (
    ANTHROPIC,
    NO_THREADS,
    OMIT_THINKING,
    error_event,
    message_object,
    signature,
    stop_reason,
    tool_use_id,
)
from gateway.dialects.messages.input import read_messages
from gateway.dialects.messages.stream import Writer
from gateway.dialects.messages.tools import read_tools
from gateway.dialects.shared.content import as_arguments
from gateway.dialects.shared.params import OPENAI_NAMES, read_params, root_of
from gateway.dialects.shared.reading import (
    Fields,
    as_fields,
    invalid,
    label,
    printable,
    read_model,
    unsupported,
)
from gateway.dialects.shared.schemas import read_response_format
from gateway.dialects.shared.tool_choice import read_choice

_LIMIT = replace(OPTIONS["num_predict"], kind="integer", low=1)
NAMES: Mapping[str, Option] = {
    **{
        name: OPENAI_NAMES[name]
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")
    },
    "top_k": OPTIONS["top_k"],
    "stop_sequences": OPTIONS["stop"],
    "max_output_tokens": _LIMIT,
    "max_tokens": _LIMIT,
}
"""The vendor's names of options, weakest first."""

_LEFT_OUT = ("container", "context_management", "compaction")
_DEFAULT_THINK: Mapping[str, Think | None] = {"false": False, "true": True, "none": None}


def parse(body: Json, reading: Reading) -> Call:
    """Read a Messages request. Raises InvalidRequest."""
    behaviour = reading.behaviour
    body = as_fields(body, "body").raw
    root = root_of(body)
    model = read_model(root)
    ignored = _check_support(root)
    params, unread = read_params(_prepared(body, root), NAMES, own=("thinking",))
    form = _answer_format(root)
    if form is not None:
        params = replace(params, format=read_response_format(form))
    messages = read_messages(root, behaviour, ignored)
    tools = read_tools(root, behaviour.max_tools, ignored)
    _check_choice(root, tools)
    wanted = root.get("tool_choice")
    tools, choice = read_choice(wanted, "tool_choice", tools)
    one_call = isinstance(wanted, Mapping) and Fields(wanted, "tool_choice").flag(
        "disable_parallel_tool_use"
    )
    return Call(
        request=ChatRequest(
            model=model,
            messages=messages,
            params=params,
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=not one_call,
        ),
        stream=root.flag("stream") or False,
        ignored=(*unread, *ignored),
        end_user=printable(_member(root, "metadata", "user_id")),
        default_think=_DEFAULT_THINK[behaviour.anthropic_default_think],
        default_truncate=False,  # this API refuses a prompt that is too long
        format_param=form.where if form else "response_format",
        stop_here=True,
        extra=OMIT_THINKING if _member(root, "thinking", "display") == "omitted" else None,
        body=body,
    )


def _check_support(root: Fields) -> list[str]:
    """Refuse what the caller relies on; name what is merely left out."""
    if root.items("mcp_servers"):
        raise unsupported("mcp_servers", "the gateway connects to no MCP server.")
    if root.get("thread") is not None:
        raise invalid(
            "'thread' is not supported: conversations are not kept here; send all messages.",
            "thread",
            NO_THREADS,
        )
    return [name for name in _LEFT_OUT if root.get(name) is not None]


def _check_choice(root: Fields, tools: Sequence[Tool]) -> None:
    """Refuse a demand for a tool that was offered and had to be left out."""
    name = _member(root, "tool_choice", "name")
    if not isinstance(name, str) or any(tool.name == name for tool in tools):
        return
    if any(declaration.get("name") == name for declaration in root.objects("tools")):
        raise invalid(
            f"The tool {label(name)!r} runs at its vendor and cannot be called here; "
            "offer a function of your own instead.",
            "tool_choice.name",
            "unsupported_value",
        )


def _prepared(body: Mapping[str, Json], root: Fields) -> Mapping[str, Json]:
    """Return the body with what only this API says put into common words."""
    changes: dict[str, Json] = {}
    stops = root.get("stop_sequences")
    if isinstance(stops, list):
        changes["stop_sequences"] = [s for s in stops if not isinstance(s, str) or s.strip()]
    if root.get("think") is None:
        changes["think"] = _wanted_thinking(root)
    return {**body, **changes}


def _wanted_thinking(root: Fields) -> Json:
    """Return `think` from `thinking` and `output_config.effort`; Ollama knows no budgets."""
    output = root.fields("output_config")
    effort = None if output is None else output.text("effort")
    thinking = root.get("thinking")
    if thinking is None:
        return effort
    if isinstance(thinking, bool | str):
        return thinking
    config = as_fields(thinking, "thinking")
    # Vendors invent new words for how much; only one of them means none.
    return False if config.text("type") == "disabled" else effort or True


def _answer_format(root: Fields) -> Fields | None:
    """Return the answer's format from where the several versions of the API have it."""
    output = root.fields("output_config")
    form = (output and output.fields("format")) or root.fields("output_format")
    said = root.get("response_format")
    if form is not None or said is None:
        return form
    return as_fields({"type": said} if isinstance(said, str) else said, "response_format")


def _member(root: Fields, name: str, member: str) -> Json:
    """Return a member of an object, None where there is no object."""
    value = root.get(name)
    return value.get(member) if isinstance(value, Mapping) else None


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Return the answer object: thinking, text, calls; never without a block."""
    reply = replies[0]
    content: list[Json] = []
    if reply.thinking:
        shown = "" if envelope.call.extra is OMIT_THINKING else reply.thinking
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
            "input": as_arguments(call.arguments),
        }
        for number, call in enumerate(reply.tool_calls)
    ]
    finish = reply.finish
    reason = stop_reason(finish, bool(reply.tool_calls))
    return message_object(envelope, content, reason, finish.stop_sequence, finish.usage)


MESSAGES = Dialect(
    name="messages",
    label="the Messages API",
    vendor=ANTHROPIC,
    paths=("/v1/messages", "/messages", "/anthropic/v1/messages", "/anthropic/messages"),
    prompt_param="messages",
    parse=parse,
    render=render,
    writer=Writer,
    error_event=error_event,
)
