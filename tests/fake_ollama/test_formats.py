"""Which formats are heeded, which are refused and how, and what fills them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from fake_ollama import FakeOllama, Script
from fake_ollama.schema import satisfy
from tests.fake_ollama.talk import Answer, chat, generate

NATIVE = "llama3.2"
RENDERED = "tinyllama"
CONVERSION = "JSON schema conversion failed:\n"
ANCHORS = "Pattern must start with '^' and end with '$'"
UNREADABLE = "Failed to initialize samplers: failed to parse grammar"


def a_text(**fields: Any) -> dict[str, Any]:
    """Return the schema of an object with one text."""
    return {
        "type": "object",
        "properties": {"a": {"type": "string", **fields}},
        "required": ["a"],
    }


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def message(answer: Answer) -> str:
    """Return the text of the runner's error, which is JSON in a string."""
    return str(json.loads(answer.error)["error"]["message"])


@pytest.mark.parametrize("think", [None, False])
@pytest.mark.parametrize("model", [NATIVE, "deepseek-r1:8b"])
@pytest.mark.parametrize("value", ["json", {}])
def test_a_chat_on_the_native_path_overlooks_any_json(
    ollama: FakeOllama, model: str, value: Any, think: bool | None
) -> None:
    assert not is_json(chat(ollama, model, format=value, think=think).content)


@pytest.mark.parametrize("value", [{"type": "object"}, a_text()])
def test_a_chat_on_the_native_path_heeds_a_schema(ollama: FakeOllama, value: Any) -> None:
    assert is_json(chat(ollama, NATIVE, format=value).content)


@pytest.mark.parametrize("value", ["json", {}, {"type": "object"}, a_text()])
def test_rendered_models_and_generate_heed_every_format(ollama: FakeOllama, value: Any) -> None:
    assert is_json(chat(ollama, RENDERED, format=value).content)
    assert is_json(generate(ollama, RENDERED, format=value).content)
    assert is_json(generate(ollama, NATIVE, format=value).content)


def test_the_native_path_may_give_keys_in_another_order(ollama: FakeOllama) -> None:
    schema = {"type": "object", "properties": {"b": {"const": 1}, "a": {"const": 2}}}

    assert chat(ollama, NATIVE, format=schema).content == '{"a": 2, "b": 1}'
    assert chat(ollama, RENDERED, format=schema).content == '{"b": 1, "a": 2}'


TAKEN = [
    "^[0-9]{3}$",
    "^(a|b)+$",
    "^(?:a|b)+$",
    "^a{1,200}$",
    "^a{2,}$",
    "^https?://.*$",
    "^$",
    "^(?=x)y$",
    r"^(?!\d)y$",
    r"^[a\]]\.\[$",
    "^[^{]+$",
]


@pytest.mark.parametrize("pattern", TAKEN)
@pytest.mark.parametrize("model", [NATIVE, RENDERED])
def test_a_pattern_is_taken(ollama: FakeOllama, model: str, pattern: str) -> None:
    assert chat(ollama, model, format=a_text(pattern=pattern)).status == 200


UNREADABLE_PATTERNS = [
    r"^\d{4}-\d{2}$",
    r"^\w+$",
    r"^a\sb$",
    r"^\S+$",
    r"^[\w.]+$",
    r"^[a-z\-]+$",
    r"^https:\/\/x$",
    r"^[\.]$",
]


@pytest.mark.parametrize("pattern", UNREADABLE_PATTERNS)
@pytest.mark.parametrize("model", [NATIVE, RENDERED])
def test_an_escape_of_regular_expressions_spoils_the_grammar(
    ollama: FakeOllama, model: str, pattern: str
) -> None:
    answer = chat(ollama, model, format=a_text(pattern=pattern))

    assert (answer.status, message(answer)) == (400, UNREADABLE)


BLAH = {"type": "object", "properties": {"a": {"type": "blah"}}}
NOWHERE = {"type": "object", "properties": {"a": {"$ref": "#/$defs/zz"}}, "required": ["a"]}
UNCONVERTIBLE: list[tuple[Any, str]] = [
    (a_text(pattern="abc"), ANCHORS),
    (a_text(pattern="^abc"), ANCHORS),
    (a_text(pattern="abc$"), ANCHORS),
    (a_text(pattern=""), ANCHORS),
    (a_text(pattern=r"^\p{L}+$"), "Invalid number in curly brackets"),
    (a_text(pattern="^a{1,2,3}$"), "Wrong number of values in curly brackets"),
    ({"type": "object", "properties": {"a": True}}, "Unrecognized schema: true"),
    ({"type": "blah"}, 'Unrecognized schema: {"type":"blah"}'),
    ({"type": 5}, 'Unrecognized schema: {"type":5}'),
    ({"type": ["string", "blah"]}, 'Unrecognized schema: {"type":"blah"}'),
    ({"type": "array", "items": {"type": "blah"}}, 'Unrecognized schema: {"type":"blah"}'),
    ({"anyOf": [{"type": "blah"}]}, 'Unrecognized schema: {"type":"blah"}'),
    ({"additionalProperties": {"type": "blah"}}, 'Unrecognized schema: {"type":"blah"}'),
    ({"$ref": "#/$defs/x", "$defs": {"x": BLAH}}, 'Unrecognized schema: {"type":"blah"}'),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "Unsupported ref: #"),
    ({"$ref": "node"}, "Unsupported ref: node"),
    ({"allOf": [BLAH]}, 'Unrecognized schema: {"type":"blah"}'),
    (
        {"properties": {"a": {"type": "x"}, "b": {"type": "string", "pattern": ""}}},
        f'Unrecognized schema: {{"type":"x"}}\n{ANCHORS}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "error"), UNCONVERTIBLE)
def test_a_schema_that_cannot_be_converted_is_refused_on_each_path(
    ollama: FakeOllama, schema: Any, error: str
) -> None:
    native = chat(ollama, NATIVE, format=schema)
    rendered = chat(ollama, RENDERED, format=schema)
    generated = generate(ollama, NATIVE, format=schema)

    assert {native.status, rendered.status, generated.status} == {400}
    assert message(native) == (
        "Unable to generate parser for this template. "
        f"Automatic parser generation failed: {CONVERSION}{error}"
    )
    assert message(rendered) == f"Field 'json_schema': \"json_schema\": {CONVERSION}{error}"
    assert message(generated) == message(rendered)


def test_a_reference_that_leads_nowhere_is_shown_with_what_it_was_looked_for_in(
    ollama: FakeOllama,
) -> None:
    native, rendered = (
        message(chat(ollama, model, format=NOWHERE)) for model in (NATIVE, RENDERED)
    )

    assert rendered.endswith(
        'Error resolving ref #/$defs/zz: $defs not in {"type":"object","properties":{"a":'
        '{"$ref":"#/$defs/zz"}},"required":["a"]}'
    )
    assert native.endswith(
        'Error resolving ref #/$defs/zz: $defs not in {"properties":{"a":'
        '{"$ref":"#/$defs/zz"}},"required":["a"],"type":"object"}'
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"const": "x", "pattern": "abc"},
        {"type": "integer", "pattern": "abc"},
        {"description": "anything"},
        {"type": "object", "properties": {"a": {"type": "string", "format": "email"}}},
        {"type": "object", "additionalProperties": True},
    ],
)
def test_what_the_converter_does_not_look_at_is_taken(ollama: FakeOllama, schema: Any) -> None:
    assert chat(ollama, NATIVE, format=schema).status == 200


NO_SCHEMA = {"type": "object", "properties": "x"}
BAD = ["yaml", [1], {"type": "blah"}, a_text(pattern=r"^\d$"), NOWHERE, NO_SCHEMA]


@pytest.mark.parametrize("value", BAD)
def test_a_rendered_model_looks_at_the_format_once_it_has_thought(
    ollama: FakeOllama, value: Any
) -> None:
    ollama.script("qwen3:8b", Script(thinking="One two three.", content="x"))

    cut = chat(ollama, "qwen3:8b", format=value, options={"num_predict": 2}, stream=False)
    streamed = chat(ollama, "qwen3:8b", format=value)
    whole = chat(ollama, "qwen3:8b", format=value, stream=False)
    unthinking = chat(ollama, "qwen3:8b", format=value, think=False)

    assert (cut.status, cut.json["done_reason"]) == (200, "length")
    assert (streamed.status, list(streamed.last)) == (200, ["error"])
    assert whole.status == unthinking.status
    assert whole.status in (400, 500)


TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["name", "children"],
    "additionalProperties": False,
}
CHAIN = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
}
MUTUAL = {
    "type": "object",
    "properties": {"parts": {"type": "array", "items": {"$ref": "#/$defs/part"}}},
    "required": ["parts"],
}
RECURSIVE: list[dict[str, Any]] = [
    {**TREE, "$defs": {"node": TREE}},
    {"$ref": "#/$defs/node", "$defs": {"node": TREE}},
    {**CHAIN, "$defs": {"node": CHAIN}},
    {
        **MUTUAL,
        "$defs": {
            "part": {
                "type": "object",
                "properties": {"whole": {"oneOf": [{"$ref": "#/$defs/whole"}, {"const": 0}]}},
                "required": ["whole"],
            },
            "whole": MUTUAL,
        },
    },
]


@pytest.mark.parametrize("schema", RECURSIVE)
@pytest.mark.parametrize("model", [NATIVE, RENDERED])
def test_a_schema_that_contains_itself_is_filled_to_some_depth(
    ollama: FakeOllama, model: str, schema: dict[str, Any]
) -> None:
    content = chat(ollama, model, format=schema).content

    jsonschema.validate(json.loads(content), schema)
    assert content.count("{") > 1
    assert len(content) < 2000


def test_a_schema_that_never_ends_is_given_up() -> None:
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}

    assert json.dumps(satisfy(endless)).count("{") < 30
