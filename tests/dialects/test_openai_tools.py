"""Tools in any declaration become one value; a choice that cannot be kept is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.chat import Tool, ToolChoice
from gateway.dialects.shared.reading import Fields
from gateway.dialects.shared.tool_choice import read_offer
from gateway.dialects.shared.tools import custom_input
from gateway.errors import InvalidRequest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather", "Tells it.", SCHEMA)
TIME = Tool("time")
INPUT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def offer(**body: Any) -> Any:
    return read_offer(Fields(body), 8)


def refused(**body: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        read_offer(Fields(body), 8)
    return caught.value.code, caught.value.param


FORMS = {
    "function": (
        function("weather", description="Tells it.", parameters=SCHEMA, strict=True),
        WEATHER,
    ),
    "function without schema": (function("time"), TIME),
    "function null schema": (function("time", parameters=None), TIME),
    "flat": (
        {"type": "function", "name": "weather", "description": "Tells it.", "parameters": SCHEMA},
        WEATHER,
    ),
    "without type": ({"function": {"name": "time"}}, TIME),
    "Anthropic": ({"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}, WEATHER),
    "Anthropic custom": (
        {"type": "custom", "name": "weather", "description": "Tells it.", "input_schema": SCHEMA},
        WEATHER,
    ),
    "custom": (
        {"type": "custom", "custom": {"name": "patch", "description": "Patches."}},
        Tool("patch", "Patches.", INPUT, "custom"),
    ),
    "custom flat": ({"type": "custom", "name": "patch"}, Tool("patch", "", INPUT, "custom")),
    "custom grammar": (
        {
            "type": "custom",
            "custom": {
                "name": "patch",
                "description": "Patches.",
                "format": {
                    "type": "grammar",
                    "grammar": {"syntax": "lark", "definition": "start: X"},
                },
            },
        },
        Tool("patch", "Patches.\n\nThe input must match this lark:\nstart: X", INPUT, "custom"),
    ),
    "custom grammar flat": (
        {
            "type": "custom",
            "name": "patch",
            "format": {"type": "grammar", "definition": "start: X"},
        },
        Tool("patch", "The input must match this grammar:\nstart: X", INPUT, "custom"),
    ),
    "custom text": (
        {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}},
        Tool("patch", "", INPUT, "custom"),
    ),
}


@pytest.mark.parametrize(("declared", "tool"), FORMS.values(), ids=FORMS)
def test_every_declaration_is_understood(declared: Any, tool: Tool) -> None:
    found = offer(tools=[declared])

    assert found.tools == (tool,)
    assert found.ignored == ()


TOOLS = [function("weather"), function("time"), {"type": "custom", "custom": {"name": "patch"}}]
CHOICES = {
    "absent": (None, ToolChoice(), 3),
    "auto": ("auto", ToolChoice("auto"), 3),
    "none": ("none", ToolChoice("none"), 3),
    "required": ("required", ToolChoice("required"), 3),
    "any": ("any", ToolChoice("required"), 3),
    "auto object": ({"type": "auto"}, ToolChoice("auto"), 3),
    "any object": ({"type": "any"}, ToolChoice("required"), 3),
    "function": (
        {"type": "function", "function": {"name": "time"}},
        ToolChoice("required", ("time",)),
        3,
    ),
    "function flat": ({"type": "function", "name": "time"}, ToolChoice("required", ("time",)), 3),
    "tool": ({"type": "tool", "name": "time"}, ToolChoice("required", ("time",)), 3),
    "custom": (
        {"type": "custom", "custom": {"name": "patch"}},
        ToolChoice("required", ("patch",)),
        3,
    ),
    "allowed auto": (
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [function("weather"), function("time")]},
        },
        ToolChoice("auto"),
        2,
    ),
    "allowed required": (
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "custom", "custom": {"name": "patch"}}],
            },
        },
        ToolChoice("required"),
        1,
    ),
    "allowed flat": (
        {"type": "allowed_tools", "tools": [{"type": "function", "name": "time"}]},
        ToolChoice("auto"),
        1,
    ),
}


@pytest.mark.parametrize(("choice", "expected", "count"), CHOICES.values(), ids=CHOICES)
def test_a_tool_choice_is_understood(choice: Any, expected: ToolChoice, count: int) -> None:
    found = offer(tools=TOOLS, tool_choice=choice)

    assert found.choice == expected
    assert len(found.tools) == count


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_without_tools_auto_and_none_mean_nothing(choice: Any) -> None:
    found = offer(tool_choice=choice)

    assert found.tools == ()
    assert found.choice.mode != "required"


REFUSED = {
    "tools type": ({"tools": {}}, "invalid_type", "tools"),
    "tool type": ({"tools": ["x"]}, "invalid_type", "tools[0]"),
    "tool type type": ({"tools": [{"type": 5}]}, "invalid_type", "tools[0].type"),
    "too many": ({"tools": [function(f"f{i}") for i in range(9)]}, "invalid_value", "tools"),
    "no name": (
        {"tools": [{"type": "function", "function": {}}]},
        "missing_required_parameter",
        "tools[0].function.name",
    ),
    "custom no name": (
        {"tools": [{"type": "custom", "custom": {}}]},
        "missing_required_parameter",
        "tools[0].custom.name",
    ),
    "bad schema": (
        {"tools": [function("a", parameters=[])]},
        "invalid_type",
        "tools[0].function.parameters",
    ),
    "choice word": ({"tools": TOOLS, "tool_choice": "often"}, "invalid_value", "tool_choice"),
    "choice type": ({"tools": TOOLS, "tool_choice": 5}, "invalid_type", "tool_choice"),
    "choice without type": (
        {"tools": TOOLS, "tool_choice": {}},
        "missing_required_parameter",
        "tool_choice.type",
    ),
    "choice unknown type": (
        {"tools": TOOLS, "tool_choice": {"type": "mcp"}},
        "invalid_value",
        "tool_choice.type",
    ),
    "choice unknown name": (
        {"tools": TOOLS, "tool_choice": function("moon")},
        "invalid_value",
        "tool_choice.function.name",
    ),
    "choice no name": (
        {"tools": TOOLS, "tool_choice": {"type": "function"}},
        "missing_required_parameter",
        "tool_choice.name",
    ),
    "allowed unknown name": (
        {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "tools": [function("moon")]}},
        "invalid_value",
        "tool_choice.tools[0].function.name",
    ),
    "allowed mode": (
        {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "mode": "none"}},
        "invalid_value",
        "tool_choice.mode",
    ),
    "allowed none": (
        {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "tools": []}},
        "missing_required_parameter",
        "tool_choice.tools",
    ),
    "required without tools": ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
    "required object without tools": (
        {"tool_choice": {"type": "any"}},
        "invalid_value",
        "tool_choice",
    ),
    "named without tools": (
        {"tool_choice": function("a")},
        "invalid_value",
        "tool_choice.function.name",
    ),
    "required with hosted tools only": (
        {"tools": [{"type": "web_search"}], "tool_choice": "required"},
        "invalid_value",
        "tool_choice",
    ),
    "functions no name": ({"functions": [{}]}, "missing_required_parameter", "functions[0].name"),
    "functions too many": (
        {"functions": [{"name": f"f{i}"} for i in range(9)]},
        "invalid_value",
        "functions",
    ),
    "function_call unknown": (
        {"functions": [{"name": "a"}], "function_call": {"name": "b"}},
        "invalid_value",
        "function_call.name",
    ),
    "function_call type": (
        {"functions": [{"name": "a"}], "function_call": 5},
        "invalid_type",
        "function_call",
    ),
}


@pytest.mark.parametrize(("body", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused(body: Any, code: str, param: str) -> None:
    assert refused(**body) == (code, param)


@pytest.mark.parametrize(
    ("call", "choice"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ({"name": "weather"}, ToolChoice("required", ("weather",))),
    ],
)
def test_the_older_form_is_converted(call: Any, choice: ToolChoice) -> None:
    functions = [
        {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
        {"name": "weather"},
    ]

    found = offer(functions=functions, function_call=call)

    assert found.tools == (WEATHER,)
    assert found.choice == choice
    assert found.ignored == ("functions[1]:weather",)
    assert found.legacy


def test_the_newer_form_wins() -> None:
    found = offer(
        tools=[function("time")], functions=[{"name": "old"}], function_call={"name": "old"}
    )

    assert found.tools == (TIME,)
    assert found.choice == ToolChoice()
    assert not found.legacy


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"*** Begin"}', "*** Begin"),
        ('{"input":5}', '{"input":5}'),
        ('{"patch":"*** Begin"}', "*** Begin"),
        ('{"command":["apply_patch","*** Begin"]}', "*** Begin"),
        ('{"input":{"patch":"*** Begin"}}', "*** Begin"),
        ('{"input":"*** Begin","reason":"why not"}', "*** Begin"),
        ('["*** Begin"]', "*** Begin"),
        ("{}", ""),
        ('{"path":"a","patch":"b"}', '{"path":"a","patch":"b"}'),
        ('{"command":["ls","-l"]}', '{"command":["ls","-l"]}'),
        ("[1]", "[1]"),
        ("[]", "[]"),
        ("broken", "broken"),
    ],
)
def test_the_free_text_of_a_custom_call_is_taken_out(arguments: str, text: str) -> None:
    assert custom_input("apply_patch", arguments) == text
