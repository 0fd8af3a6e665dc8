"""The conversation of a Messages request, as Ollama's messages (docs/contract/messages.md).

    one user message         its tool results as `tool` messages, then its text and images
    one assistant message    thinking, text and calls in one message; cut where a tool that ran
                             on the vendor's side answers in the middle of it
    system messages          stay where they are; what becomes of them is decided for all APIs alike

Blocks of unknown types are named in `ignored`: a history that an agent repeats with every call must
not make its session unusable.
"""

from __future__ import annotations

from gateway.core.behaviour import Behaviour
from gateway.core.chat import Message, ToolCall
from gateway.dialects.shared.blocks import BLOCKS, is_result, read_call, read_result
from gateway.dialects.shared.content import Content, read_part
from gateway.dialects.shared.reading import Fields, invalid, label, missing

_ATTRIBUTION = "x-anthropic-billing-header:"
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


def read_messages(root: Fields, behaviour: Behaviour, ignored: list[str]) -> tuple[Message, ...]:
    """Return the system prompt and the conversation. Raises InvalidRequest."""
    history = _History(behaviour, ignored)
    history.add_system(root, "system")
    entries = root.items("messages")
    if not entries:
        raise missing("messages")
    if len(entries) > behaviour.max_messages:
        raise invalid(f"At most {behaviour.max_messages} messages are allowed.", "messages")
    for message in root.objects("messages"):
        history.add(message)
    return history.messages()


class _History:
    """The growing conversation."""

    def __init__(self, behaviour: Behaviour, ignored: list[str]) -> None:
        self._strip = behaviour.strip_attribution_header
        self._ignored = ignored
        self._messages: list[Message] = []
        self._names: dict[str, str] = {}

    def messages(self) -> tuple[Message, ...]:
        """Return what was collected; an empty turn of the assistant at the end is no prefill."""
        turns = self._messages
        while len(turns) > 1 and turns[-1] == Message("assistant"):
            turns.pop()
        return tuple(turns)

    def add_system(self, fields: Fields, name: str) -> None:
        """Add the system prompt, or a system message in the conversation."""
        texts = self._system_texts(fields, name)
        if texts:
            self._messages.append(Message("system", "\n\n".join(texts)))

    def add(self, message: Fields) -> None:
        role = message.required_text("role").lower()
        match role:
            case "user":
                self._add_user(message)
            case "assistant":
                self._add_assistant(message)
            case "system":
                self.add_system(message, "content")
            case _:
                raise invalid(
                    f"Unknown role {label(role)!r}: use user, assistant or system.",
                    message.path("role"),
                )

    def _system_texts(self, fields: Fields, name: str) -> list[str]:
        value = fields.get(name)
        if value is None:
            return []
        if isinstance(value, str):
            texts = [value]
        else:
            texts = []
            for block in fields.objects(name):
                kind = block.text("type")
                if kind == "text":
                    texts.append(block.text("text") or "")
                elif name == "content" or kind in {"tool_addition", "tool_removal"}:
                    self._ignore(block, kind or "")
                else:
                    raise invalid("A system prompt holds text blocks only.", block.path("type"))
        return [text for text in map(self._without_attribution, texts) if text.strip()]

    def _without_attribution(self, text: str) -> str:
        """Drop the line that changes with every request, and with it the whole prompt cache."""
        if self._strip and text.startswith(_ATTRIBUTION):
            return text.partition("\n")[2].lstrip("\n")
        return text

    def _add_user(self, message: Fields) -> None:
        found = Content()
        answered = False
        for block in _blocks(message):
            kind = block.required_text("type")
            if is_result(kind):
                self._add_result(block, kind)
                answered = True
            elif kind in BLOCKS:
                read_part(block.raw, block.where, found, BLOCKS)
            else:
                self._ignore(block, kind)
        turn = found.message("user")
        if not answered or turn != Message("user"):
            self._messages.append(turn)

    def _add_assistant(self, message: Fields) -> None:
        turn = _Turn()
        answered = False
        for block in _blocks(message, required=False):
            kind = block.required_text("type")
            if is_result(kind):
                self._messages += turn.message()
                turn = _Turn()
                self._add_result(block, kind)
                answered = True
            elif kind in _CALLS:
                call = read_call(block)
                self._names[call.id] = call.name
                turn.calls.append(call)
            elif kind == "thinking":
                turn.said.add_thought(block.text("thinking"))
            elif kind in BLOCKS:
                read_part(block.raw, block.where, turn.said, BLOCKS)
            elif kind != "redacted_thinking":
                self._ignore(block, kind)
        rest = turn.message()
        self._messages += rest if rest or answered else [Message("assistant")]

    def _add_result(self, block: Fields, kind: str) -> None:
        name = self._names.get(block.text("tool_use_id") or "", "")
        self._messages.append(read_result(block, kind, name))

    def _ignore(self, block: Fields, kind: str) -> None:
        self._ignored.append(f"{block.where}:{label(kind)}")


class _Turn:
    """What the assistant said so far in one message."""

    def __init__(self) -> None:
        self.said = Content()
        self.calls: list[ToolCall] = []

    def message(self) -> list[Message]:
        """Return the message, if anything was said."""
        message = self.said.message("assistant", tool_calls=self.calls)
        return [] if message == Message("assistant") else [message]


def _blocks(message: Fields, required: bool = True) -> list[Fields]:
    content = message.get("content")
    if isinstance(content, str):
        return [Fields({"type": "text", "text": content}, message.path("content"))]
    if content is None:
        if required:
            raise missing(message.path("content"))
        return []
    return list(message.objects("content"))
