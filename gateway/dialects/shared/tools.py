"""One tool on offer, in whatever form it was declared (docs/contract/tools.md).

A custom tool, which takes free text, is offered to the model as a function with the one argument
`input`.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core.chat import Json, Tool
from gateway.dialects.shared.reading import Fields
from gateway.dialects.shared.schemas import alternatives, normalise

CUSTOM_PARAMETERS: Mapping[str, Json] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}


def read_tool(fields: Fields) -> Tool:
    """Read one tool in any of its forms. Raises InvalidRequest.

    `{"type": "function", "function": {...}}`, the same flat, `{"name", "input_schema"}`, and
    `{"type": "custom", "custom": {...}}`, also flat.
    """
    if fields.get("input_schema") is not None:
        return function_tool(fields, "input_schema")
    if fields.get("type") == "custom":
        return custom_tool(fields.fields("custom") or fields)
    return function_tool(fields.fields("function") or fields, "parameters")


def function_tool(fields: Fields, schema_name: str) -> Tool:
    """Read a function with its schema normalised. Raises InvalidRequest."""
    schema = normalise(fields.get(schema_name), fields.path(schema_name))
    description = "\n\n".join(filter(None, (fields.text("description"), alternatives(schema))))
    return Tool(fields.required_text("name"), description, schema)


def custom_tool(fields: Fields) -> Tool:
    """Read a free-text tool; its grammar, if any, is told in the description."""
    description = fields.text("description") or ""
    form = fields.fields("format")
    if form is not None:
        grammar = form.fields("grammar") or form
        definition = grammar.text("definition")
        if definition:
            syntax = grammar.text("syntax") or "grammar"
            description = f"{description}\n\nThe input must match this {syntax}:\n{definition}"
    return Tool(fields.required_text("name"), description.strip(), CUSTOM_PARAMETERS, kind="custom")


def custom_input(name: str, arguments: str) -> str:
    """Return the free text of a custom tool's call: the one text in its arguments, however
    it is called. Arguments of any other shape are returned as they are."""
    try:
        value = orjson.loads(arguments)
    except ValueError:
        return arguments
    text = _single_text(value, name)
    return arguments if text is None else text


def _single_text(value: Json, name: str) -> str | None:
    while not isinstance(value, str):
        if isinstance(value, dict):
            value = [value["input"]] if "input" in value else list(value.values()) or [""]
        elif isinstance(value, list):
            value = value[1:] if len(value) == 2 and value[0] == name else value
        if not isinstance(value, list) or len(value) != 1:
            return None
        value = value[0]
    return value
