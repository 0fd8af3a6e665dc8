"""Request bodies read with the strictness, and the words, of Go's decoder.

Only the first JSON value counts, names match whatever their case, ``null`` leaves a field out,
unknown fields are ignored, and a wrong type is a 400 that names the Go struct. Source:
``server/routes.go``, ``api/types.go``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from fake_ollama.encoding import FOREVER_S
from fake_ollama.refusals import Refused

Fields = Mapping[str, str]

_LOAD_FIELDS = {"model": "string", "keep_alive": "keep_alive", "options": "map[string]interface {}"}
_RUN_FIELDS = {
    **_LOAD_FIELDS,
    "stream": "bool",
    "format": "any",
    "think": "think",
    "truncate": "bool",
    "shift": "bool",
    "logprobs": "bool",
    "top_logprobs": "int",
    "_debug_render_only": "bool",
}
CHAT: Fields = {**_RUN_FIELDS, "messages": "[]api.Message", "tools": "api.Tools"}
GENERATE: Fields = {
    **_RUN_FIELDS,
    "prompt": "string",
    "suffix": "string",
    "system": "string",
    "template": "string",
    "context": "[]int",
    "raw": "bool",
    "images": "[]api.ImageData",
}
EMBED: Fields = {**_LOAD_FIELDS, "input": "any", "truncate": "bool", "dimensions": "int"}
SYSTEMONE: Fields = {**_LOAD_FIELDS, "state": "any", "questions": "any"}
EMBEDDING: Fields = {**_LOAD_FIELDS, "prompt": "string"}
SHOW: Fields = {
    "model": "string",
    "name": "string",
    "verbose": "bool",
    "system": "string",
    "template": "string",
    "options": "map[string]interface {}",
}
PULL: Fields = {"model": "string", "name": "string", "insecure": "bool", "stream": "bool"}
CREATE: Fields = {
    "model": "string",
    "name": "string",
    "from": "string",
    "files": "map[string]string",
    "system": "string",
    "template": "string",
    "parameters": "map[string]interface {}",
    "stream": "bool",
    "quantize": "string",
}
COPY: Fields = {"source": "string", "destination": "string"}
MESSAGE: Fields = {
    "role": "string",
    "content": "string",
    "thinking": "string",
    "images": "[]api.ImageData",
    "tool_calls": "[]api.ToolCall",
    "tool_name": "string",
    "tool_call_id": "string",
}

_KINDS = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
_GO_TYPES = {"string": str, "bool": bool, "int": int}
_LEVELS = ("high", "medium", "low", "max")
_MAX_DEPTH_ERROR = "exceeded max depth"


def parse_body(raw: bytes) -> Any:
    """Give the first JSON value of the body. Raises Refused with Go's words."""
    text = raw.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise Refused(400, "missing request body")
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as exc:
        raise Refused(400, _go_syntax_error(text, exc)) from exc
    except RecursionError as exc:
        raise Refused(400, _MAX_DEPTH_ERROR) from exc
    except _BadConstant as exc:
        raise Refused(400, f"invalid character '{exc}' looking for beginning of value") from exc
    return value


def parse_fields(raw: bytes, struct: str, fields: Fields) -> dict[str, Any]:
    """Give the known fields of a request body under their own names, nulls left out."""
    value = parse_body(raw)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(
            400,
            f"json: cannot unmarshal {_kind(value)} into Go value of type api.{struct}",
        )
    return _read_fields(value, struct, "", fields)


def parse_think(value: Any) -> bool | str:
    """Check a ``think`` value. Raises Refused."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise Refused(
            400,
            'think must be a boolean or string ("high", "medium", "low", "max", true, or false)',
        )
    if value not in _LEVELS:
        raise Refused(
            400,
            f'invalid think value: "{value}"'
            ' (must be "high", "medium", "low", "max", true, or false)',
        )
    return value


def parse_keep_alive(value: Any) -> float:
    """Return seconds, for a negative value the most there are. Raises Refused in Go's words."""
    if isinstance(value, bool):
        raise Refused(400, "Unsupported type: 'bool'")
    if isinstance(value, (int, float)):
        return FOREVER_S if value < 0 else float(value)
    if isinstance(value, str):
        seconds = parse_duration(value)
        return FOREVER_S if seconds < 0 else seconds
    kind = "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"
    raise Refused(400, f"Unsupported type: '{kind}'")


_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_STEP = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")


def parse_duration(text: str) -> float:
    """Read a Go duration such as ``1h30m`` into seconds. Raises Refused."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    if not rest:
        raise Refused(400, f'time: invalid duration "{text}"')
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None:
            raise Refused(400, f'time: invalid duration "{text}"')
        number, unit = step.groups()
        if not unit:
            raise Refused(400, f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise Refused(400, f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
        position = step.end()
    return sign * total


_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


def check_base64(text: str) -> None:
    """Check standard base64 with padding. Raises Refused naming the offending byte, as Go does."""
    clean = text.replace("\r", "").replace("\n", "")
    stripped = clean.rstrip("=")
    padding = len(clean) - len(stripped)
    wrong = _BASE64.search(stripped)
    if wrong is not None:
        raise Refused(400, f"illegal base64 data at input byte {wrong.start()}")
    wanted = -len(stripped) % 4
    if wanted == 3 or (padding != wanted and padding < wanted):
        raise Refused(400, f"illegal base64 data at input byte {len(stripped) // 4 * 4}")
    if padding > wanted:
        raise Refused(400, f"illegal base64 data at input byte {len(stripped) + wanted}")


def _read_fields(value: dict[str, Any], struct: str, path: str, fields: Fields) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = key.lower()
        if item is None or name not in fields:
            continue
        out[name] = _read_field(item, struct, f"{path}{name}", fields[name])
    return out


def _read_field(item: Any, struct: str, path: str, go_type: str) -> Any:
    if go_type == "any":
        return item
    if go_type == "think":
        return parse_think(item)
    if go_type == "keep_alive":
        return parse_keep_alive(item)
    if go_type.startswith("map"):
        return _want(item, dict, struct, path, go_type)
    if go_type in _GO_TYPES:
        return _want(item, _GO_TYPES[go_type], struct, path, go_type)
    items = _want(item, list, struct, path, go_type)
    if go_type == "[]int":
        return [_want(one, int, struct, path, "int") for one in items]
    if go_type == "[]api.ImageData":
        return [_image(one, struct, path) for one in items]
    if go_type == "[]api.ToolCall":
        return [_tool_call(one, struct, path) for one in items]
    if go_type == "api.Tools":
        return [_want(one, dict, struct, path, "api.Tool") for one in items]
    return [_message(one, struct, path) for one in items]


def _message(value: Any, struct: str, path: str) -> dict[str, Any]:
    message = _read_fields(
        _want(value, dict, struct, path, "api.Message"), struct, f"{path}.", MESSAGE
    )
    message["role"] = message.get("role", "").lower()
    message.setdefault("content", "")
    return message


def _image(value: Any, struct: str, path: str) -> str:
    text: str = _want(value, str, struct, path, "api.ImageData")
    check_base64(text)
    return text


def _tool_call(value: Any, struct: str, path: str) -> dict[str, Any]:
    call: dict[str, Any] = _want(value, dict, struct, path, "api.ToolCall")
    function = call.get("function") or {}
    _want(function, dict, struct, f"{path}.function", "api.ToolCallFunction")
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, dict):
        raise Refused(400, "Value looks like object, but can't find closing '}' symbol")
    return call


def _want(value: Any, kind: type, struct: str, path: str, go_type: str) -> Any:
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if kind is int and isinstance(value, float):
        raise Refused(
            400,
            f"json: cannot unmarshal number {value} into Go struct field {struct}.{path}"
            " of type int",
        )
    if not fits:
        raise Refused(
            400,
            f"json: cannot unmarshal {_kind(value)} into Go struct field {struct}.{path}"
            f" of type {go_type}",
        )
    return value


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")


class _BadConstant(Exception):
    """``NaN`` and its like, which Python reads and Go does not."""


def _bad_constant(text: str) -> Any:
    raise _BadConstant(text.lstrip("-")[0])


_DECODER = json.JSONDecoder(parse_constant=_bad_constant)
_SYNTAX = (
    ("property name", "looking for beginning of object key string"),
    ("Expecting value", "looking for beginning of value"),
    ("':' delimiter", "after object key"),
    ("',' delimiter", "after object key:value pair"),
    ("control character", "in string literal"),
    ("escape", "in string escape code"),
)


def _go_syntax_error(text: str, exc: json.JSONDecodeError) -> str:
    rest = text[exc.pos :].strip()
    if not rest or "Unterminated" in exc.msg:
        return "unexpected EOF"
    where = next((words for mark, words in _SYNTAX if mark in exc.msg), "looking for value")
    return f"invalid character {rest[0]!r} {where}"
