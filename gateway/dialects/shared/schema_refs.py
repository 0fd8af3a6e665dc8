"""Resolves the references inside a JSON schema: Ollama drops them from the properties of tools.

A reference is replaced by what it points to. Only where it leads back to itself, is deeper than
`MAX_REF_DEPTH`, or stands behind `MAX_INLINED` nodes it stays, and what it points to stands in
`$defs`: Ollama's grammar knows those, and so does `items` of a tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import unquote

from gateway.core.chat import Json
from gateway.errors import InvalidRequest

Schema: TypeAlias = dict[str, Json]

MAX_REF_DEPTH = 16
MAX_DEPTH = 64
MAX_CHARS = 256 * 1024
MAX_NODES = 10_000
MAX_INLINED = 2_000
"""References can multiply: a few lines of schema may describe billions of nodes."""

_ANYTHING: Mapping[str, Json] = {"type": "object"}
_DEFINITIONS = ("$defs", "definitions")
_NAMED_PARTS = ("properties", "patternProperties", "dependentSchemas")
_PARTS = (
    "anyOf", "oneOf", "allOf", "prefixItems",
    "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "additionalItems", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_ROOT = "#"


def inline_refs(schema: Mapping[str, Json], param: str = "schema") -> Schema:
    """Return a copy with targets in place of references. Raises InvalidRequest if too big."""
    if len(repr(schema)) > MAX_CHARS:
        raise InvalidRequest(f"{param!r} may have at most {MAX_CHARS:,} characters.", param=param)
    return _Inliner(schema, param).resolved()


class _Inliner:
    """Copies one schema; `param` names it in errors."""

    def __init__(self, root: Mapping[str, Json], param: str) -> None:
        self._root = root
        self._param = param
        self._nodes = 0
        self._depth = 0
        self._names: dict[str, str] = {}
        """The name in `$defs` of each reference that stays."""
        self._taken: set[str] = set()

    def resolved(self) -> Schema:
        copied: Schema = self.copy(self._root, (_ROOT,))
        for name in _DEFINITIONS:
            copied.pop(name, None)
        definitions: Schema = {}
        while len(definitions) < len(self._names):  # a definition may name further ones
            reference = list(self._names)[len(definitions)]
            target = self.copy(_look_up(self._root, reference), (reference,))
            for name in _DEFINITIONS:
                target.pop(name, None)
            is_endless = isinstance(target.get("$ref"), str)
            definitions[self._names[reference]] = dict(_ANYTHING) if is_endless else target
        return {"$defs": definitions, **copied} if definitions else copied

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
        if name not in _PARTS:
            return value
        if isinstance(value, list | tuple):
            return [self.copy(part, trail) for part in value]
        return self.copy(value, trail)

    def _target(self, schema: Mapping[str, Json], reference: str, trail: tuple[str, ...]) -> Json:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        found = _look_up(self._root, reference)
        if found is None:
            target: Json = dict(_ANYTHING)
        elif isinstance(found, bool):
            target = {}
        elif reference in trail or len(trail) > MAX_REF_DEPTH or self._nodes > MAX_INLINED:
            target = self._kept(found, reference)
        else:
            target = self.copy(found, (*trail, reference))
        # The words beside a reference speak about this use of it.
        return {**target, **self.copy(beside, trail)}

    def _kept(self, found: Mapping[str, Json], reference: str) -> Schema:
        """Return the reference in the form it stays in; its type is what is left of it in tools."""
        name = self._names.get(reference)
        if name is None:
            stem = reference.rpartition("/")[2] if reference != _ROOT else "root"
            stem = "".join(c if c.isalnum() or c in "_-" else "_" for c in unquote(stem))
            name, number = stem, len(self._names)
            while name in self._taken:
                name, number = f"{stem}_{number}", number + 1
            self._taken.add(name)
            self._names[reference] = name
        kind = found.get("type")
        kept: Schema = {"$ref": f"#/$defs/{name}"}
        return {**kept, "type": kind} if isinstance(kind, str) else kept

    def _enter(self) -> None:
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES or self._depth > MAX_DEPTH:
            raise InvalidRequest(
                f"{self._param!r} is too big or too deep once its references are resolved.",
                param=self._param,
            )


def _look_up(root: Mapping[str, Json], reference: str) -> Json:
    """Return what a local reference points to; None when it is not local or points nowhere."""
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
