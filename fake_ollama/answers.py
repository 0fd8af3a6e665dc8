"""What the fake says when no script tells it what to say: enough to make a demo feel alive."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from fake_ollama.calls import Call
from fake_ollama.models import FakeModel
from fake_ollama.prose import paragraphs
from fake_ollama.schema import fill, satisfy

_WANTS_TOOL = re.compile(
    r"\b(weather|call|tool|function|look ?up|search|time|price|calculate|run|fetch|wetter|météo)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_QUOTE_LIMIT = 160


@dataclass(frozen=True, slots=True)
class Answer:
    thinking: str = ""
    content: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()


def answer(call: Call, model: FakeModel, *, constrained: bool) -> Answer:
    """Compose an answer to the request."""
    asked = " ".join(call.question.split())[:_QUOTE_LIMIT]
    tool = _chosen_tool(call)
    if constrained:
        content = _json(call, sort_keys=call.is_native(model))
        return Answer(_thoughts(asked, "The reply has to be JSON of the given shape."), content)
    if call.last.get("role") == "tool":
        return Answer(_thoughts(asked, "The tool has answered."), _report(call))
    if tool is not None:
        name = tool["name"]
        return Answer(
            _thoughts(asked, f"The function {name} can find that out."),
            "",
            ({"name": name, "arguments": satisfy(tool.get("parameters") or {}, asked)},),
        )
    if call.images:
        return Answer(_thoughts(asked, "There are attachments to look at."), _seen(call))
    if call.suffix:
        return Answer("", "    return result\n")
    return Answer(_thoughts(asked, _plan(asked)), paragraphs(asked, model.short))


def _chosen_tool(call: Call) -> dict[str, Any] | None:
    if not call.tools or call.last.get("role") == "tool":
        return None
    names = [str(tool.get("function", {}).get("name", "")) for tool in call.tools]
    words = {word.lower() for word in _WORD.findall(call.question)}
    for tool, name in zip(call.tools, names, strict=True):
        if name.lower() in call.question.lower() or words & set(name.lower().split("_")):
            return dict(tool.get("function", {}))
    if _WANTS_TOOL.search(call.question):
        return dict(call.tools[0].get("function", {}))
    return None


def _thoughts(asked: str, step: str) -> str:
    return f'The user says "{asked}". {step} I will keep it short and to the point.'


def _plan(asked: str) -> str:
    return f"That is {len(_WORD.findall(asked))} words, a plain question without tools."


def _json(call: Call, *, sort_keys: bool) -> str:
    """Fill the format. The native path hands the schema on with its keys sorted.

    What cannot be filled is refused once the model has thought, and needs only a text until then.
    """
    if call.format in ("json", {}, {"type": "object"}):
        value: Any = {"answer": " ".join(call.question.split())[:_QUOTE_LIMIT] or "ready"}
    else:
        try:
            value = fill(call.format)
        except ValueError:
            value = None
    return json.dumps(value, ensure_ascii=False, sort_keys=sort_keys)


def _report(call: Call) -> str:
    results = []
    for message in reversed(call.messages):
        if message["role"] != "tool":
            break
        name = message.get("tool_name") or "The tool"
        results.append(f"{name} says: {message['content']}")
    return "Here is what I found. " + " ".join(reversed(results))


def _seen(call: Call) -> str:
    parts = []
    for image in call.images:
        data = base64.b64decode(image)
        digest = hashlib.sha256(data).hexdigest()[:12]
        parts.append(f"{_kind(data)} of {len(data)} bytes (sha256 {digest})")
    noun = "attachment" if len(parts) == 1 else "attachments"
    return f"I see {len(parts)} {noun}: {'; '.join(parts)}."


def _kind(data: bytes) -> str:
    marks = (
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
    )
    for mark, kind in marks:
        if data.startswith(mark):
            return kind
    if data[:4] == b"RIFF":
        return "a WAV recording" if data[8:12] == b"WAVE" else "a WebP image"
    return "a file"
