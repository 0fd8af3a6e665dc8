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


def calling(arguments: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": "c1", "function": function}]}


ROWS = {
    "system": ([{"role": "system", "content": "S"}, USER], (Message("system", "S"), ASKED)),
    "developer": ([{"role": "developer", "content": "S"}, USER], (Message("system", "S"), ASKED)),
    "any case": ([{"role": " User ", "content": "Hi"}], (ASKED,)),
    "system parts": (
        [{"role": "system", "content": [{"type": "text", "text": "a"}, "b"]}],
        (Message("system", "a\nb"),),
    ),
    "user parts stay together": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": PNG}},
                    {"type": "text", "text": "b"},
                ],
            }
        ],
        (
            Message(
                "user",
                "a\nb",
                media=(Media("image", PNG, param="messages[0].content[1].image_url"),),
            ),
        ),
    ),
    "user empty": ([{"role": "user", "content": ""}], (Message("user"),)),
    "user empty list": ([{"role": "user", "content": []}], (Message("user"),)),
    "name ignored": ([{**USER, "name": "ann"}], (ASKED,)),
    "assistant null": (
        [USER, {"role": "assistant", "content": None}, USER],
        (ASKED, Message("assistant"), ASKED),
    ),
    "assistant parts": (
        [{"role": "assistant", "content": [{"type": "text", "text": "a"}, "b"]}, USER],
        (Message("assistant", "ab"), ASKED),
    ),
    "assistant refusal": (
        [{"role": "assistant", "content": "a", "refusal": "No."}, USER],
        (Message("assistant", "aNo."), ASKED),
    ),
    "assistant refusal part": (
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, USER],
        (Message("assistant", "No."), ASKED),
    ),
    "assistant audio": (
        [{"role": "assistant", "content": "a", "audio": {"id": "x"}}, USER],
        (Message("assistant", "a"), ASKED),
    ),
    "reasoning_content": (
        [{"role": "assistant", "reasoning_content": "Hm.", "reasoning": "x"}, USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "reasoning": (
        [{"role": "assistant", "reasoning_content": "", "reasoning": "Hm.", "thinking": "x"}, USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "thinking": (
        [{"role": "assistant", "reasoning": {"effort": 1}, "thinking": "Hm."}, USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "reasoning_details": (
        [
            {
                "role": "assistant",
                "reasoning_details": [{"text": "H"}, {"summary": "m."}, {"data": "x"}, "y"],
            },
            USER,
        ],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "reasoning_details last": (
        [{"role": "assistant", "reasoning": "Hm.", "reasoning_details": [{"text": "x"}]}, USER],
        (Message("assistant", thinking="Hm."), ASKED),
    ),
    "thinking part": (
        [{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, "a"]}, USER],
        (Message("assistant", "a", "Hm."), ASKED),
    ),
    "tool_calls and tool": (
        [calling('{"city":"Paris"}'), {"role": "tool", "tool_call_id": "c1", "content": "mild"}],
        (
            Message("assistant", tool_calls=(ToolCall("c1", "weather", {"city": "Paris"}),)),
            Message("tool", "mild", tool_call_id="c1", tool_name="weather"),
        ),
    ),
    "tool name by the last match": (
        [
            calling("{}"),
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "function": {"name": "time", "arguments": ""}}],
            },
            {"role": "tool", "tool_call_id": "c1", "name": "other", "content": "noon"},
        ],
        (
            Message("assistant", tool_calls=(ToolCall("c1", "weather", {}),)),
            Message("assistant", tool_calls=(ToolCall("c1", "time", {}),)),
            Message("tool", "noon", tool_call_id="c1", tool_name="time"),
        ),
    ),
    "tool name of its own": (
        [{"role": "tool", "tool_call_id": "c9", "name": "time", "content": "noon"}],
        (Message("tool", "noon", tool_call_id="c9", tool_name="time"),),
    ),
    "tool like JSON": (
        [{"role": "tool", "content": '{"broken":'}],
        (Message("tool", '{"broken":'),),
    ),
    "tool parts": (
        [
            {
                "role": "tool",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": PNG},
                    {"type": "text", "text": "b"},
                ],
            }
        ],
        (
            Message(
                "tool",
                "a\nb",
                media=(Media("image", PNG, param="messages[0].content[1].image_url"),),
            ),
        ),
    ),
    "function role": (
        [{"role": "function", "name": "time", "content": "noon"}],
        (Message("tool", "noon", tool_name="time"),),
    ),
    "function_call": (
        [
            USER,
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "time", "arguments": '{"zone":1}'},
            },
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
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "***"}}
                ],
            },
            USER,
        ],
        (Message("assistant", tool_calls=(ToolCall("c1", "patch", {"input": "***"}),)), ASKED),
    ),
    "flat call": (
        [{"role": "assistant", "tool_calls": [{"name": "time", "arguments": {"a": 1}}]}, USER],
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
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "tool_use", "id": "t1", "name": "time", "input": {"zone": 1}},
                ],
            },
            USER,
        ],
        (Message("assistant", "a", tool_calls=(ToolCall("t1", "time", {"zone": 1}),)), ASKED),
    ),
    "Anthropic tool_result": (
        [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "time", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "and?"},
                    {"type": "tool_result", "tool_use_id": "t1", "content": "noon"},
                ],
            },
        ],
        (
            Message("assistant", tool_calls=(ToolCall("t1", "time", {}),)),
            Message("tool", "noon", tool_call_id="t1", tool_name="time"),
            Message("user", "and?"),
        ),
    ),
    "Anthropic tool_result alone": (
        [
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True}],
            }
        ],
        (Message("tool", "Error: ", tool_call_id="t1"),),
    ),
    "Anthropic image": (
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                    }
                ],
            }
        ],
        (
            Message(
                "user", media=(Media("image", PNG, param="messages[0].content[0].source.data"),)
            ),
        ),
    ),
    "one assistant last": (
        [USER, {"role": "assistant", "content": "a"}],
        (ASKED, Message("assistant", "a")),
    ),
    "call no name": (
        [{"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": " "}}]}],
        (Message("assistant", tool_calls=(ToolCall("c1", "unnamed_tool", {}),)),),
    ),
    "function_call no name": (
        [{"role": "assistant", "function_call": {"arguments": ""}}],
        (Message("assistant", tool_calls=(ToolCall("call_legacy_0", "unnamed_tool", {}),)),),
    ),
    "function no name": (
        [{"role": "function", "content": "a"}],
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
    "role": ([{"role": "oracle", "content": "a"}], "invalid_value", "messages[0].role"),
    "role type": ([{"role": 5, "content": "a"}], "invalid_type", "messages[0].role"),
    "user null": (
        [{"role": "user", "content": None}],
        "missing_required_parameter",
        "messages[0].content",
    ),
    "system missing": ([{"role": "system"}], "missing_required_parameter", "messages[0].content"),
    "tool missing": ([{"role": "tool"}], "missing_required_parameter", "messages[0].content"),
    "content": ([{"role": "user", "content": 5}], "invalid_type", "messages[0].content"),
    "tool_calls": (
        [{"role": "assistant", "tool_calls": 5}],
        "invalid_type",
        "messages[0].tool_calls",
    ),
    "custom call input": (
        [{"role": "assistant", "tool_calls": [{"custom": {"name": "a", "input": 5}}]}],
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
