"""Fits a JSON schema to what llama.cpp can make a grammar of (`common/json-schema-to-grammar.cpp`).

It refuses a whole request over one word it does not know, most often a pattern. So patterns are
anchored and their short classes written out; what still cannot be taken is left out and named. The
answer is then a little freer than the schema, which is better than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.chat import Json

_CLASSES: Final = {"d": "0-9", "w": "A-Za-z0-9_", "s": " \\t\\n"}
_CONTROLS: Final = frozenset("nrt\\")
"""Escapes that mean the same in a pattern and in a grammar."""
_SPECIAL: Final = frozenset("^$.[]()|{}*+?")
"""Characters that are themselves in a pattern only with a backslash before them."""
_TOKENS: Final = re.compile(r"\\.?|\[\^?\]?(?:\\.?|[^\]\\])*\]?|.", re.DOTALL)
"""A pattern piece by piece: a character, an escape, or a whole class in brackets."""
_PIECES: Final = re.compile(r"\\.?|.", re.DOTALL)
_REPEATS: Final = ("*", "+", "?", "}")
_SCHEMAS: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "$defs")


def fit(schema: Json) -> tuple[Json, tuple[str, ...]]:
    """Return a schema for a grammar, and the paths in it of what had to be left out."""
    left_out: list[str] = []
    return _fitted(schema, "", left_out), tuple(left_out)


def pattern_of(pattern: str) -> str | None:
    """Return a pattern that matches the same texts and fits into a grammar; None: there is none."""
    branches = _branches(pattern)
    if branches is None:
        return None
    found = []
    for branch in branches:
        head = "" if branch[:1] == ["^"] else ".*"
        tail = "" if branch[-1:] == ["$"] else ".*"
        body = _translated(branch[not head : len(branch) - (not tail)])
        if body is None:
            return None
        found.append(f"{head}{body}{tail}")
    return f"^{found[0]}$" if len(found) == 1 else f"^({'|'.join(found)})$"


def _fitted(schema: Json, path: str, left_out: list[str]) -> Json:
    if isinstance(schema, bool):
        if not schema:
            left_out.append(path)
        return {}
    if not isinstance(schema, Mapping):
        return schema
    fitted: dict[str, Json] = {}
    for name, value in schema.items():
        where = f"{path}.{name}" if path else name
        if name in _NAMED and isinstance(value, Mapping):
            fitted[name] = {
                key: _fitted(part, f"{where}.{key}", left_out) for key, part in value.items()
            }
        elif name in _LISTS and isinstance(value, list):
            fitted[name] = [
                _fitted(part, f"{where}[{at}]", left_out) for at, part in enumerate(value)
            ]
        elif name in _SCHEMAS and isinstance(value, Mapping):
            fitted[name] = _fitted(value, where, left_out)
        elif name == "items" and isinstance(value, bool):
            pass  # any items may come, as without the word
        elif name == "pattern":
            pattern = pattern_of(value) if isinstance(value, str) else None
            if pattern is None:
                left_out.append(where)
            else:
                fitted[name] = pattern
        else:
            fitted[name] = value
    return fitted


def _branches(pattern: str) -> list[list[str]] | None:
    """Return the alternatives at the top of a pattern; None where its brackets do not close."""
    branches: list[list[str]] = [[]]
    depth = 0
    for token in _TOKENS.findall(pattern):
        if token == "|" and not depth:
            branches.append([])
            continue
        branches[-1].append(token)
        depth += (token == "(") - (token == ")")
        if depth < 0:
            return None
    return None if depth else branches


def _translated(tokens: Sequence[str]) -> str | None:
    parts: list[str] = []
    for at, token in enumerate(tokens):
        if token == "?" and parts and parts[-1] in _REPEATS:
            continue  # how greedily it matches makes no difference to what it matches
        if token == "(" and tokens[at + 1 : at + 2] == ["?"] and tokens[at + 2 : at + 3] != [":"]:
            return None  # look-around, names, flags
        if token in ("^", "$"):
            return None  # an anchor in the middle
        part = _class(token) if token[0] == "[" else _escape(token) if token[0] == "\\" else token
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)


def _escape(token: str) -> str | None:
    letter = token[1:]
    if letter in _CLASSES:
        return f"[{_CLASSES[letter]}]"
    if letter.lower() in _CLASSES:
        return f"[^{_CLASSES[letter.lower()]}]"
    if letter in _CONTROLS or letter in _SPECIAL:
        return token
    if not letter or letter.isalnum():
        return None  # \b, \p{...}, back references
    return letter


def _class(token: str) -> str | None:
    """Return a class in brackets with its short classes written out and a minus sign at the front,
    where it cannot be taken for a range."""
    if not token.endswith("]") or len(token) < 3:
        return None
    inner = token[1:-1]
    negation = "^" if inner.startswith("^") else ""
    first, parts, last = "", [], ""
    for piece in _PIECES.findall(inner[len(negation) :]):
        letter = piece[1:]
        if piece[0] != "\\":
            parts.append("\\]" if piece == "]" else piece)
        elif letter in _CLASSES:
            parts.append(_CLASSES[letter])
        elif letter == "-":
            first = "-"
        elif letter == "^":
            last = "^"
        elif letter in _CONTROLS or letter in ("]", "["):
            parts.append(piece)
        elif not letter or letter.isalnum():
            return None
        else:
            parts.append(letter)
    return f"[{negation}{first}{''.join(parts)}{last}]" if first or parts else None
