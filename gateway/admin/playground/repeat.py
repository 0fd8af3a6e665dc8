"""A recorded call as the beginning of the playground: what its client asked, in the fields of the
page, and the answer it got.

The playground speaks chat completions: calls of the other APIs are read by their dialect and put in
those words. What the page has no field for is named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.admin.usage.commands import whole
from gateway.admin.usage.explained import fields_of
from gateway.core.chat import (
    ChatRequest,
    CompletionRequest,
    Json,
    Media,
    Params,
    Request,
    Tool,
)
from gateway.core.chat import Message as Turn
from gateway.core.options import OPTIONS
from gateway.core.requests import CallDetail
from gateway.dialects import DIALECTS
from gateway.dialects.base import Reading
from gateway.errors import InvalidRequest, Message

OPTION_NAMES: Final = ("temperature", "top_p", "num_ctx", "num_predict", "seed")
"""The options that always have a field."""
_EFFORTS: Final = ("low", "medium", "high")
_UNHELD: Final = (
    "keep_alive", "truncate", "shift", "raw", "logprobs", "top_logprobs", "timeout_ms",
    "hide_thinking",
)  # fmt: skip
_MAX_NAMED: Final = 12
_NAME_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Start:
    """What stands in the playground's fields. `turns` and `images` are those of chat completions,
    `answer` is the one that was kept, `left_out` names what could not be taken over."""

    request_id: str = ""
    model: str = ""
    system: str = ""
    prompt: str = ""
    think: str = ""
    options: Mapping[str, Json] = field(default_factory=lambda: dict.fromkeys(OPTION_NAMES, ""))
    tools: str = ""
    schema: str = ""
    turns: tuple[Json, ...] = ()
    images: tuple[str, ...] = ()
    answer: str = ""
    left_out: tuple[str, ...] = ()


def can_repeat(call: CallDetail) -> bool:
    """Whether the request of a call was kept, and is one that the playground can make."""
    return _is_generating(call) and whole(call.request_body) is not None


def start_of(call: CallDetail, reading: Reading) -> Start:
    """Return the beginning that repeats a call. Raises InvalidRequest where it cannot be repeated:
    of another API, its request was not kept or only in part, or refers to stored responses."""
    if not _is_generating(call):
        raise InvalidRequest(Message("Only requests that generate text can be repeated here."))
    body = whole(call.request_body)
    if body is None:
        raise InvalidRequest(
            Message("The request was not kept, or only in part: there is nothing to repeat.")
        )
    dialect = next(one for one in DIALECTS if one.name == call.row.endpoint)
    request = dialect.parse(body, reading).request
    think = request.params.think
    if think is None:  # each API has its own default, which was in force then
        think = fields_of(call.explain).get("think")
    options = {
        name: value
        for name, value in request.params.options.items()
        if name in OPTIONS and isinstance(value, int | float) and not isinstance(value, bool)
    }
    system, turns, prompt = _conversation(request)
    return Start(
        request_id=call.row.request_id,
        model=call.row.model,
        system=system,
        prompt=prompt.content,
        think=_effort(think),
        options=dict.fromkeys(OPTION_NAMES, "") | options,
        tools=_tools(request),
        schema=_schema(request.params.format),
        turns=tuple(_turn(message) for message in turns),
        images=tuple(_address(one) for one in prompt.media if one.kind == "image"),
        answer=call.response_body or "",
        left_out=_shortened(_left_out(request, options, prompt)),
    )


def _is_generating(call: CallDetail) -> bool:
    return any(one.name == call.row.endpoint for one in DIALECTS)


def _conversation(request: Request) -> tuple[str, tuple[Turn, ...], Turn]:
    """Return the system prompt, the turns before the last question, and that question: empty where
    a tool had the last word."""
    if isinstance(request, CompletionRequest):
        question = Turn("user", request.prompts[0], media=request.media)
        return request.system or "", (), question
    messages, system = request.messages, ""
    if messages and messages[0].role == "system":
        system, messages = messages[0].content, messages[1:]
    if messages and messages[-1].role == "user":
        return system, messages[:-1], messages[-1]
    return system, messages, Turn("user")


def _turn(message: Turn) -> Json:
    """Return a turn as chat completions write it."""
    turn: dict[str, Json] = {"role": message.role, "content": message.content}
    media = [part for one in message.media if (part := _part(one)) is not None]
    if media:
        turn["content"] = [{"type": "text", "text": message.content}, *media]
    if message.thinking:
        turn["reasoning_content"] = message.thinking
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        turn |= {"tool_call_id": message.tool_call_id, "name": message.tool_name}
    return turn


def _part(media: Media) -> Json:
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": _address(media)}}
    if media.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": "wav"}}
    return None


def _address(image: Media) -> str:
    # what kind it is, the bytes say (D21)
    return image.url or f"data:image/png;base64,{image.data}"


def _effort(think: Json) -> str:
    """Return the word of the page for `think`; "" is what the model does by itself."""
    if think is False:
        return "none"
    return think if think in _EFFORTS else ""


def _tools(request: Request) -> str:
    if not isinstance(request, ChatRequest) or not request.tools:
        return ""
    return json.dumps([_tool(tool) for tool in request.tools], ensure_ascii=False, indent=2)


def _tool(tool: Tool) -> Json:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


def _schema(wanted: Json) -> str:
    if wanted is None:
        return ""
    schema = {"type": "object"} if wanted == "json" else wanted
    return json.dumps(schema, ensure_ascii=False, indent=2, default=dict)


def _left_out(request: Request, options: Mapping[str, Json], prompt: Turn) -> list[str]:
    """Return the names of what the page has no field for."""
    params = request.params
    found = [name for name in params.options if name not in options]
    nothing = Params()
    found += [name for name in _UNHELD if getattr(params, name) != getattr(nothing, name)]
    if params.think == "max":
        found.append("think")
    if request.n > 1:
        found.append("n")
    if isinstance(request, CompletionRequest):
        found += [name for name in ("suffix", "template", "context") if getattr(request, name)]
        found += [f"prompt[{number}]" for number in range(1, len(request.prompts))]
        return found
    if request.tool_choice.mode != "auto" or request.tool_choice.names:
        found.append("tool_choice")
    if not request.parallel_tool_calls:
        found.append("parallel_tool_calls")
    if any(tool.kind != "function" for tool in request.tools):
        found.append("tools[].type")
    if any(one.kind != "image" for one in prompt.media):
        found.append("audio, files")
    elif any(one.kind == "file" for message in request.messages for one in message.media):
        found.append("files")
    return found


def _shortened(names: list[str]) -> tuple[str, ...]:
    """Return names as the page shows them: some of them were made up by the caller."""
    shown = [name[:_NAME_CHARS] for name in names[:_MAX_NAMED]]
    return (*shown, "…") if len(names) > _MAX_NAMED else tuple(shown)
