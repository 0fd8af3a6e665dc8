"""A conversation in any client's spelling becomes the turns Ollama's templates know."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.chat import Media, Message, ToolCall
from gateway.dialects.chat.messages import read_messages
from gateway.dialects.shared.reading import Fields
from gateway.errors import InvalidRequest
from tests.dialects.making import PNG

USER = {"role": "user", "content": "Hi"}
ASKED = Message("user", "Hi")


def read(*messages: Any) -> tuple[Message, ...]:
    return read_messages(Fields({"messages": list(messages)}), 100)


def turn(role: str, *content: Any, **more: Any) -> dict[str, Any]:
    """Return a message, its content left out unless it is given."""
    return {"role": role, **({"content": content[0]} if content else {}), **more}


def part(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


def text(said: str) -> dict[str, Any]:
    return part("text", text=said)


def calling(arguments: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return turn("assistant", tool_calls=[{"id": "c1", "function": function}])


ROWS = {
    "system": ([turn("system", "S"), USER], (Message("system", "S"), ASKED)),
    "developer": ([turn("developer", "S"), USER], (Message("system", "S"), ASKED)),
    "any case": ([turn(" User ", "Hi")], (ASKED,)),
    "system parts": ([turn("system", [text("a"), "b"])], (Message("system", "a\nb"),)),
    "user parts stay together": (
        [turn("user", [text("a"), part("image_url", image_url={"url": PNG}), text("b")])],
        (
            Message(
                "user",
                "a\nb",
                media=(Media("image", PNG, param="messages[0].content[1].image_url"),),
            ),
        ),
    ),
    "user empty": ([turn("user", "")], (Message("user"),)),
    "user empty list": ([turn("user", [])], (Message("user"),)),
    "name ignored": ([{**USER, "name": "ann"}], (ASKED,)),
    "assistant null": ([USER, turn("assistant", None), USER], (ASKED, Message("assistant"), ASKED)),
    "assistant parts": (
        [turn("assistant", [text("a"), "b"]), USER],
        (Message("assistant", "ab"), ASKED),
    ),
    "assistant refusal": (
        [turn("assistant", "a", refusal="No."), USER],
        (Message("assistant", "aNo."), ASKED),
    ),
    "assistant refusal part": (
        [turn("assistant", [part("refusal", refusal="No.")]), USER],
        (Message("assistant", "No."), ASKED),
    ),
    "assistant audio": (
        [turn("assistant", "a", audio={"id": "x"}), USER],
        (Message("assistant", "a"), ASKED),
    ),
    "reasoning_content": (
        [turn("assistant", reasoning_content="Hm.", reasoning="x"), USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "reasoning": (
        [turn("assistant", reasoning_content="", reasoning="Hm.", thinking="x"), USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "thinking": (
        [turn("assistant", reasoning={"effort": 1}, thinking="Hm."), USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "reasoning_details": (
        [
            turn(
                "assistant",
                reasoning_details=[{"text": "H"}, {"summary": "m."}, {"data": "x"}, "y"],
            ),
            USER,
        ],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "reasoning_details last": (
        [turn("assistant", reasoning="Hm.", reasoning_details=[{"text": "x"}]), USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "thinking part": (
        [turn("assistant", [part("thinking", thinking="Hm."), "a"]), USER],
        (Message("assistant", "a", "Hm."), ASKED),
    ),
    "tool_calls and tool": (
        [calling('{"city":"Paris"}'), turn("tool", "mild", tool_call_id="c1")],
        (
            Message("assistant", tool_calls=(ToolCall("c1", "weather", {"city": "Paris"}),)),
            Message("tool", "mild", tool_call_id="c1", tool_name="weather"),
        ),
    ),
    "tool name by the last match": (
        [
            calling("{}"),
            turn(
                "assistant",
                tool_calls=[{"id": "c1", "function": {"name": "time", "arguments": ""}}],
            ),
            turn("tool", "noon", tool_call_id="c1", name="other"),
        ],
        (
            Message("assistant", tool_calls=(ToolCall("c1", "weather", {}),)),
            Message("assistant", tool_calls=(ToolCall("c1", "time", {}),)),
            Message("tool", "noon", tool_call_id="c1", tool_name="time"),
        ),
    ),
    "tool name of its own": (
        [turn("tool", "noon", tool_call_id="c9", name="time")],
        (Message("tool", "noon", tool_call_id="c9", tool_name="time"),),
    ),
    "tool like JSON": ([turn("tool", '{"broken":')], (Message("tool", '{"broken":'),)),
    "tool parts": (
        [turn("tool", [text("a"), part("image_url", image_url=PNG), text("b")])],
        (
            Message(
                "tool",
                "a\nb",
                media=(Media("image", PNG, param="messages[0].content[1].image_url"),),
            ),
        ),
    ),
    "function role": (
        [turn("function", "noon", name="time")],
        (Message("tool", "noon", tool_name="time"),),
    ),
    "function_call": (
        [
            USER,
            turn("assistant", None, function_call={"name": "time", "arguments": '{"zone":1}'}),
            USER,
        ],
        (
            ASKED,
            Message("assistant", tool_calls=(ToolCall("call_legacy_1", "time", {"zone": 1}),)),
            ASKED,
        ),
    ),
    "custom call": (
        [
            turn(
                "assistant",
                tool_calls=[
                    {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "***"}}
                ],
            ),
            USER,
        ],
        (Message("assistant", tool_calls=(ToolCall("c1", "patch", {"input": "***"}),)), ASKED),
    ),
    "flat call": (
        [turn("assistant", tool_calls=[{"name": "time", "arguments": {"a": 1}}]), USER],
        (Message("assistant", tool_calls=(ToolCall("", "time", {"a": 1}),)), ASKED),
    ),
    "broken arguments": (
        [calling('{"city":'), USER],
        (
            Message(
                "assistant", tool_calls=(ToolCall("c1", "weather", {"raw_arguments": '{"city":'}),)
            ),
            ASKED,
        ),
    ),
    "Anthropic tool_use": (
        [
            turn(
                "assistant", [text("a"), part("tool_use", id="t1", name="time", input={"zone": 1})]
            ),
            USER,
        ],
        (Message("assistant", "a", tool_calls=(ToolCall("t1", "time", {"zone": 1}),)), ASKED),
    ),
    "Anthropic tool_result": (
        [
            turn("assistant", [part("tool_use", id="t1", name="time", input={})]),
            turn("user", [text("and?"), part("tool_result", tool_use_id="t1", content="noon")]),
        ],
        (
            Message("assistant", tool_calls=(ToolCall("t1", "time", {}),)),
            Message("tool", "noon", tool_call_id="t1", tool_name="time"),
            Message("user", "and?"),
        ),
    ),
    "Anthropic tool_result alone": (
        [turn("user", [part("tool_result", tool_use_id="t1", is_error=True)])],
        (Message("tool", "Error: ", tool_call_id="t1"),),
    ),
    "Anthropic image": (
        [
            turn(
                "user",
                [part("image", source={"type": "base64", "media_type": "image/png", "data": PNG})],
            )
        ],
        (
            Message(
                "user", media=(Media("image", PNG, param="messages[0].content[0].source.data"),)
            ),
        ),
    ),
    "one assistant last": ([USER, turn("assistant", "a")], (ASKED, Message("assistant", "a"))),
    "call no name": (
        [turn("assistant", tool_calls=[{"id": "c1", "function": {"name": " "}}])],
        (Message("assistant", tool_calls=(ToolCall("c1", "unnamed_tool", {}),)),),
    ),
    "function_call no name": (
        [turn("assistant", function_call={"arguments": ""})],
        (Message("assistant", tool_calls=(ToolCall("call_legacy_0", "unnamed_tool", {}),)),),
    ),
    "function no name": (
        [turn("function", "a")],
        (Message("tool", "a", tool_name="unnamed_tool"),),
    ),
}
REFUSED = {
    "missing": (None, "missing_required_parameter", "messages"),
    "empty": ([], "missing_required_parameter", "messages"),
    "no list": ("Hi", "invalid_type", "messages"),
    "too many": ([USER] * 101, "invalid_value", "messages"),
    "no object": (["Hi"], "invalid_type", "messages[0]"),
    "no role": ([USER, {"content": "a"}], "missing_required_parameter", "messages[1].role"),
    "role": ([turn("oracle", "a")], "invalid_value", "messages[0].role"),
    "role type": ([turn(5, "a")], "invalid_type", "messages[0].role"),
    "user null": ([turn("user", None)], "missing_required_parameter", "messages[0].content"),
    "system missing": ([turn("system")], "missing_required_parameter", "messages[0].content"),
    "tool missing": ([turn("tool")], "missing_required_parameter", "messages[0].content"),
    "content": ([turn("user", 5)], "invalid_type", "messages[0].content"),
    "tool_calls": ([turn("assistant", tool_calls=5)], "invalid_type", "messages[0].tool_calls"),
    "custom call input": (
        [turn("assistant", tool_calls=[{"custom": {"name": "a", "input": 5}}])],
        "invalid_type",
        "messages[0].tool_calls[0].custom.input",
    ),
}


@pytest.mark.parametrize(("messages", "expected"), ROWS.values(), ids=ROWS)
def test_a_turn_becomes_ollamas(messages: Any, expected: tuple[Message, ...]) -> None:
    assert read(*messages) == expected


@pytest.mark.parametrize(("messages", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_conversation_is_refused(messages: Any, code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_messages(Fields({"messages": messages}), 100)

    assert (caught.value.code, caught.value.param) == (code, param)
