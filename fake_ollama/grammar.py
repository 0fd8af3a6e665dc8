"""What llama.cpp refuses when it makes a grammar of a JSON schema, in its words.

First every ``$ref`` is resolved, then the schema is visited, and all errors are reported together.
A pattern that was taken may still give a grammar that llama.cpp itself cannot read: the converter
passes escapes such as ``\\d`` on, and the grammar knows only its own. Source: llama.cpp
``common/json-schema-to-grammar.cpp``, ``src/llama-grammar.cpp`` parse_char.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PRIMITIVES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_REGEX_ESCAPES = frozenset("^$.[]()|{}*+?")
_GRAMMAR_ESCAPES = frozenset('tnr"[]\\xuU')
_ANCHORS = "Pattern must start with '^' and end with '$'"
_NUMBER = re.compile(r"\s*[+-]?\d")
_PIECE = re.compile(r"\[(?P<set>(?:\\.|[^\]\\])*)\]?|\{(?P<times>[^}]*)\}?|\\(?P<escape>.)|.", re.S)
_ESCAPE = re.compile(r"\\(.)", re.S)


def conversion_errors(schema: Any, *, sort_keys: bool) -> list[str]:
    """Return the converter's errors. ``sort_keys`` tells how it shows the schemas it quotes."""

    def shown(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)

    errors = []
    for ref in _references(schema):
        if not ref.startswith("#/"):
            errors.append(f"Unsupported ref: {ref}")
            continue
        target, missing = _resolve(schema, ref)
        if missing is not None:
            errors.append(f"Error resolving ref {ref}: {missing} not in {shown(target)}")
    for node in _visited(schema):
        kind = _kind(node)
        if kind == "pattern":
            errors += _pattern_errors(node["pattern"])
        elif kind == "plain" and not _is_known(node):
            errors.append(f"Unrecognized schema: {shown(node)}")
    return errors


def is_readable(schema: Any) -> bool:
    """Return whether llama.cpp can read the grammar it made of the schema."""
    patterns = (node["pattern"] for node in _visited(schema) if _kind(node) == "pattern")
    return all(_has_known_escapes(pattern) for pattern in patterns)


def _references(node: Any) -> Iterator[str]:
    """Yield every ``$ref``; what stands beside one is not looked at."""
    if isinstance(node, dict) and "$ref" in node:
        yield str(node["$ref"])
        return
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        yield from _references(part)


def _resolve(root: Any, ref: str) -> tuple[Any, str | None]:
    """Return what a reference leads to, or how far it leads and the name that is missing there."""
    node = root
    for name in ref.removeprefix("#").split("/")[1:]:
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return node, name
    return node, None


def _visited(root: Any) -> Iterator[Any]:
    """Yield every schema the converter visits; what a reference leads to once."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        yield node
        if _kind(node) == "ref":
            ref = str(node["$ref"])
            target, missing = _resolve(root, ref)
            found = [] if ref in seen or missing is not None else [target]
            seen.add(ref)
        else:
            found = _parts(node)
        waiting = [*found, *waiting]


def _kind(node: Any) -> str:
    """Return as what the converter takes a schema: its first test that holds decides."""
    if not isinstance(node, dict):
        return "plain"
    kind = node.get("type")
    tests = (
        ("ref", "$ref" in node),
        ("choice", "oneOf" in node or "anyOf" in node),
        ("types", isinstance(kind, list)),
        ("literal", "const" in node or "enum" in node),
        (
            "object",
            kind in (None, "object")
            and ("properties" in node or node.get("additionalProperties", True) is not True),
        ),
        ("all", kind in (None, "object", "string") and "allOf" in node),
        ("array", kind in (None, "array") and ("items" in node or "prefixItems" in node)),
        ("pattern", kind in (None, "string") and isinstance(node.get("pattern"), str)),
    )
    return next((name for name, holds in tests if holds), "plain")


def _parts(node: Any) -> list[Any]:
    match _kind(node):
        case "choice":
            return _list(node.get("oneOf", node.get("anyOf")))
        case "types":
            return [{**node, "type": one} for one in node["type"]]
        case "object":
            more = node.get("additionalProperties")
            return [*_values(node.get("properties")), *([more] if isinstance(more, dict) else [])]
        case "all":
            parts = [part for one in node["allOf"] for part in _alternatives(one)]
            return [value for part in parts for value in _values(part.get("properties"))]
        case "array":
            items = node.get("items", node.get("prefixItems"))
            return items if isinstance(items, list) else [items]
    return []


def _alternatives(part: Any) -> list[dict[str, Any]]:
    found = _list(part["anyOf"]) if isinstance(part, dict) and "anyOf" in part else [part]
    return [one for one in found if isinstance(one, dict)]


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_known(node: Any) -> bool:
    if not isinstance(node, dict):
        return node is None
    kind = node.get("type")
    return kind is None or (isinstance(kind, str) and kind in _PRIMITIVES)


def _pattern_errors(pattern: str) -> list[str]:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return [_ANCHORS]
    times = (piece["times"] for piece in _PIECE.finditer(_without_lookarounds(pattern[1:-1])))
    return [error for one in times if one is not None for error in _times_errors(one)]


def _times_errors(times: str) -> list[str]:
    numbers = times.split(",")
    if len(numbers) > 2:
        return ["Wrong number of values in curly brackets"]
    wanted = numbers if len(numbers) == 1 else [number for number in numbers if number]
    if all(_NUMBER.match(number) for number in wanted):
        return []
    return ["Invalid number in curly brackets"]


def _has_known_escapes(pattern: str) -> bool:
    for piece in _PIECE.finditer(_without_lookarounds(pattern[1:-1])):
        inside = _ESCAPE.findall(piece["set"] or "")
        outside = [piece["escape"]] if piece["escape"] else []
        if not _GRAMMAR_ESCAPES.issuperset(inside):
            return False
        if not (_GRAMMAR_ESCAPES | _REGEX_ESCAPES).issuperset(outside):
            return False
    return True


def _without_lookarounds(pattern: str) -> str:
    """Leave out ``(?=...)`` and its like, as the converter does, which only warns of them."""
    kept, depth, skipping = "", 0, False
    for piece in _PIECE.finditer(pattern):
        if piece[0] == "(" and not skipping:
            after = pattern[piece.end() : piece.end() + 2]
            skipping = after.startswith("?") and after != "?:"
            depth = 0
        if not skipping:
            kept += piece[0]
            continue
        depth += (piece[0] == "(") - (piece[0] == ")")
        skipping = depth > 0
    return kept
