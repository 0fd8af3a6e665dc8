"""The conversation of a chat completion, as Ollama's messages (api-mapping 2.3.2).

    system, developer    `system`
    user                 `user`; Anthropic tool results in it become `tool` messages before it
    assistant            `assistant` with thinking and calls; several at the end become one
    tool, function       `tool`, with the name of the tool that was called

The content of earlier turns is judged mildly: an agent repeats its history with every call, and
one refusal would end its session for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.core.chat import Json, Message, ToolCall
from gateway.dialects.anthropic_blocks import read_call, read_result
from gateway.dialects.content import PARTS, Content, Reader, read_arguments, read_content
from gateway.dialects.reading import Fields, as_text, invalid, label, missing

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_THINKING_NAMES = ("reasoning_content", "reasoning", "thinking")


def read_messages(root: Fields, max_messages: int, ignored: list[str]) -> tuple[Message, ...]:
    """Give the conversation, never empty. Raises InvalidRequest.

    What inside a tool result cannot be read is named in `ignored`.
    """
    entries = root.items("messages")
    if not entries:
        # Ollama would load or unload the model and call that an answer.
        raise missing("messages")
    if len(entries) > max_messages:
        raise invalid(f"At most {max_messages} messages are allowed.", "messages")
    history = _History(ignored)
    for index, fields in enumerate(root.objects("messages")):
        history.add(fields, index)
    return _one_prefill(history.messages)


def is_prefill(messages: Sequence[Message]) -> bool:
    """Tell whether the model is to continue a turn of its own."""
    return messages[-1].role == "assistant"


class _History:
    """The growing conversation, and which tool each call named."""

    def __init__(self, ignored: list[str]) -> None:
        self._ignored = ignored
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}

    def add(self, fields: Fields, index: int) -> None:
        role = fields.required_text("role").strip().lower()
        match role:
            case "system" | "developer":
                self._add(Message("system", "\n".join(_read(fields).texts)))
            case "user":
                self._add_user(fields)
            case "assistant":
                self._add_assistant(fields, index)
            case "tool":
                self._add_result(fields)
            case "function":
                content = _read(fields)
                name = fields.required_text("name")
                self._add(_tool_message(content, "", name))
            case _:
                raise invalid(
                    f"{label(role)!r} is no role; use one of {', '.join(_ROLES)}.",
                    fields.path("role"),
                )

    def _add(self, message: Message) -> None:
        self.messages.append(message)

    def _add_user(self, fields: Fields) -> None:
        text = fields.get("content")
        if isinstance(text, str):
            self._add(Message("user", text))
            return
        results: list[Message] = []

        def add_result(part: Fields, content: Content) -> None:
            text, media = read_result(part, "tool_result", self._ignored)
            call_id = part.text("tool_use_id") or ""
            name = self._names.get(call_id, "")
            results.append(Message("tool", text, media=media, tool_call_id=call_id, tool_name=name))

        content = _read(fields, {**PARTS, "tool_result": add_result})
        self.messages += results
        if content.texts or content.media or not results:
            self._add(Message("user", "\n".join(content.texts), media=tuple(content.media)))

    def _add_assistant(self, fields: Fields, index: int) -> None:
        calls: list[ToolCall] = []

        def add_call(part: Fields, content: Content) -> None:
            calls.append(read_call(part))

        content = Content()
        if fields.get("content") is not None:
            content = _read(fields, {**PARTS, "tool_use": add_call})
        content.add_text(_text(fields.get("refusal")))
        calls += [_call(call) for call in fields.objects("tool_calls")]
        legacy = fields.fields("function_call")
        if legacy is not None:
            arguments = read_arguments(legacy.get("arguments"))
            name = legacy.required_text("name")
            calls.append(ToolCall(f"call_legacy_{index}", name, arguments))
        self._names.update((call.id, call.name) for call in calls if call.id)
        self._add(
            Message(
                "assistant",
                "".join(content.texts),
                _thinking(fields) or "".join(content.thoughts),
                tuple(content.media),
                tuple(calls),
            )
        )

    def _add_result(self, fields: Fields) -> None:
        call_id = fields.text("tool_call_id") or ""
        name = self._names.get(call_id) or fields.text("name") or ""
        self._add(_tool_message(_read(fields), call_id, name))


def _read(fields: Fields, parts: Mapping[str, Reader] = PARTS) -> Content:
    value = fields.get("content")
    if value is None:
        raise missing(fields.path("content"))
    return read_content(value, fields.path("content"), parts)


def _tool_message(content: Content, call_id: str, name: str) -> Message:
    return Message(
        "tool",
        "\n".join(content.texts),
        media=tuple(content.media),
        tool_call_id=call_id,
        tool_name=name,
    )


def _call(fields: Fields) -> ToolCall:
    """Read one earlier call of a function, or of a custom tool with its free text."""
    call_id = fields.text("id") or ""
    custom = fields.fields("custom")
    if custom is not None:
        text = as_text(custom.get("input") or "", custom.path("input"))
        return ToolCall(call_id, custom.required_text("name"), {"input": text})
    function = fields.fields("function") or fields
    arguments = read_arguments(function.get("arguments"))
    return ToolCall(call_id, function.required_text("name"), arguments)


def _thinking(fields: Fields) -> str:
    """Give the reasoning of an earlier turn, under whichever name it was sent out."""
    for name in _THINKING_NAMES:
        text = _text(fields.get(name))
        if text:
            return text
    details = fields.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    found = (entry for entry in details if isinstance(entry, Mapping))
    return "".join(_text(entry.get("text")) or _text(entry.get("summary")) for entry in found)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _one_prefill(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Merge the assistant's turns at the very end: Ollama refuses two of them."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1
    tail = messages[end:]
    if len(tail) < 2:
        return tuple(messages)
    merged = replace(
        tail[0],
        content="".join(turn.content for turn in tail),
        thinking="".join(turn.thinking for turn in tail),
        media=tuple(item for turn in tail for item in turn.media),
        tool_calls=tuple(call for turn in tail for call in turn.tool_calls),
    )
    return (*messages[:end], merged)
