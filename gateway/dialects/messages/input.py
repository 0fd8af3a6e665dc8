"""The conversation of a Messages request, as Ollama's messages (docs/contract/messages.md).

    one user message         its tool results as `tool` messages, then its text and images
    one assistant message    thinking, text and calls in one message; cut where a tool that ran
                             on the vendor's side answers in the middle of it
    system messages          stay where they are; what becomes of them is decided for all APIs alike

Blocks of unknown types are named in `ignored`: a history that an agent repeats with every call must
not make its session unusable.
"""

from __future__ import annotations

from gateway.core.chat import Message, ToolCall
from gateway.dialects.shared.blocks import BLOCKS, read_call, read_result
from gateway.dialects.shared.content import MAX_PARTS, Content, read_part
from gateway.dialects.shared.reading import Fields, check_count, invalid, label, missing
from gateway.schemas.settings import RuntimeSettings

_ATTRIBUTION = "x-anthropic-billing-header:"
_RESULT = "tool_result"
"""How the types of blocks end that answer a call, ours or one made on the vendor's side."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


def read_messages(
    root: Fields, behaviour: RuntimeSettings, ignored: list[str]
) -> tuple[Message, ...]:
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
    turns = history.messages
    while len(turns) > 1 and turns[-1] == Message("assistant"):
        turns.pop()  # an empty turn at the end is no prefill
    return tuple(turns)


class _History:
    """The growing conversation."""

    def __init__(self, behaviour: RuntimeSettings, ignored: list[str]) -> None:
        self._strip = behaviour.strip_attribution_header
        self._ignored = ignored
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}

    def add_system(self, fields: Fields, name: str) -> None:
        """Add the system prompt, or a system message in the conversation."""
        value = fields.get(name)
        texts = [value] if isinstance(value, str) else []
        for block in () if isinstance(value, str) else fields.objects(name):
            kind = block.text("type")
            if kind == "text":
                texts.append(block.text("text") or "")
            elif name == "content" or kind in {"tool_addition", "tool_removal"}:
                self._ignore(block, kind or "")
            else:
                raise invalid("A system prompt holds text blocks only.", block.path("type"))
        if self._strip:
            # A line that changes with every request, and with it the whole prompt cache.
            texts = [
                text.partition("\n")[2].lstrip("\n") if text.startswith(_ATTRIBUTION) else text
                for text in texts
            ]
        texts = [text for text in texts if text.strip()]
        if texts:
            self.messages.append(Message("system", "\n\n".join(texts)))

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

    def _add_user(self, message: Fields) -> None:
        found = Content()
        answered = False
        for block in _blocks(message):
            kind = block.required_text("type")
            if kind.endswith(_RESULT):
                self._add_result(block, kind)
                answered = True
            elif kind in BLOCKS:
                read_part(block.raw, block.where, found, BLOCKS)
            else:
                self._ignore(block, kind)
        turn = found.message("user")
        if not answered or turn != Message("user"):
            self.messages.append(turn)

    def _add_assistant(self, message: Fields) -> None:
        said, calls = Content(), list[ToolCall]()
        before = len(self.messages)
        for block in _blocks(message, required=False):
            kind = block.required_text("type")
            if kind.endswith(_RESULT):
                self._end_turn(said, calls)
                said, calls = Content(), []
                self._add_result(block, kind)
            elif kind in _CALLS:
                call = read_call(block)
                self._names[call.id] = call.name
                calls.append(call)
            elif kind == "thinking":
                said.add_thought(block.text("thinking"))
            elif kind in BLOCKS:
                read_part(block.raw, block.where, said, BLOCKS)
            elif kind != "redacted_thinking":
                self._ignore(block, kind)
        self._end_turn(said, calls)
        if len(self.messages) == before:
            self.messages.append(Message("assistant"))

    def _end_turn(self, said: Content, calls: list[ToolCall]) -> None:
        """Add what the assistant said so far, if that is anything."""
        turn = said.message("assistant", tool_calls=calls)
        if turn != Message("assistant"):
            self.messages.append(turn)

    def _add_result(self, block: Fields, kind: str) -> None:
        name = self._names.get(block.text("tool_use_id") or "", "")
        self.messages.append(read_result(block, kind, name))

    def _ignore(self, block: Fields, kind: str) -> None:
        self._ignored.append(f"{block.where}:{label(kind)}")


def _blocks(message: Fields, required: bool = True) -> list[Fields]:
    content = message.get("content")
    if isinstance(content, str):
        return [Fields({"type": "text", "text": content}, message.path("content"))]
    if content is None:
        if required:
            raise missing(message.path("content"))
        return []
    check_count(len(message.items("content")), message.path("content"), MAX_PARTS, "parts")
    return list(message.objects("content"))
