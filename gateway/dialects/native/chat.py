"""`POST /api/chat` (docs/contract/native.md): a conversation, in Ollama's own words."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.chat import Call, ChatRequest, Envelope, Json, Message, Role, ToolCall
from gateway.core.events import Reply
from gateway.dialects.base import Dialect, Reading
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.native.answer import MEDIA_TYPE, LineWriter, error_line
from gateway.dialects.native.answer import render as render_answer
from gateway.dialects.native.request import for_loading, read_media, read_steering, read_stream
from gateway.dialects.native.words import NATIVE
from gateway.dialects.shared.content import (
    MAX_PARTS,
    Content,
    call_name,
    read_arguments,
    read_part,
)
from gateway.dialects.shared.reading import (
    Fields,
    check_count,
    invalid,
    label,
    read_model,
)
from gateway.dialects.shared.tool_choice import read_offer

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def parse(body: Json, reading: Reading) -> Call:
    """Read a chat request; one without messages only loads its model, and is answered in one
    piece. Raises InvalidRequest, and Forbidden for unloading."""
    root = Fields(body)
    model = read_model(root)
    params, ignored = read_steering(body)
    if not root.items("messages"):
        return Call(ChatRequest(model, (), for_loading(params)), loads=True, body=body)
    offer = read_offer(Fields({"tools": root.get("tools")}), reading.behaviour.max_tools)
    return Call(
        request=ChatRequest(
            model=model,
            messages=_messages(root, reading.behaviour.max_messages),
            params=params,
            tools=offer.tools,
        ),
        stream=read_stream(body),
        ignored=(*ignored, *offer.ignored),
        format_param="format",
        body=body,
    )


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Return the whole answer."""
    return render_answer(replies, envelope, _said)


def writer(envelope: Envelope) -> LineWriter:
    """Return what writes the answer as lines."""
    return LineWriter(envelope, _said, b'"message":{"role":"assistant","content":', b"}")


def _said(text: Json, thinking: Json, calls: Sequence[Json]) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = list(calls)
    return {"message": message}


def _messages(root: Fields, most: int) -> tuple[Message, ...]:
    check_count(len(root.items("messages")), "messages", most)
    return tuple(_message(fields) for fields in root.objects("messages"))


def _message(fields: Fields) -> Message:
    word = fields.required_text("role").strip().lower()
    role = _ROLES.get(word)
    if role is None:
        raise invalid(
            f"{label(word)!r} is no role; use one of {', '.join(_ROLES)}.", fields.path("role")
        )
    content = Content()
    content.add_text(fields.text("content") or "")
    for index, data in enumerate(fields.items("images")):
        part = {"type": "image", "data": data}
        read_part(part, f"{fields.path('images')}[{index}]", content, {"image": _add_media})
    check_count(len(fields.items("tool_calls")), fields.path("tool_calls"), MAX_PARTS, "calls")
    return content.message(
        role,
        thinking=fields.text("thinking") or "",
        tool_calls=[_call(call) for call in fields.objects("tool_calls")],
        tool_call_id=fields.text("tool_call_id") or "",
        tool_name=fields.text("tool_name") or "",
    )


def _add_media(part: Fields, content: Content) -> None:
    content.media.append(read_media(part.required_text("data"), part.where))


def _call(fields: Fields) -> ToolCall:
    function = fields.required_fields("function")
    return ToolCall(
        fields.text("id") or "", call_name(function), read_arguments(function, "arguments")
    )


API_CHAT = Dialect(
    name="api_chat",
    label=CHAT.label,
    vendor=NATIVE,
    paths=("/api/chat",),
    prompt_param="messages",
    scope_of=CHAT.name,
    parse=parse,
    render=render,
    writer=writer,
    error_event=lambda error, request_id: error_line(error),
    media_type=MEDIA_TYPE,
)
