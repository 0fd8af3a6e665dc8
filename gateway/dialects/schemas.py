"""Makes JSON schemas fit Ollama, which keeps only a few of their words (api-mapping F10, 2.3.3).

Kept at the top of a tool: `type`, `properties`, `required`, `$defs`, `items`. Kept in a property:
`type`, `anyOf`, `items`, `description`, `enum`, `properties`, `required`. Everything else is lost
without a word, so it is rewritten in these terms first:

    $ref                    the thing it points to; an object where it points to itself
    oneOf, allOf, const     anyOf, one merged schema, enum
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
from typing import TypeAlias
from urllib.parse import unquote

import orjson

from gateway.core.chat import Json
from gateway.errors import InvalidRequest

Schema: TypeAlias = dict[str, Json]

MAX_REF_DEPTH = 16
MAX_DEPTH = 64
MAX_NODES = 100_000
"""References can multiply: a few lines of schema may describe billions of nodes."""

_ANYTHING: Mapping[str, Json] = {"type": "object"}
_NAMED_PARTS = ("properties", "patternProperties", "dependentSchemas")
_LISTED_PARTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE_PARTS = (
    "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "additionalItems", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_TOLD = ("default", "format", "minimum", "maximum", "pattern", "minItems", "maxItems")
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "type": (str, list),
    "description": str,
    "enum": list,
    "required": list,
    "properties": dict,
    "anyOf": list,
}
_DEFINITIONS = ("$defs", "definitions")
_TOLD_CHARS = 200
_REMEMBERED_BYTES = 8 * 1024


def normalise(parameters: Json, param: str) -> Mapping[str, Json]:
    """Give the parameters of a tool as Ollama can read them; not to be changed in place.

    Raises InvalidRequest when they are no object, or too big.
    """
    if parameters is None:
        return {"type": "object", "properties": {}}
    schema = _object(parameters, param)
    try:
        raw = orjson.dumps(schema)
        if len(raw) <= _REMEMBERED_BYTES and b'"$ref"' not in raw:
            return _remembered(raw)
    except (TypeError, InvalidRequest):
        pass  # The long way tells what is wrong, and where.
    return _normalised(schema, param)


@lru_cache(maxsize=512)
def _remembered(raw: bytes) -> Mapping[str, Json]:
    """Agents send the same dozens of tools with every call.

    With references a result may be far bigger than the schema, so those are not kept.
    """
    return _normalised(orjson.loads(raw), "parameters")


def _normalised(parameters: Mapping[str, Json], param: str) -> Schema:
    schema = _rewritten(inline_refs(parameters, param))
    schema["type"] = "object"  # the arguments of a call are one, whatever was written
    if not isinstance(schema.get("properties"), dict):
        schema["properties"] = {}
    return schema


def inline_refs(schema: Mapping[str, Json], param: str = "schema") -> Schema:
    """Give a copy in which every local `$ref` is replaced by what it points to.

    Raises InvalidRequest when the result would be unreasonably big.
    """
    copied: Schema = _Inliner(schema, param).copy(schema, ())
    for name in _DEFINITIONS:
        copied.pop(name, None)
    return copied


class _Inliner:
    """Copies one schema; `param` names it in errors."""

    def __init__(self, root: Mapping[str, Json], param: str) -> None:
        self._root = root
        self._param = param
        self._nodes = 0
        self._depth = 0

    def copy(self, schema: Json, trail: tuple[str, ...]) -> Json:
        """Copy a schema; `trail` are the references that led here."""
        if not isinstance(schema, Mapping):
            return schema
        self._enter()
        reference = schema.get("$ref")
        if isinstance(reference, str):
            copied = self._target(schema, reference, trail)
        else:
            copied = {
                name: self._part(name, value, trail)
                for name, value in schema.items()
                if schema is not self._root or name not in _DEFINITIONS
            }
        self._depth -= 1
        return copied

    def _part(self, name: str, value: Json, trail: tuple[str, ...]) -> Json:
        if name in _NAMED_PARTS and isinstance(value, Mapping):
            return {key: self.copy(part, trail) for key, part in value.items()}
        if name in _LISTED_PARTS and isinstance(value, list | tuple):
            return [self.copy(part, trail) for part in value]
        if name in _SINGLE_PARTS:
            if isinstance(value, list):
                return [self.copy(part, trail) for part in value]
            return self.copy(value, trail)
        return value

    def _target(self, schema: Mapping[str, Json], reference: str, trail: tuple[str, ...]) -> Json:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        found = _look_up(self._root, reference)
        if reference in trail or len(trail) >= MAX_REF_DEPTH or found is None:
            target: Json = dict(_ANYTHING)
        else:
            target = self.copy(found, (*trail, reference))
        if not isinstance(target, dict):
            target = {}
        # The words beside a reference speak about this use of it.
        return {**target, **self.copy(beside, trail)}

    def _enter(self) -> None:
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES or self._depth > MAX_DEPTH:
            raise InvalidRequest(
                f"{self._param!r} is too big or too deep once its references are resolved.",
                param=self._param,
            )


def _look_up(root: Mapping[str, Json], reference: str) -> Json:
    """Give what a local reference points to; None when it is not local or points nowhere."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    found: Json = root
    for part in reference[2:].split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found if isinstance(found, Mapping | bool) else None


def _rewritten(schema: Json) -> Schema:
    """Give a schema without references in the words Ollama keeps."""
    if not isinstance(schema, Mapping):
        return {}
    copied = _merged_all_of(dict(schema))
    if "oneOf" in copied:
        copied["anyOf"] = [*_listed(copied.get("anyOf")), *_listed(copied.pop("oneOf"))]
    choices = [_rewritten(choice) for choice in _listed(copied.pop("anyOf", None))]
    if choices:
        copied["anyOf"] = choices
    if "const" in copied:
        constant = copied.pop("const")
        copied.setdefault("enum", [constant])
    if copied.pop("nullable", None) is True:
        _allow_null(copied)
    if isinstance(copied.get("properties"), Mapping):
        copied["properties"] = {
            name: _rewritten(part) for name, part in copied["properties"].items()
        }
    if "items" in copied:
        copied["items"] = _rewritten(_item(copied["items"]))
    _drop_unreadable(copied)
    _tell(copied)
    return copied


def _drop_unreadable(schema: Schema) -> None:
    """Take out words of a type that Ollama's decoder would answer with an error."""
    for name, kind in _TYPES.items():
        if name in schema and not isinstance(schema[name], kind):
            del schema[name]
    if isinstance(schema.get("type"), list):
        schema["type"] = [kind for kind in schema["type"] if isinstance(kind, str)]
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if isinstance(name, str)]


def _merged_all_of(schema: Schema) -> Schema:
    """Fold the parts of `allOf` into the schema around them, whose own words win."""
    parts = [_rewritten(part) for part in _listed(schema.pop("allOf", None))]
    if not parts:
        return schema
    merged: Schema = {}
    for part in (*parts, schema):
        properties = {**_mapping(merged.get("properties")), **_mapping(part.get("properties"))}
        required = [*_listed(merged.get("required")), *_listed(part.get("required"))]
        merged.update(part)
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = list(dict.fromkeys(filter(_is_text, required)))
    return merged


def _allow_null(schema: Schema) -> None:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        schema["type"] = [kind, "null"]
    elif isinstance(kind, list) and "null" not in kind:
        schema["type"] = [*kind, "null"]


def _item(items: Json) -> Json:
    """A list of item schemas describes a tuple; any of them may come."""
    if not isinstance(items, list):
        return items
    return items[0] if len(items) == 1 else {"anyOf": items}


def _tell(schema: Schema) -> None:
    """Append what Ollama would drop to the description, so that the model still sees it."""
    told = [f"{name}: {_shown(schema[name])}" for name in _TOLD if schema.get(name) is not None]
    if not told:
        return
    description = schema.get("description")
    before = f"{description} " if isinstance(description, str) and description else ""
    schema["description"] = f"{before}[{', '.join(told)}]"


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_TOLD_CHARS]


def _object(value: Json, param: str) -> Mapping[str, Json]:
    if isinstance(value, Mapping):
        return value
    raise InvalidRequest(
        f"{param!r} must be a JSON schema object.", param=param, code="invalid_type"
    )


def _listed(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _is_text(value: Json) -> bool:
    return isinstance(value, str)
