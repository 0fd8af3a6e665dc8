"""The conversation of a chat completion, as Ollama's messages (docs/contract/conversations.md).

    system, developer    `system`
    user                 `user`; Anthropic tool results in it become `tool` messages before it
    assistant            `assistant` with thinking and calls
    tool, function       `tool`, with the name of the tool that was called

The content of earlier turns is judged mildly: an agent repeats its history with every call, and
one refusal would end its session for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.core.chat import Json, Message, ToolCall
from gateway.dialects.shared.blocks import read_call, read_result
from gateway.dialects.shared.content import (
    MAX_PARTS,
    PARTS,
    Content,
    Reader,
    call_name,
    read_arguments,
    read_content,
)
from gateway.dialects.shared.reading import Fields, as_text, check_count, invalid, label, missing

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_THINKING_NAMES = ("reasoning_content", "reasoning", "thinking")


def read_messages(root: Fields, max_messages: int) -> tuple[Message, ...]:
    """Return the conversation, never empty. Raises InvalidRequest."""
    entries = root.items("messages")
    if not entries:
        # Ollama would load or unload the model and call that an answer.
        raise missing("messages")
    if len(entries) > max_messages:
        raise invalid(f"At most {max_messages} messages are allowed.", "messages")
    history = _History()
    for index, fields in enumerate(root.objects("messages")):
        history.add(fields, index)
    return tuple(history.messages)


class _History:
    """The growing conversation, and which tool each call named."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}

    def add(self, fields: Fields, index: int) -> None:
        role = fields.required_text("role").strip().lower()
        match role:
            case "system" | "developer":
                self.messages.append(replace(_read(fields).message("system"), media=()))
            case "user":
                self._add_user(fields)
            case "assistant":
                self._add_assistant(fields, index)
            case "tool":
                self._add_result(fields)
            case "function":
                self.messages.append(_read(fields).message("tool", tool_name=call_name(fields)))
            case _:
                raise invalid(
                    f"{label(role)!r} is no role; use one of {', '.join(_ROLES)}.",
                    fields.path("role"),
                )

    def _add_user(self, fields: Fields) -> None:
        text = fields.get("content")
        if isinstance(text, str):
            self.messages.append(Message("user", text))
            return
        results: list[Message] = []

        def add_result(part: Fields, content: Content) -> None:
            name = self._names.get(part.text("tool_use_id") or "", "")
            results.append(read_result(part, "tool_result", name))

        turn = _read(fields, {**PARTS, "tool_result": add_result}).message("user")
        self.messages += results
        if not results or turn != Message("user"):
            self.messages.append(turn)

    def _add_assistant(self, fields: Fields, index: int) -> None:
        calls: list[ToolCall] = []

        def add_call(part: Fields, content: Content) -> None:
            calls.append(read_call(part))

        content = Content()
        if fields.get("content") is not None:
            content = _read(fields, {**PARTS, "tool_use": add_call})
        content.add_text(_text(fields.get("refusal")))
        check_count(len(fields.items("tool_calls")), fields.path("tool_calls"), MAX_PARTS, "calls")
        calls += [_call(call) for call in fields.objects("tool_calls")]
        legacy = fields.fields("function_call")
        if legacy is not None:
            arguments = read_arguments(legacy, "arguments")
            calls.append(ToolCall(f"call_legacy_{index}", call_name(legacy), arguments))
        self._names.update((call.id, call.name) for call in calls if call.id)
        self.messages.append(
            content.message("assistant", thinking=_thinking(fields), tool_calls=calls)
        )

    def _add_result(self, fields: Fields) -> None:
        call_id = fields.text("tool_call_id") or ""
        name = self._names.get(call_id) or fields.text("name") or ""
        self.messages.append(_read(fields).message("tool", tool_call_id=call_id, tool_name=name))


def _read(fields: Fields, parts: Mapping[str, Reader] = PARTS) -> Content:
    value = fields.get("content")
    if value is None:
        raise missing(fields.path("content"))
    return read_content(value, fields.path("content"), parts)


def _call(fields: Fields) -> ToolCall:
    """Read one earlier call of a function, or of a custom tool with its free text."""
    call_id = fields.text("id") or ""
    custom = fields.fields("custom")
    if custom is not None:
        text = as_text(custom.get("input") or "", custom.path("input"))
        return ToolCall(call_id, call_name(custom), {"input": text})
    function = fields.fields("function") or fields
    return ToolCall(call_id, call_name(function), read_arguments(function, "arguments"))


def _thinking(fields: Fields) -> str:
    """Return the reasoning of an earlier turn, under whichever name it was sent out."""
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
