"""Makes JSON schemas fit Ollama, which keeps only a few of their words (F10,
docs/contract/tools.md).

Kept at the top of a tool: `type`, `properties`, `required`, `$defs`, `items`. Kept in a property:
`type`, `anyOf`, `items`, `description`, `enum`, `properties`, `required`. Everything else is lost
without a word, so it is rewritten in these terms first:

    $ref                    the thing it points to (`schema_refs`)
    oneOf, allOf, const     anyOf, one merged schema, enum
    anyOf at the top        all properties of its branches; the branches are told
    prefixItems             items of any of those schemas
    true, false             {}
    nullable                "null" among the types
    default, format, ...    told in the description

All of it works on copies. A schema is refused only for being no object; inside one, whatever
cannot be understood is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

import orjson

from gateway.core.chat import Json
from gateway.dialects.shared.reading import Fields, invalid, label, missing
from gateway.dialects.shared.schema_refs import MAX_NODES, Schema, inline_refs
from gateway.errors import InvalidRequest

_TOLD = (
    "default", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
    "prefixItems", "additionalProperties", "patternProperties",
)  # fmt: skip
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "type": (str, list),
    "description": str,
    "enum": list,
    "required": list,
    "properties": dict,
    "anyOf": list,
}
_TOLD_CHARS = 200
_ALTERNATIVES_CHARS = 1_000
_REMEMBERED_BYTES = 8 * 1024
MAX_BYTES = 256 * 1024


def normalise(parameters: Json, param: str) -> Mapping[str, Json]:
    """Return a tool's parameters as Ollama reads them, not to be changed. Raises InvalidRequest."""
    if parameters is None:
        return {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping):
        raise invalid(f"{param!r} must be a JSON schema object.", param, "invalid_type")
    try:
        raw = orjson.dumps(parameters)
        if len(raw) <= _REMEMBERED_BYTES and b'"$ref"' not in raw:
            return _remembered(raw)
    except (TypeError, InvalidRequest):
        pass  # The long way tells what is wrong, and where.
    return _normalised(parameters, param)


@lru_cache(maxsize=512)
def _remembered(raw: bytes) -> Mapping[str, Json]:
    """Agents send the same tools with every call. References are left out: they may multiply."""
    return _normalised(orjson.loads(raw), "parameters")


def _normalised(parameters: Mapping[str, Json], param: str) -> Schema:
    resolved = inline_refs(parameters, param)
    definitions = _mapping(resolved.pop("$defs", None))
    schema = _folded(_rewritten(resolved))
    schema["type"] = "object"  # the arguments of a call are one, whatever was written
    if not isinstance(schema.get("properties"), dict):
        schema["properties"] = {}
    if definitions:
        schema["$defs"] = {name: _rewritten(part) for name, part in definitions.items()}
    return schema


def alternatives(schema: Mapping[str, Json]) -> str:
    """Return in words which arguments go together: Ollama drops `anyOf` at the top of a tool."""
    branches = [branch for branch in _listed(schema.get("anyOf")) if branch.get("properties")]
    if len(branches) < 2:
        return ""
    shapes = []
    for branch in branches:
        required = _names(branch)
        names = []
        for name, part in branch["properties"].items():
            values = _listed(part.get("enum"))
            told = f"={json.dumps(values[0], ensure_ascii=False)}" if len(values) == 1 else ""
            names.append(name + told + ("" if name in required else "?"))
        shapes.append(", ".join(names))
    return f"Arguments are one of: {' | '.join(shapes)}"[:_ALTERNATIVES_CHARS]


def _folded(schema: Schema) -> Schema:
    """Return a schema with the properties of all its branches, of which it requires what every
    branch requires. The branches stay, each whole in itself."""
    count = len(_mapping(schema.get("properties"))) * len(_listed(schema.get("anyOf")))
    if count > MAX_NODES:  # each branch gets all of them
        raise InvalidRequest("The alternatives of a tool's schema are too many.", param="tools")
    around: Schema = {n: schema[n] for n in ("properties", "required") if n in schema}
    branches = [
        {"properties": {}, **_united(around, _folded(branch)), "type": "object"}
        for branch in _listed(schema.get("anyOf"))
        if isinstance(branch.get("properties"), dict) or branch.get("anyOf")
    ]
    if not branches:
        return schema
    properties: Schema = {}
    for branch in branches:
        for name, part in _mapping(branch.get("properties")).items():
            properties[name] = _either(properties[name], part) if name in properties else part
    required = _listed(branches[0].get("required"))
    for branch in branches[1:]:
        known = _names(branch)
        required = [name for name in required if name in known]
    folded = {**schema, "anyOf": branches, "properties": properties}
    return {**folded, "required": required} if required else folded


def _united(*parts: Mapping[str, Json]) -> Schema:
    """Return the words of all parts, the last one's first, with the properties of all of them."""
    united: Schema = {}
    properties: Schema = {}
    required: dict[str, None] = {}
    for part in parts:
        properties.update(_mapping(part.get("properties")))
        required.update((n, None) for n in _listed(part.get("required")) if isinstance(n, str))
        united.update(part)
    if properties:
        united["properties"] = properties
    if required:
        united["required"] = list(required)
    return united


def _either(one: Json, other: Json) -> Json:
    """Return a schema for what either of two schemas takes."""
    if one == other:
        return one
    values = [_listed(part.get("enum")) for part in (one, other)]
    if all(values):
        rest = {name: value for name, value in {**other, **one}.items() if name != "enum"}
        known = {orjson.dumps(value) for value in values[0]}
        more = [value for value in values[1] if orjson.dumps(value) not in known]
        return {**rest, "enum": [*values[0], *more]}
    choices = one["anyOf"] if set(one) == {"anyOf"} else [one]
    return {"anyOf": [*choices, other]}


def _rewritten(schema: Json) -> Schema:
    """Return a schema without references in the words Ollama keeps."""
    if not isinstance(schema, Mapping):
        return {}
    copied = dict(schema)
    parts = [_rewritten(part) for part in _listed(copied.pop("allOf", None))]
    if parts:
        copied = _united(*parts, copied)  # its own words win
    if "oneOf" in copied:
        copied["anyOf"] = [*_listed(copied.get("anyOf")), *_listed(copied.pop("oneOf"))]
    choices = [_rewritten(choice) for choice in _listed(copied.pop("anyOf", None))]
    if choices:
        copied["anyOf"] = choices
    if "const" in copied:
        constant = copied.pop("const")
        copied.setdefault("enum", [constant])
    if copied.pop("nullable", None) is True:
        kinds = copied.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if isinstance(kinds, list) and kinds != ["null"]:
            copied["type"] = [*kinds, *(["null"] if "null" not in kinds else [])]
    if isinstance(copied.get("properties"), Mapping):
        copied["properties"] = {
            name: _rewritten(part) for name, part in copied["properties"].items()
        }
    tuple_items = _listed(copied.get("prefixItems"))
    if tuple_items:
        more = [copied["items"]] if isinstance(copied.get("items"), Mapping) else []
        copied["items"] = [*tuple_items, *more]
    if "items" in copied:
        items = copied["items"]
        if isinstance(items, list):  # of a tuple; any of them may come
            items = items[0] if len(items) == 1 else {"anyOf": items}
        copied["items"] = _rewritten(items)
    _drop_unreadable(copied)
    _tell(copied)
    return copied


def _drop_unreadable(schema: Schema) -> None:
    """Remove words of a type that Ollama's decoder would answer with an error."""
    for name, kind in _TYPES.items():
        if name in schema and not isinstance(schema[name], kind):
            del schema[name]
    if isinstance(schema.get("type"), list):
        schema["type"] = [kind for kind in schema["type"] if isinstance(kind, str)]
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if isinstance(name, str)]


def _tell(schema: Schema) -> None:
    """Append what Ollama would drop to the description, so that the model still sees it."""
    told = []
    for name in _TOLD:
        value = schema.get(name)
        # That further properties may or may not come says nothing.
        if value is not None and (name != "additionalProperties" or (value and value is not True)):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            told.append(f"{name}: {text[:_TOLD_CHARS]}")
    if not told:
        return
    description = schema.get("description")
    before = f"{description} " if isinstance(description, str) and description else ""
    schema["description"] = f"{before}[{', '.join(told)}]"


def _names(schema: Mapping[str, Json]) -> frozenset[str]:
    """Return the names a schema requires."""
    return frozenset(name for name in _listed(schema.get("required")) if isinstance(name, str))


def _listed(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def read_response_format(form: Fields, schema_at: str = "schema") -> Json:
    """Return "json" or a schema from an object with a `type`; None for plain text.

    The schema stands in `json_schema.schema`, or in the object itself, as the Responses API and
    several servers have it; `schema_at` is where the caller should have put it. A schema needs no
    `strict`: it is kept by grammar. Raises InvalidRequest.
    """
    match form.required_text("type"):
        case "text":
            return None
        case "json_object" | "json":
            schema = form.fields("schema")
            return "json" if schema is None else inline_refs(schema.raw, schema.where)
        case "json_schema":
            schema = (form.fields("json_schema") or form).fields("schema")
            if schema is None:
                raise missing(form.path(schema_at))
            return inline_refs(schema.raw, schema.where)
        case kind:
            raise invalid(
                f"{label(kind)!r} is no response format; use text, json_object or json_schema.",
                form.path("type"),
            )
