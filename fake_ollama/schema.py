"""Makes a JSON value that satisfies a schema, as a constrained model would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTH = 20
_DEEP = 6
"""From here on, as little as the schema allows: a schema that contains itself has to end."""
_FORMATS = {
    "date": "2026-08-22",
    "date-time": "2026-08-22T09:00:00Z",
    "time": "09:00:00Z",
    "email": "ada@example.org",
    "uri": "https://example.org/",
    "uuid": "3f0c2a9e-6f0b-4a57-9f59-0d3a6c1f7b21",
    "ipv4": "192.0.2.1",
}


def fill(schema: Any) -> Any:
    """Return a value for a schema of unknown origin. Raises ValueError when it is none."""
    try:
        return satisfy(schema)
    except (AttributeError, TypeError, LookupError) as error:
        raise ValueError("not a schema") from error


def satisfy(schema: Any, hint: str = "", root: Any = None, depth: int = 0) -> Any:
    """Give a value for the schema; strings take up the hint where nothing else is asked."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return hint or None
    for known in ("const", "default"):
        if known in schema:
            return schema[known]
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return satisfy(_resolve(root, schema["$ref"]), hint, root, depth + 1)
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            chosen = min(schema[choice], key=_weight) if depth >= _DEEP else schema[choice][0]
            return satisfy(chosen, hint, root, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {}
        for part in schema["allOf"]:
            value = satisfy(part, hint, root, depth + 1)
            if not isinstance(value, dict):
                return value
            merged.update(value)
        return merged
    return _of_type(schema, _type(schema), hint, root, depth)


def _weight(schema: Any) -> int:
    """Order alternatives: what surely ends comes before what may contain itself."""
    if not isinstance(schema, Mapping) or "$ref" in schema:
        return 2
    return 1 if _type(schema) in ("object", "array") else 0


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((one for one in kind if one != "null"), "null")
    if kind:
        return str(kind)
    return "array" if "items" in schema else "object"


def _of_type(schema: Mapping[str, Any], kind: str, hint: str, root: Any, depth: int) -> Any:
    match kind:
        case "object":
            return _object(schema, hint, root, depth)
        case "array":
            count = max(depth < _DEEP, schema.get("minItems", 0))
            return [satisfy(schema.get("items", {}), hint, root, depth + 1) for _ in range(count)]
        case "integer":
            return int(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
    return _text(schema, hint)


def _object(schema: Mapping[str, Any], hint: str, root: Any, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = [
        name
        for name in schema.get("required") or ()
        if isinstance(name, str) and name not in properties
    ]
    made = {
        name: satisfy(part, _words(name, hint), root, depth + 1)
        for name, part in properties.items()
        if depth < _DEEP or name in (schema.get("required") or ())
    }
    return {**made, **dict.fromkeys(required, hint)}


def _words(name: str, hint: str) -> str:
    return hint or name.replace("_", " ")


def _number(schema: Mapping[str, Any]) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = 42 if least is None else least + ("exclusiveMinimum" in schema)
    if most is not None and value > most:
        value = most - ("exclusiveMaximum" in schema)
    step = schema.get("multipleOf")
    return value if not step else -(-value // step) * step


def _text(schema: Mapping[str, Any], hint: str) -> str:
    text = _FORMATS.get(schema.get("format", ""), hint or "text")
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength", len(text))]


def _resolve(root: Any, ref: str) -> Any:
    node = root
    for part in ref.removeprefix("#").strip("/").split("/"):
        if part:
            node = node.get(part.replace("~1", "/").replace("~0", "~"), {})
    return node
