"""Reads `input` and `instructions` into what a decision model reads: one text, or JSON.

a text                      itself
text parts                  one text, a newline between them (D54)
a JSON part                 the JSON itself
parts of both kinds         a list of texts and JSON
one message of the user     its content
any other list              messages as {"role", "content"}, calls and outputs as they came
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.core.chat import Json
from gateway.dialects.shared.reading import (
    Fields,
    as_text,
    check_count,
    invalid,
    missing,
    unsupported,
    wrong_type,
)

_ROLES = ("user", "developer", "system", "assistant")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Calls of tools, and the field with what they were called with."""
_OUTPUTS = {f"{call}_output": call for call in _CALLS}
_TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}


def read_state(root: Fields, most: int) -> Json:
    """Return what all questions are about; `most` items are allowed. Raises InvalidRequest."""
    if not isinstance(root.get("input"), list):
        return read_content(root, "input")
    check_count(len(root.items("input")), "input", most, "items of 'input'")
    calls: set[tuple[str, str]] = set()
    items = [_item(item, calls) for item in root.objects("input")]
    if not items:
        raise missing("input")
    if len(items) == 1 and items[0].get("role") == "user":
        return items[0]["content"]
    return items


def read_content(fields: Fields, name: str) -> Json:
    """Return a text or the parts of a list, as one text or JSON. Raises InvalidRequest."""
    value, param = fields.get(name), fields.path(name)
    if isinstance(value, list):
        value = _joined([_part(part) for part in fields.objects(name)])
    elif value is not None and not isinstance(value, str):
        raise wrong_type(param, "a string or a list", value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise missing(param)
    return value


def _item(item: Fields, calls: set[tuple[str, str]]) -> dict[str, Json]:
    """Return a message, a call or an output of one; `calls` are those before it, by kind and id."""
    kind = item.text("type") or "message"
    if kind in _CALLS:
        call_id, field = item.required_text("call_id"), _CALLS[kind]
        calls.add((kind, call_id))
        said = as_text(item.get(field) or "", item.path(field))
        return {"type": kind, "call_id": call_id, "name": item.required_text("name"), field: said}
    if kind in _OUTPUTS:
        call_id = item.required_text("call_id")
        if (_OUTPUTS[kind], call_id) not in calls:
            raise invalid(
                f"{item.path('call_id')!r} names no call before it.", item.path("call_id")
            )
        return {"type": kind, "call_id": call_id, "output": read_content(item, "output")}
    if kind != "message":
        raise invalid(
            f"{item.path('type')!r} is no kind of input for decisions.", item.path("type")
        )
    role = item.word("role", _ROLES)
    if role is None:
        raise missing(item.path("role"))
    return {"role": role, "content": read_content(item, "content")}


def _part(part: Fields) -> Json:
    kind = part.text("type")
    if kind in _TEXTS:
        return as_text(part.get(_TEXTS[kind]) or "", part.path(_TEXTS[kind]))
    if kind == "input_json":
        return _data(part)
    if kind == "input_image":
        raise unsupported(part.where, "decisions are made of texts and JSON.")
    raise invalid(f"{part.path('type')!r} must be input_text or input_json.", part.path("type"))


def _data(part: Fields) -> Json:
    """Return a JSON object or a list of objects."""
    data = part.get("data")
    if data is None:
        raise missing(part.path("data"))
    objects = data if isinstance(data, list) else [data]
    if not all(isinstance(one, Mapping) for one in objects):
        raise wrong_type(part.path("data"), "an object or a list of objects", data)
    return data


def _joined(parts: Sequence[Json]) -> Json:
    if all(isinstance(part, str) for part in parts):
        return "\n".join(parts)
    return parts[0] if len(parts) == 1 else list(parts)
