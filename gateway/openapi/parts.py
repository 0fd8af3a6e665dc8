"""Small words to write JSON schemas with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]


def text(about: str = "", **more: Any) -> Schema:
    """A string."""
    return _told({"type": "string", **more}, about)


def word(*words: str, about: str = "") -> Schema:
    """One of some words."""
    return _told({"type": "string", "enum": list(words)}, about)


def constant(value: str) -> Schema:
    """Always this word."""
    return {"type": "string", "const": value}


def integer(about: str = "", low: float | None = None, high: float | None = None) -> Schema:
    """A whole number in a range."""
    return _told({"type": "integer", **_range(low, high)}, about)


def number(about: str = "", low: float | None = None, high: float | None = None) -> Schema:
    """A number in a range."""
    return _told({"type": "number", **_range(low, high)}, about)


def flag(about: str = "") -> Schema:
    """True or false."""
    return _told({"type": "boolean"}, about)


def listed(items: Schema, about: str = "", **more: Any) -> Schema:
    """A list of one kind of thing."""
    return _told({"type": "array", "items": items, **more}, about)


def anything(about: str = "") -> Schema:
    """Any JSON value."""
    return {"description": about} if about else {}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def either(*schemas: Schema, about: str = "") -> Schema:
    """Any of some schemas."""
    return _told({"anyOf": list(schemas)}, about)


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    about = schema.get("description", "")
    bare = {key: value for key, value in schema.items() if key != "description"}
    return either(bare, {"type": "null"}, about=about)


def content(schema: Schema, kind: str = "application/json") -> Schema:
    """The content of a message: of one media type."""
    return {"content": {kind: {"schema": schema}}}


def parameters(place: str, named: Mapping[str, Schema]) -> list[Schema]:
    """Parameters of an operation, in its path or its query."""
    needed = {"required": True} if place == "path" else {}
    return [
        {"name": name, "in": place, **needed, "schema": schema} for name, schema in named.items()
    ]


def alike(schema: Schema, *names: str) -> dict[str, Schema]:
    """Properties that are described alike."""
    return dict.fromkeys(names, schema)


def answer(properties: Mapping[str, Schema], about: str = "", optional: str = "") -> Schema:
    """An object of ours: every property is there, except those named in `optional`."""
    required = [name for name in properties if name not in optional.split()]
    return _object(properties, required, about)


def request(properties: Mapping[str, Schema], required: str = "", about: str = "") -> Schema:
    """An object of a caller: optional properties may be null, unknown ones are ignored."""
    needed = required.split()
    given = {
        name: schema if name in needed or not schema else nullable(schema)
        for name, schema in properties.items()
    }
    return {**_object(given, needed, about), "additionalProperties": True}


def _object(properties: Mapping[str, Schema], required: list[str], about: str) -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties)}
    return _told(found | ({"required": required} if required else {}), about)


def _range(low: float | None, high: float | None) -> Schema:
    bounds = {"minimum": low, "maximum": high}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _told(schema: Schema, about: str) -> Schema:
    return {**schema, "description": about} if about else schema
