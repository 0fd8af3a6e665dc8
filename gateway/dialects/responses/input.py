"""The items of a Responses request, as Ollama's messages (docs/contract/responses.md).

Neighbouring items of the assistant (reasoning, message, calls) are one turn and become one
message; anything else ends the turn. Items recalled through `previous_response_id` are read the
same way, in front of the request's own.

Reading also gathers what items change of the request itself: further tools, another effort,
another text format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from gateway.core.chat import Json, Media, Message, Role, ToolCall, Unreadable
from gateway.dialects.base import Reading
from gateway.dialects.responses.object import unseal
from gateway.dialects.responses.tools import flat_name
from gateway.dialects.shared.content import (
    MAX_PARTS,
    PARTS,
    Content,
    Reader,
    call_name,
    read_arguments,
    read_content,
    read_part,
)
from gateway.dialects.shared.reading import Fields, check_count, invalid, label, missing
from gateway.errors import InvalidRequest

_ROLES: Mapping[str, Role] = {"user": "user", "system": "system", "developer": "system"}
_LEFT_OUT = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "image_generation_call",
        "code_interpreter_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "tool_search_call",
        "tool_search_output",
        "compaction",
        "compaction_trigger",
        "program",
        "program_output",
    }
)
"""History of hosted tools; the assistant's text beside it carries the result."""

_CLIENT_CALLS = {
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "computer_call": ("computer", "action"),
}
"""Calls that clients carry out, by type: the tool's name, and the field with its arguments."""

_OUTPUTS = frozenset(
    f"{kind}_output" for kind in (*_CLIENT_CALLS, "function_call", "custom_tool_call")
)
_BOOKKEEPING = frozenset({"id", "type", "call_id", "status", "caller"})


@dataclass(slots=True)
class Conversation:
    """What the items of a request amount to."""

    messages: list[Message] = field(default_factory=list)
    tools: list[Fields] = field(default_factory=list)
    effort: Json = None
    text_format: Fields | None = None
    ignored: list[str] = field(default_factory=list)
    stored: list[Json] = field(default_factory=list)
    """The request's own items in stored form, ids still to be given."""


def read_input(root: Fields, reading: Reading) -> Conversation:
    """Read `instructions`, the recalled items and `input`. Raises InvalidRequest."""
    previous = root.text("previous_response_id")
    value = root.get("input")
    if isinstance(value, str) and value:
        own = [Fields({"type": "message", "role": "user", "content": value}, "input")]
    elif value is not None and value != "":
        own = list(root.objects("input"))
    elif previous:
        own = []
    else:
        raise missing("input")
    most = reading.behaviour.max_messages
    if len(own) > most:
        raise invalid(f"At most {most} items are allowed.", "input")
    reader = _Reader(reading)
    if previous:
        param, code = "previous_response_id", "previous_response_not_found"
        if not reading.behaviour.responses_store:
            raise invalid("Responses are not stored here, so none can be continued.", param, code)
        try:
            recalled = reading.recall(previous)
        except InvalidRequest as exc:
            raise invalid(exc.message, param, code) from exc
        for item in recalled:
            reader.add(Fields(item, param))
    for each in own:
        reader.add_own(each)
    reader.end_turn()
    found = reader.found
    if not found.messages:
        # Coding agents probe with an empty list; no messages at all would only load the model.
        found.messages.append(Message("user", "."))
    if instructions := root.text("instructions"):
        found.messages.insert(0, Message("system", instructions))
    return found


class _Reader:
    """Collects items into a conversation."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.found = Conversation()
        self._names: dict[str, str] = {}
        self._turn = Content()
        self._calls: list[ToolCall] = []
        self._has_spoken = False

    def add_own(self, item: Fields) -> None:
        """Read an item of the request itself, and keep it for storing."""
        if _kind(item) == "item_reference":
            id = item.required_text("id")
            try:
                item = Fields(self._reading.recall_item(id), item.where)
            except InvalidRequest as exc:
                raise invalid(exc.message, item.path("id"), "item_not_found") from exc
        self.add(item)
        self.found.stored.append(_stored(item))

    def add(self, item: Fields) -> None:
        """Read one item."""
        kind = _kind(item)
        match kind:
            case "message":
                self._add_message(item)
            case "reasoning":
                self._turn.add_thought(_thinking(item))
            case "function_call" | "custom_tool_call":
                name = flat_name(item.text("namespace") or "", call_name(item))
                said: Mapping[str, Json] = {"input": item.text("input") or ""}
                if kind == "function_call":
                    said = read_arguments(item, "arguments")
                self._call(item, name, said)
            case _ if kind in _OUTPUTS:
                self._add_output(item, "output")
            case "mcp_call":
                self._call(item, call_name(item), read_arguments(item, "arguments"))
                answer = "output" if item.get("output") is not None else "error"
                self._add_output(item, answer)
            case "additional_tools":
                self.found.tools += item.objects("tools")
            case "configuration_update":
                self._configure(item)
            case _ if kind in _LEFT_OUT:
                self.found.ignored.append(f"{item.where}:{label(kind)}")
            case _ if kind in _CLIENT_CALLS:
                name, payload = _CLIENT_CALLS[kind]
                value = item.get(payload)
                if not isinstance(value, Mapping):
                    value = {k: v for k, v in item.raw.items() if k not in _BOOKKEEPING}
                self._call(item, name, value)
            case "agent_message":
                # What one agent of a client wrote to another: a task, or what came of it.
                found = _read(item.get("content") or [], item.path("content"), "user")
                author = item.get("author")
                if isinstance(author, str) and author:
                    found.texts.insert(0, f"Message from {author}:")
                self._append(found.message("user"))
            case _:
                error = invalid(f"Unknown item type {label(kind)!r}.", item.path("type"))
                unknown = Unreadable(error, "", f"{item.where}:{label(kind)}")
                self._append(Message("user", unreadable=(unknown,)))

    def _add_message(self, item: Fields) -> None:
        role = item.required_text("role").lower()
        if role != "assistant" and role not in _ROLES:
            raise invalid(f"Unknown role {label(role)!r}.", item.path("role"))
        value = item.get("content")
        if role == "assistant":
            self._has_spoken = True
            if value is not None:
                self._say(_read(value, item.path("content"), role))
            return
        self._append(_read(value, item.path("content"), role).message(_ROLES[role]))

    def _append(self, message: Message) -> None:
        self.end_turn()
        self.found.messages.append(message)

    def _say(self, said: Content) -> None:
        """Add a message of the assistant to its turn."""
        turn = self._turn
        text = "".join(said.texts)
        turn.add_text(f"\n{text}" if text and turn.texts else text)
        turn.thoughts += said.thoughts
        turn.media += said.media
        turn.unreadable += said.unreadable

    def end_turn(self) -> None:
        """Add the turn of the assistant; thoughts that led to nothing are dropped."""
        if self._has_spoken or self._calls:
            message = self._turn.message("assistant", tool_calls=self._calls)
            self.found.messages.append(message)
        self._turn, self._calls, self._has_spoken = Content(), [], False

    def _call(self, item: Fields, name: str, arguments: Mapping[str, Json]) -> None:
        call_id = _call_id(item)
        self._names[call_id] = name
        self._calls.append(ToolCall(call_id, name, arguments))

    def _add_output(self, item: Fields, field: str) -> None:
        call_id, value, where = _call_id(item), item.get(field), item.path(field)
        found = Content()
        parts = value if isinstance(value, list) else [value]
        check_count(len(parts), where, MAX_PARTS, "parts")
        for index, part in enumerate(parts):
            _read_output(part, f"{where}[{index}]", found)
        name = self._names.get(call_id, "")
        self._append(found.message("tool", tool_call_id=call_id, tool_name=name))

    def _configure(self, item: Fields) -> None:
        reasoning = item.fields("reasoning")
        if reasoning is not None and reasoning.get("effort") is not None:
            self.found.effort = reasoning.text("effort")
        text = item.fields("text")
        if text is not None and text.get("format") is not None:
            self.found.text_format = text.fields("format")


def _file_part(part: Fields, content: Content) -> None:
    """Read a file that is here, or note one that is still to be fetched and where it belongs."""
    if part.get("file_data") is not None or part.get("file_url") is None:
        PARTS["input_file"](part, content)
        return
    where = part.path("file_url")
    url = part.required_text("file_url").strip()
    if not url.lower().startswith(("http://", "https://")):
        raise invalid("A file URL must begin with http:// or https://.", where, "invalid_file_url")
    before = max(0, content.length - 1)
    name = part.text("filename") or ""
    content.media.append(Media("file", url=url, param=where, name=name, at=before))


def _kept_file_part(part: Fields, content: Content) -> None:
    if part.get("file_data") is None and part.get("file_url") is not None:
        raise invalid(
            "Files are fetched for users and calls only; send the content as 'file_data'.",
            part.path("file_url"),
            "unsupported_value",
        )
    PARTS["input_file"](part, content)


_PARTS: Mapping[str, Reader] = {**PARTS, "input_file": _file_part}
_OTHERS_PARTS: Mapping[str, Reader] = {**PARTS, "input_file": _kept_file_part}


def _read(value: Json, param: str, role: str) -> Content:
    return read_content(value, param, _PARTS if role == "user" else _OTHERS_PARTS)


def _kind(item: Fields) -> str:
    """Return the type of an item; a bare role is a message, a bare id a reference."""
    kind = item.text("type")
    if kind:
        return kind
    if item.get("role") is not None:
        return "message"
    if item.get("id") is not None:
        return "item_reference"
    raise missing(item.path("type"))


def _call_id(item: Fields) -> str:
    return item.text("call_id") or item.text("id") or ""


def _thinking(item: Fields) -> str:
    """Return the text of a reasoning item: what we sealed, else its content, else its summary."""
    sealed = unseal(item.get("encrypted_content"))
    if sealed is not None:
        return sealed
    for name in ("content", "summary"):
        texts = [part.text("text") or "" for part in item.objects(name)]
        if any(texts):
            return "\n".join(filter(None, texts))
    return ""


def _read_output(part: Json, where: str, found: Content) -> None:
    """Read a part of a call's output; what is no known part is told as it is."""
    if part is None:
        return
    if isinstance(part, str):
        found.add_text(part)
        return
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "computer_screenshot":
        kind = "input_image"
    if isinstance(kind, str) and kind in _PARTS:
        read_part({**part, "type": kind}, where, found, _PARTS)
    else:
        found.add_text(orjson.dumps(part).decode())


def _stored(item: Fields) -> Json:
    """Return an item as it is listed later: a message with its role and a list of parts."""
    kind = _kind(item)
    if kind != "message":
        return {**item.raw, "type": kind}
    role = item.required_text("role").lower()
    value = item.get("content")
    parts = value if isinstance(value, list) else [] if value is None else [value]
    content = [_stored_part(part, role) for part in parts]
    return {"status": "completed", **item.raw, "type": kind, "role": role, "content": content}


def _stored_part(part: Json, role: str) -> Json:
    is_text = isinstance(part, Mapping) and part.get("type") == "text"
    text = part.get("text") if is_text else part
    if not isinstance(text, str):
        return part
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}
