"""Schemas that llama.cpp can make a grammar of."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.emulation.grammar import fit, pattern_of

PATTERNS = {
    "taken as it is": (r"^[0-9]{3}$", r"^[0-9]{3}$"),
    "digits": (r"^\d{4}-\d{2}$", r"^[0-9]{4}-[0-9]{2}$"),
    "words and spaces": (r"^\w+\s\S$", r"^[A-Za-z0-9_]+[ \t\n][^ \t\n]$"),
    "in a class": (r"^[\w.\-]+$", r"^[-A-Za-z0-9_.]+$"),
    "negated": (r"^[^\s\-]$", r"^[^- \t\n]$"),
    "slashes": (r"^https?:\/\/.*$", r"^https?://.*$"),
    "a caret in a class": (r"^[\^a]$", r"^[a^]$"),
    "brackets in a class": (r"^[\[\]]$", r"^[\[\]]$"),
    "a bracket first": (r"^[]a]$", r"^[\]a]$"),
    "a dot in a class": (r"^[\.]$", r"^[.]$"),
    "special characters": (r"^\$\.\(\)$", r"^\$\.\(\)$"),
    "a backslash": (r"^\\$", r"^\\$"),
    "not anchored": ("abc", "^.*abc.*$"),
    "anchored in front": ("^abc", "^abc.*$"),
    "anchored at the end": ("abc$", "^.*abc$"),
    "a dollar at the end": (r"^a\$", r"^a\$.*$"),
    "nothing": ("", "^.*.*$"),
    "alternatives": ("^a$|^b$", "^(a|b)$"),
    "alternatives that are open": ("a|^b", "^(.*a.*|b.*)$"),
    "alternatives in a group": ("^(a|b)+$", "^(a|b)+$"),
    "a group that is not captured": ("^(?:a|b)$", "^(?:a|b)$"),
    "a bar in a class": ("^[|]$", "^[|]$"),
    "as few as possible": ("^a+?b*?$", "^a+b*$"),
}
IMPOSSIBLE = [
    r"^\p{L}+$", r"^a\b$", r"^(a)\1$", "^(?=x)y$", "^(?!x)y$", "^(?i)a$", "^(?P<n>a)$",
    "a^b", "a$b", "(a", "a)", "[a", "[", r"^[\S]$", r"^[\b]$", "^[\\", "^a\\",
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS.values(), ids=PATTERNS)
def test_a_pattern_is_said_in_the_words_of_a_grammar(pattern: str, expected: str) -> None:
    assert pattern_of(pattern) == expected


@pytest.mark.parametrize("pattern", IMPOSSIBLE)
def test_what_no_grammar_can_say_is_left_out(pattern: str) -> None:
    assert pattern_of(pattern) is None


TEXTS = ["", "a", "b", "ab", "abc", "a-b", "12", "2024-05-01", "a b", "a\tb", "$", "x.y", "^", "[]"]


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in PATTERNS.values()])
def test_it_matches_what_it_matched(pattern: str) -> None:
    fitted = pattern_of(pattern)

    assert fitted is not None
    for text in TEXTS:
        assert bool(re.search(pattern, text, re.ASCII)) == bool(re.fullmatch(fitted, text))


SCHEMAS: dict[str, tuple[Any, Any, list[str]]] = {
    "pattern": (
        {"properties": {"when": {"type": "string", "pattern": r"^\d$"}}},
        {"properties": {"when": {"type": "string", "pattern": "^[0-9]$"}}},
        [],
    ),
    "impossible": (
        {"properties": {"a": {"items": {"pattern": r"\p{L}"}}}},
        {"properties": {"a": {"items": {}}}},
        ["properties.a.items.pattern"],
    ),
    "no pattern": ({"pattern": 5}, {}, ["pattern"]),
    "anything": ({"properties": {"a": True}}, {"properties": {"a": {}}}, []),
    "nothing": ({"anyOf": [False]}, {"anyOf": [{}]}, ["anyOf[0]"]),
    "any items": ({"items": True}, {}, []),
    "no more properties": ({"additionalProperties": False}, {"additionalProperties": False}, []),
    "definitions": (
        {"$defs": {"a": {"pattern": "a"}}},
        {"$defs": {"a": {"pattern": "^.*a.*$"}}},
        [],
    ),
    "a property called pattern": (
        {"properties": {"pattern": {"type": "string"}}},
        {"properties": {"pattern": {"type": "string"}}},
        [],
    ),
    "values are no schemas": (
        {"enum": [True, {"pattern": "a"}]},
        {"enum": [True, {"pattern": "a"}]},
        [],
    ),
    "no schema": ("json", "json", []),
}


@pytest.mark.parametrize(("schema", "expected", "left_out"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_is_fitted(schema: Any, expected: Any, left_out: list[str]) -> None:
    before = copy.deepcopy(schema)

    assert fit(schema) == (expected, tuple(left_out))
    assert schema == before


@given(st.text("ab\\[]()|^$-dwsSp{}?*+.", max_size=12))
def test_no_pattern_breaks_it(pattern: str) -> None:
    fitted = pattern_of(pattern)

    assert fitted is None or (fitted.startswith("^") and fitted.endswith("$"))
