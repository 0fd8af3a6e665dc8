"""The model's calls on their way to the client: function, custom and legacy form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.chat import ChatRequest, Envelope, Json
from gateway.core.events import ToolCallDone
from gateway.dialects.base import derived_id
from gateway.dialects.shared.tools import custom_input


@dataclass(frozen=True, slots=True)
class Shown:
    """What only the answer needs of a chat completion request; travels in `Call.extra`.

    `legacy`: tools came as `functions`; `service_tier`: the field was sent and is echoed.
    """

    legacy: bool = False
    service_tier: bool = False


def shown_of(envelope: Envelope) -> Shown:
    """Return what `parse` noted for the answer."""
    extra = envelope.call.extra
    return extra if isinstance(extra, Shown) else Shown()


class CallIds:
    """Hands out ids of calls, unique in one answer: Ollama's own, or ours where it has none."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._taken: set[str] = set()

    def take(self, upstream_id: str) -> str:
        """Return the id of the next call."""
        number = len(self._taken)
        taken = upstream_id
        while not taken or taken in self._taken:
            taken = derived_id("call_", self._seed, number, digits=24)
            number += 1
        self._taken.add(taken)
        return taken


def call_word(envelope: Envelope) -> str:
    """Return the finish reason of an answer that ended in calls."""
    return "function_call" if shown_of(envelope).legacy else "tool_calls"


def custom_names(envelope: Envelope) -> frozenset[str]:
    """Return the names of the tools that take free text."""
    request = envelope.call.request
    tools = request.tools if isinstance(request, ChatRequest) else ()
    return frozenset(tool.name for tool in tools if tool.kind == "custom")


def whole_calls(calls: Sequence[ToolCallDone], envelope: Envelope, ids: CallIds) -> dict[str, Json]:
    """Return the fields of a message that tell its calls; none when there are none."""
    if not calls:
        return {}
    if shown_of(envelope).legacy:
        return {"function_call": {"name": calls[0].name, "arguments": calls[0].arguments}}
    custom = custom_names(envelope)
    told: list[Json] = []
    for call in calls:
        kind, word, text = _form(call, call.name in custom)
        function = {"name": call.name, word: text}
        told.append({"id": ids.take(call.id), "type": kind, kind: function})
    return {"tool_calls": told}


def call_deltas(
    call: ToolCallDone, index: int, custom: frozenset[str], call_id: str
) -> tuple[Json, Json]:
    """Return the two deltas of a call: SDKs join repeated strings, so what names it comes once."""
    kind, word, text = _form(call, call.name in custom)
    head = {"index": index, "id": call_id, "type": kind, kind: {"name": call.name, word: ""}}
    body = {"index": index, kind: {word: text}}
    return {"tool_calls": [head]}, {"tool_calls": [body]}


def legacy_deltas(call: ToolCallDone) -> tuple[Json, Json]:
    """Return the two deltas of a call in the older form."""
    return (
        {"function_call": {"name": call.name, "arguments": ""}},
        {"function_call": {"arguments": call.arguments}},
    )


def _form(call: ToolCallDone, is_custom: bool) -> tuple[str, str, str]:
    """Return a call's kind, what its text is called, and the text."""
    if is_custom:
        return "custom", "input", custom_input(call.name, call.arguments)
    return "function", "arguments", call.arguments
