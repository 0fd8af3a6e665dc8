"""Schemas arrive at Ollama in the few words it keeps, with nothing lost that can be told."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.shared.schema_refs import MAX_INLINED, MAX_REF_DEPTH, inline_refs
from gateway.dialects.shared.schemas import alternatives, normalise
from gateway.errors import InvalidRequest


def prop(schema: Any) -> Any:
    """Give what becomes of a property with this schema."""
    return normalise({"type": "object", "properties": {"p": schema}}, "x")["properties"]["p"]


def nested(depth: int, innermost: Any) -> Any:
    """Give a schema of lists of lists."""
    for _ in range(depth):
        innermost = {"items": innermost}
    return innermost


EMPTY = {"type": "object", "properties": {}}
TOP = {
    "missing": (None, EMPTY),
    "empty": ({}, EMPTY),
    "type list": ({"type": ["object", "null"]}, EMPTY),
    "type number": ({"type": 5}, EMPTY),
    "type no object": ({"type": "string"}, EMPTY),
    "no properties": ({"type": "object"}, EMPTY),
    "properties broken": ({"type": "object", "properties": []}, EMPTY),
    "required": (
        {"type": "object", "properties": {"a": {}}, "required": ["a", 5]},
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
    ),
    "required broken": ({"required": "a"}, EMPTY),
    "definitions gone": ({"$defs": {"a": {}}, "definitions": {}}, EMPTY),
    "allOf": (
        {
            "allOf": [
                {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "number"}}, "required": ["b", "a"]},
            ],
            "properties": {"c": {}},
        },
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "number"}, "c": {}},
            "required": ["a", "b"],
        },
    ),
}
PROPERTIES = {
    "boolean true": (True, {}),
    "boolean false": (False, {}),
    "oneOf": (
        {"oneOf": [{"type": "string"}, True]},
        {"anyOf": [{"type": "string"}, {}]},
    ),
    "oneOf beside anyOf": (
        {"anyOf": [{"type": "null"}], "oneOf": [{"type": "string"}]},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
    ),
    "oneOf broken": ({"oneOf": "x"}, {}),
    "allOf one": (
        {"allOf": [{"type": "string", "description": "inner"}], "description": "outer"},
        {"type": "string", "description": "outer"},
    ),
    "allOf broken": ({"allOf": 5, "type": "string"}, {"type": "string"}),
    "const": ({"const": "x"}, {"enum": ["x"]}),
    "const null": ({"const": None}, {"enum": [None]}),
    "const beside enum": ({"const": "x", "enum": ["y"]}, {"enum": ["y"]}),
    "nullable": ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    "nullable list": (
        {"type": ["string", "integer"], "nullable": True},
        {"type": ["string", "integer", "null"]},
    ),
    "nullable already": (
        {"type": ["null", "string"], "nullable": True},
        {"type": ["null", "string"]},
    ),
    "nullable without type": ({"nullable": True}, {}),
    "nullable false": ({"type": "string", "nullable": False}, {"type": "string"}),
    "items": ({"type": "array", "items": {"const": 1}}, {"type": "array", "items": {"enum": [1]}}),
    "items true": ({"type": "array", "items": True}, {"type": "array", "items": {}}),
    "items one": ({"items": [{"type": "string"}]}, {"items": {"type": "string"}}),
    "items tuple": (
        {"items": [{"type": "string"}, {"type": "number"}]},
        {"items": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
    ),
    "prefixItems": (
        {"prefixItems": [{"type": "string"}, {"type": "number"}], "items": {"type": "null"}},
        {
            "items": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
            "prefixItems": [{"type": "string"}, {"type": "number"}],
            "description": '[prefixItems: [{"type": "string"}, {"type": "number"}]]',
        },
    ),
    "nothing further": (
        {"type": "object", "additionalProperties": False},
        {"type": "object", "additionalProperties": False},
    ),
    "nested": (
        {"type": "object", "properties": {"q": {"oneOf": [{"type": "null"}]}}},
        {"type": "object", "properties": {"q": {"anyOf": [{"type": "null"}]}}},
    ),
    "type broken": ({"type": 5}, {}),
    "type list": ({"type": ["string", 5]}, {"type": ["string"]}),
    "description broken": ({"description": 5}, {}),
    "enum broken": ({"enum": "x"}, {}),
}  # fmt: skip
TOLD = {
    "default": ({"default": 5}, "[default: 5]"),
    "default false": ({"default": False}, "[default: false]"),
    "format": ({"format": "date"}, "[format: date]"),
    "minimum maximum": ({"minimum": 1, "maximum": 9}, "[minimum: 1, maximum: 9]"),
    "pattern": ({"pattern": "^a$"}, "[pattern: ^a$]"),
    "minItems maxItems": ({"minItems": 1, "maxItems": 2}, "[minItems: 1, maxItems: 2]"),
    "after the description": ({"description": "A day.", "format": "date"}, "A day. [format: date]"),
    "not too long": ({"default": "x" * 500}, f"[default: {'x' * 200}]"),
    "number in place of text": ({"format": 5}, "[format: 5]"),
    "exclusive": (
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "[exclusiveMinimum: 0, exclusiveMaximum: 1]",
    ),
    "length": ({"minLength": 1, "maxLength": 2}, "[minLength: 1, maxLength: 2]"),
    "a map": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        '[additionalProperties: {"type": "integer"}]',
    ),
    "a tuple": (
        {"type": "array", "prefixItems": [{"type": "string"}]},
        '[prefixItems: [{"type": "string"}]]',
    ),
}


@pytest.mark.parametrize(("schema", "expected"), TOP.values(), ids=TOP)
def test_parameters_become_an_object(schema: Any, expected: Any) -> None:
    assert normalise(schema, "x") == expected


@pytest.mark.parametrize(("schema", "expected"), PROPERTIES.values(), ids=PROPERTIES)
def test_words_ollama_drops_are_said_otherwise(schema: Any, expected: Any) -> None:
    assert prop(schema) == expected


@pytest.mark.parametrize(("schema", "description"), TOLD.values(), ids=TOLD)
def test_what_would_be_lost_is_told_in_the_description(schema: Any, description: str) -> None:
    assert prop(schema)["description"] == description


@pytest.mark.parametrize("schema", [[], "x", 5, True], ids=repr)
def test_parameters_that_are_no_object_are_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        normalise(schema, "tools[0].function.parameters")

    assert caught.value.code == "invalid_type"
    assert caught.value.param == "tools[0].function.parameters"


def test_the_path_of_a_refusal_is_the_callers() -> None:
    for where in ("tools[0].x", "tools[1].x"):
        with pytest.raises(InvalidRequest) as caught:
            normalise(nested(70, {}), where)
        assert caught.value.param == where


def test_a_schema_too_big_to_remember_is_normalised_all_the_same() -> None:
    schema = {"properties": {f"p{i}": {"const": "x" * 50} for i in range(500)}}

    found = normalise(schema, "x")

    assert found["properties"]["p499"] == {"enum": ["x" * 50]}


MOVE = {
    "type": "object",
    "properties": {"op": {"const": "move"}, "to": {"type": "string"}},
    "required": ["op", "to"],
}
DELETE = {"type": "object", "properties": {"op": {"const": "delete"}, "force": {"type": "boolean"}},
          "required": ["op"]}  # fmt: skip
BOTH = {"op": {"enum": ["move", "delete"]}, "to": {"type": "string"}, "force": {"type": "boolean"}}
FOLDED = {
    "oneOf": ({"type": "object", "oneOf": [MOVE, DELETE]}, BOTH, ["op"]),
    "anyOf": ({"anyOf": [MOVE, DELETE]}, BOTH, ["op"]),
    "a reference to it": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"oneOf": [MOVE, DELETE]}}}, BOTH, ["op"],
    ),
    "nested": ({"anyOf": [{"oneOf": [MOVE]}, DELETE, {"type": "null"}]}, BOTH, ["op"]),
    "properties beside": (
        {"properties": {"path": {"type": "string"}}, "required": ["path"], "anyOf": [MOVE, DELETE]},
        {"path": {"type": "string"}, **BOTH},
        ["path", "op"],
    ),
    "different types of one name": (
        {"anyOf": [{"properties": {"id": {"type": k}}} for k in ("string", "integer", "null")]},
        {"id": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}},
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "properties", "required"), FOLDED.values(), ids=FOLDED)
def test_alternatives_at_the_top_are_folded(schema: Any, properties: Any, required: Any) -> None:
    found = normalise(schema, "x")

    assert found["properties"] == properties
    assert found.get("required") == required
    for branch in found["anyOf"]:
        assert set(_names(schema)) <= set(branch["properties"])


def _names(schema: Any) -> Any:
    return schema.get("properties", {})


def test_alternatives_are_told_in_words() -> None:
    found = normalise({"oneOf": [MOVE, DELETE]}, "x")

    assert alternatives(found) == 'Arguments are one of: op="move", to | op="delete", force?'
    assert alternatives(normalise(MOVE, "x")) == ""


ROOT = {"$ref": "#/$defs/root", "type": "array"}
REFERENCES = {
    "$defs": (
        {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}},
        {"properties": {"a": {"type": "string"}}},
    ),
    "definitions": (
        {"items": {"$ref": "#/definitions/A"}, "definitions": {"A": {"type": "string"}}},
        {"items": {"type": "string"}},
    ),
    "whole schema": ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array"}}}, {"type": "array"}),
    "words beside win": (
        {
            "anyOf": [{"$ref": "#/$defs/A", "description": "here"}],
            "$defs": {"A": {"type": "string", "description": "there"}},
        },
        {"anyOf": [{"type": "string", "description": "here"}]},
    ),
    "a chain": (
        {
            "items": {"$ref": "#/$defs/A"},
            "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": "number"}},
        },
        {"items": {"type": "number"}},
    ),
    "escaped": (
        {"items": {"$ref": "#/$defs/a~1b~0c%20d"}, "$defs": {"a/b~c d": {"type": "number"}}},
        {"items": {"type": "number"}},
    ),
    "into a list": (
        {"anyOf": [{"type": "string"}, {"$ref": "#/anyOf/0"}]},
        {"anyOf": [{"type": "string"}, {"type": "string"}]},
    ),
    "boolean target": ({"items": {"$ref": "#/$defs/A"}, "$defs": {"A": True}}, {"items": {}}),
    "nowhere": ({"items": {"$ref": "#/$defs/A"}}, {"items": {"type": "object"}}),
    "no schema": (
        {"items": {"$ref": "#/$defs/A"}, "$defs": {"A": 5}},
        {"items": {"type": "object"}},
    ),
    "through a word": (
        {"title": "x", "items": {"$ref": "#/title/y"}},
        {"title": "x", "items": {"type": "object"}},
    ),
    "beyond a list": ({"anyOf": [{"$ref": "#/anyOf/7"}]}, {"anyOf": [{"type": "object"}]}),
    "foreign": ({"items": {"$ref": "https://a.example/b"}}, {"items": {"type": "object"}}),
    "to itself": (
        {"items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}},
        {
            "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}},
            "items": {"items": {"$ref": "#/$defs/A"}},
        },
    ),
    "to the root": (
        {"type": "array", "items": {"$ref": "#"}},
        {
            "$defs": {
                "root": {"type": "array", "items": {"$ref": "#/$defs/root", "type": "array"}}
            },
            "type": "array",
            "items": {"$ref": "#/$defs/root", "type": "array"},
        },
    ),
    "through each other": (
        {
            "items": {"$ref": "#/$defs/A"},
            "$defs": {
                "A": {"properties": {"b": {"$ref": "#/$defs/B"}}},
                "B": {"properties": {"a": {"$ref": "#/$defs/A"}}},
            },
        },
        {
            "$defs": {"A": {"properties": {"b": {"properties": {"a": {"$ref": "#/$defs/A"}}}}}},
            "items": {"properties": {"b": {"properties": {"a": {"$ref": "#/$defs/A"}}}}},
        },
    ),
    "two of one name": (
        {
            "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/definitions/A"}],
            "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}},
            "definitions": {"A": {"contains": {"$ref": "#/definitions/A"}}},
        },
        {
            "$defs": {
                "A": {"items": {"$ref": "#/$defs/A"}},
                "A_1": {"contains": {"$ref": "#/$defs/A_1"}},
            },
            "anyOf": [{"items": {"$ref": "#/$defs/A"}}, {"contains": {"$ref": "#/$defs/A_1"}}],
        },
    ),
    "to nothing but itself": (
        {"$ref": "#"},
        {"$defs": {"root": {"type": "object"}}, "$ref": "#/$defs/root"},
    ),
    "a property named so": (
        {"properties": {"$ref": {"type": "string"}}},
        {"properties": {"$ref": {"type": "string"}}},
    ),
    "a value that looks like one": (
        {"properties": {"a": {"default": {"$ref": "#/x"}}}},
        {"properties": {"a": {"default": {"$ref": "#/x"}}}},
    ),
    "in every place": (
        {
            "additionalProperties": {"$ref": "#/$defs/A"},
            "prefixItems": [{"$ref": "#/$defs/A"}],
            "items": [{"$ref": "#/$defs/A"}],
            "patternProperties": {"^x": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"type": "string"}},
        },
        {
            "additionalProperties": {"type": "string"},
            "prefixItems": [{"type": "string"}],
            "items": [{"type": "string"}],
            "patternProperties": {"^x": {"type": "string"}},
        },
    ),
}


@pytest.mark.parametrize(("schema", "expected"), REFERENCES.values(), ids=REFERENCES)
def test_references_are_replaced_by_what_they_mean(schema: Any, expected: Any) -> None:
    before = copy.deepcopy(schema)

    assert inline_refs(schema) == expected
    assert schema == before


def test_references_end_at_a_depth() -> None:
    definitions = {f"d{i}": {"items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(40)}
    found: Any = inline_refs({"$ref": "#/$defs/d0", "$defs": definitions})

    depth = 0
    while "items" in found:
        found, depth = found["items"], depth + 1
    assert depth == MAX_REF_DEPTH
    assert found == {"$ref": f"#/$defs/d{MAX_REF_DEPTH}"}


NODE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name", "children"],
}


def test_a_tree_stays_a_tree() -> None:
    as_format, as_tool = inline_refs(NODE), normalise(NODE, "x")

    for found in (as_format, as_tool):
        child = found["properties"]["children"]["items"]
        assert child == {"$ref": "#/$defs/root", "type": "object"}
        assert found["$defs"]["root"]["properties"]["children"]["items"] == child
        assert found["$defs"]["root"]["required"] == ["name", "children"]


def test_a_schema_whose_references_lead_too_deep_is_refused() -> None:
    deep = {f"d{i}": nested(30, {"$ref": f"#/$defs/d{i + 1}"}) for i in range(12)}

    with pytest.raises(InvalidRequest, match="too big or too deep") as caught:
        inline_refs({"$ref": "#/$defs/d0", "$defs": deep}, "where")

    assert caught.value.param == "where"


def test_references_stay_where_they_would_multiply() -> None:
    wide: Any = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 10} for i in range(12)}
    found = inline_refs({"$ref": "#/$defs/d0", "$defs": {**wide, "d12": {"type": "string"}}})

    assert str(found).count("{") <= 2 * MAX_INLINED
    assert found["$defs"]["d11"] == {"anyOf": [{"$ref": "#/$defs/d12", "type": "string"}] * 10}
    assert found["$defs"]["d12"] == {"type": "string"}


MANY = [str(number) for number in range(20_000)]
LARGE = {
    "enums": {"anyOf": [{"properties": {"a": {"enum": MANY[:9_000]}}}] * 2},
    "required": {"anyOf": [{"properties": {"a": {}}, "required": MANY[:9_000]}] * 2},
    "allOf": {"allOf": [{"properties": {name: {}}, "required": [name]} for name in MANY[:2_000]]},
    "references": {
        "properties": {name: {"$ref": f"#/{name}/x"} for name in MANY[:1_000]},
        **{name: {"x": {"items": {"$ref": f"#/{name}/x"}}} for name in MANY[:1_000]},
    },
}


@pytest.mark.parametrize("schema", LARGE.values(), ids=LARGE)
@pytest.mark.timeout(20)
def test_the_work_for_a_large_schema_grows_with_its_size(schema: Any) -> None:
    assert normalise(schema, "x")["type"] == "object"


TOO_LARGE = {
    "texts": ({"description": "x" * (256 * 1024)}, "at most 262,144 characters"),
    "nodes": ({"properties": {name: {} for name in MANY}}, "too big or too deep"),
    "alternatives": (
        {"properties": {n: {} for n in MANY[:200]}, "anyOf": [{"properties": {"a": {}}}] * 200},
        "too many",
    ),
}


@pytest.mark.parametrize(("schema", "message"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_schema_that_is_too_large_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        normalise(schema, "x")


def test_a_schema_as_deep_as_any_in_use_is_fine() -> None:
    assert inline_refs(nested(60, {"type": "string"})) == nested(60, {"type": "string"})


WORDS = st.sampled_from(
    [
        "type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum",
        "const", "nullable", "required", "description", "default", "format",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["string", "#/$defs/type", "#"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


def assert_readable(schema: Any) -> None:
    """Check what Ollama's decoder demands."""
    assert isinstance(schema, Mapping)
    assert isinstance(schema.get("type", ""), str | list)
    assert isinstance(schema.get("description", ""), str)
    assert isinstance(schema.get("enum", []), list)
    assert all(isinstance(name, str) for name in schema.get("required", []))
    for part in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        assert_readable(part)


@given(st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_schema_becomes_readable(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)

    found = normalise(schema, "x")

    assert isinstance(found["type"], str)
    assert_readable(found)
    assert schema == before
