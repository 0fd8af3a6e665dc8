"""Every kind of item, tool, block and part the SDKs know, and what becomes of it
(docs/contract). A kind the SDKs gain is in no table, and a test says so."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from anthropic.types.beta import beta_tool_result_block_param
from anthropic.types.beta.beta_content_block_param import BetaContentBlockParam
from anthropic.types.beta.beta_tool_union_param import BetaToolUnionParam
from openai.types.chat.chat_completion_content_part_param import ChatCompletionContentPartParam
from openai.types.responses.response_input_content_param import ResponseInputContentParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam

from gateway.core.chat import Call, ChatRequest
from gateway.dialects.base import Reading
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.responses.dialect import RESPONSES
from gateway.errors import InvalidRequest
from tests.dialects.making import HELLO, PNG, reading

SOUND = base64.b64encode(b"RIFF").decode()
TEXT_FILE = base64.b64encode(b"tide").decode()
SCHEMA = {"type": "object", "properties": {}}


def kinds(union: Any) -> set[str]:
    """Return the values of `type` in a union of typed dictionaries or models."""
    if get_origin(union) is Literal:
        return set(get_args(union))
    if hasattr(union, "__total__"):
        return kinds(get_type_hints(union).get("type"))
    if hasattr(union, "model_fields"):
        return set()  # answers' own models, handed back as they came: of the same kinds
    return {kind for part in get_args(union) for kind in kinds(part)}


LEFT_OUT = "named and left out"
REFUSED = "refused"
ITEMS: Mapping[str, tuple[Mapping[str, Any], Any]] = {
    "message": ({"role": "assistant", "content": "hi"}, ["assistant"]),
    "function_call": ({"call_id": "c", "name": "f", "arguments": "{}"}, ["assistant"]),
    "function_call_output": ({"call_id": "c", "output": "6"}, ["tool"]),
    "custom_tool_call": ({"call_id": "c", "name": "f", "input": "x"}, ["assistant"]),
    "custom_tool_call_output": ({"call_id": "c", "output": "6"}, ["tool"]),
    "reasoning": ({"id": "rs_1", "summary": []}, []),
    "item_reference": ({"id": "msg_1"}, ["user"]),
    "additional_tools": ({"tools": [{"type": "function", "name": "f"}]}, []),
    "mcp_call": (
        {"id": "c", "name": "f", "server_label": "s", "arguments": "{}", "output": "6"},
        ["assistant", "tool"],
    ),
    "local_shell_call": ({"call_id": "c", "action": {"command": ["ls"]}}, ["assistant"]),
    "local_shell_call_output": ({"id": "c", "output": "a"}, ["tool"]),
    "configuration_update": ({"reasoning": {"effort": "high"}}, []),
    "shell_call": ({"call_id": "c", "action": {"commands": ["ls"]}}, ["assistant"]),
    "shell_call_output": ({"call_id": "c", "output": [{"stdout": "a"}]}, ["tool"]),
    "apply_patch_call": ({"call_id": "c", "operation": {"type": "delete_file"}}, ["assistant"]),
    "apply_patch_call_output": ({"call_id": "c", "output": "done"}, ["tool"]),
    "computer_call": ({"call_id": "c", "action": {"type": "wait"}}, ["assistant"]),
    "computer_call_output": (
        {
            "call_id": "c",
            "output": {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"},
        },
        ["tool"],
    ),
    **{
        kind: ({"id": "x"}, LEFT_OUT)
        for kind in (
            "web_search_call",
            "file_search_call",
            "image_generation_call",
            "code_interpreter_call",
            "mcp_list_tools",
            "mcp_approval_request",
            "mcp_approval_response",
            "tool_search_call",
            "tool_search_output",
            "compaction",
            "compaction_trigger",
            "program",
            "program_output",
        )
    },
}
"""What an item becomes: messages of these roles."""

TOOLS: Mapping[str, tuple[Mapping[str, Any], Any]] = {
    "function": ({"name": "f", "parameters": SCHEMA}, ["f"]),
    "custom": ({"name": "f"}, ["f"]),
    "namespace": ({"name": "n", "tools": [{"type": "function", "name": "f"}]}, ["n__f"]),
    **{
        kind: ({}, LEFT_OUT)
        for kind in (
            "apply_patch",
            "code_interpreter",
            "computer",
            "computer_use_preview",
            "file_search",
            "image_generation",
            "local_shell",
            "mcp",
            "programmatic_tool_calling",
            "shell",
            "tool_search",
            "web_search",
            "web_search_2025_08_26",
            "web_search_preview",
            "web_search_preview_2025_03_11",
        )
    },
}
"""What a tool becomes: functions of these names."""

INPUT_PARTS: Mapping[str, Mapping[str, Any]] = {
    "input_text": {"text": "hi"},
    "input_image": {"image_url": f"data:image/png;base64,{PNG}"},
    "input_file": {"filename": "a.txt", "file_data": TEXT_FILE},
}
CHAT_PARTS: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": "hi"},
    "image_url": {"image_url": {"url": f"data:image/png;base64,{PNG}"}},
    "input_audio": {"input_audio": {"data": SOUND, "format": "wav"}},
    "file": {"file": {"filename": "a.txt", "file_data": TEXT_FILE}},
}

BLOCKS: Mapping[str, tuple[str, Mapping[str, Any], Any]] = {
    "text": ("user", {"text": "hi"}, ["user"]),
    "image": (
        "user",
        {"source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ["user"],
    ),
    "document": ("user", {"source": {"type": "text", "data": "x"}}, ["user"]),
    "search_result": (
        "user",
        {"title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]},
        ["user"],
    ),
    "thinking": ("assistant", {"thinking": "hm", "signature": ""}, ["assistant"]),
    "redacted_thinking": ("assistant", {"data": "x"}, ["assistant"]),
    "tool_use": ("assistant", {"id": "c", "name": "f", "input": {}}, ["assistant"]),
    "server_tool_use": ("assistant", {"id": "c", "name": "f", "input": {}}, ["assistant"]),
    "mcp_tool_use": (
        "assistant",
        {"id": "c", "name": "f", "server_name": "s", "input": {}},
        ["assistant"],
    ),
    "tool_result": ("user", {"tool_use_id": "c", "content": "6"}, ["tool"]),
    **{
        kind: ("assistant", {"tool_use_id": "c", "content": []}, ["tool"])
        for kind in (
            "advisor_tool_result",
            "bash_code_execution_tool_result",
            "code_execution_tool_result",
            "mcp_tool_result",
            "text_editor_code_execution_tool_result",
            "tool_search_tool_result",
            "web_fetch_tool_result",
            "web_search_tool_result",
        )
    },
    **{
        kind: ("assistant", {}, LEFT_OUT)
        for kind in ("compaction", "container_upload", "fallback", "mcp_tool_listing")
    },
    **{
        kind: ("system", {"tool": {"type": "tool_reference", "tool_name": "f"}}, LEFT_OUT)
        for kind in ("tool_addition", "tool_removal")
    },
}
"""Whose block it is, and what it becomes."""

RESULT_PARTS: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": "hi"},
    "image": BLOCKS["image"][1],
    "document": {"source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
    "search_result": BLOCKS["search_result"][1],
    "tool_reference": {"tool_name": "f"},
    "browser_state": {"state": {"url": "https://a.example"}},
}

CLAUDE_TOOLS: Mapping[str, Any] = {
    "custom": ["f"],
    **{f"bash_{date}": ["f"] for date in ("20241022", "20250124")},
    **{f"text_editor_{date}": ["f"] for date in ("20241022", "20250124", "20250429", "20250728")},
    "memory_20250818": ["f"],
    **{f"computer_{date}": REFUSED for date in ("20241022", "20250124", "20251124")},
    "computer_toolset_20260801": REFUSED,
    "browser_toolset_20260801": REFUSED,
    "advisor_20260301": LEFT_OUT,
    "mcp_toolset": LEFT_OUT,
    **{
        f"code_execution_{date}": LEFT_OUT
        for date in ("20250522", "20250825", "20260120", "20260521")
    },
    **{
        f"tool_search_tool_{way}{date}": LEFT_OUT
        for way in ("bm25", "regex")
        for date in ("", "_20251119")
    },
    **{f"web_fetch_{date}": LEFT_OUT for date in ("20250910", "20260209", "20260309", "20260318")},
    **{f"web_search_{date}": LEFT_OUT for date in ("20250305", "20260209", "20260318")},
}

TABLES: dict[str, Any] = {
    "items": (ResponseInputItemParam, ITEMS),
    "tools": (ToolParam, TOOLS),
    "parts of an item": (ResponseInputContentParam, INPUT_PARTS),
    "parts of a message": (ChatCompletionContentPartParam, CHAT_PARTS),
    "blocks": (BetaContentBlockParam, BLOCKS),
    "parts of a result": (beta_tool_result_block_param.Content, RESULT_PARTS),
    "tools of the Messages API": (BetaToolUnionParam, CLAUDE_TOOLS),
}


@pytest.mark.parametrize(("union", "table"), TABLES.values(), ids=TABLES)
def test_every_kind_of_the_sdk_is_in_the_table(union: Any, table: Mapping[str, Any]) -> None:
    assert set(table) == kinds(union)


def recalling() -> Reading:
    found = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    return Reading(reading().behaviour, lambda _: (), lambda _: found)


def responses(**body: Any) -> Call:
    return RESPONSES.parse({"model": "m", "input": "hi", **body}, recalling())


def messages(**body: Any) -> Call:
    return MESSAGES.parse({"model": "m", "messages": HELLO, **body}, reading())


def roles(call: Call, without: int = 0) -> list[str]:
    assert isinstance(call.request, ChatRequest)
    return [message.role for message in call.request.messages][without:]


def names(call: Call) -> list[str]:
    assert isinstance(call.request, ChatRequest)
    return [tool.name for tool in call.request.tools]


def told(call: Call, found: list[str], path: str) -> Any:
    """Return what became of something: LEFT_OUT where nothing did and it is named."""
    if call.ignored:
        assert not found
        assert call.ignored == (path,)
        return LEFT_OUT
    return found


@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_of_each_kind(kind: str) -> None:
    item, expected = ITEMS[kind]

    call = responses(input=[{"role": "user", "content": "hi"}, {"type": kind, **item}])

    assert told(call, roles(call, 1), f"input[1]:{kind}") == expected


@pytest.mark.parametrize("kind", TOOLS)
def test_a_tool_of_each_kind(kind: str) -> None:
    tool, expected = TOOLS[kind]

    call = responses(tools=[{"type": kind, **tool}])

    assert told(call, names(call), f"tools[0]:{kind}") == expected


@pytest.mark.parametrize("kind", INPUT_PARTS)
def test_a_part_of_each_kind_in_an_item(kind: str) -> None:
    part = {"type": kind, **INPUT_PARTS[kind]}
    output = {"type": "function_call_output", "call_id": "c", "output": [part]}

    call = responses(input=[{"role": "user", "content": [part]}, output])

    assert isinstance(call.request, ChatRequest)
    question, answer = call.request.messages
    assert question.content or question.media
    assert (answer.content, bool(answer.media)) == (question.content, bool(question.media))


@pytest.mark.parametrize("kind", CHAT_PARTS)
def test_a_part_of_each_kind_in_a_message(kind: str) -> None:
    content = [{"type": kind, **CHAT_PARTS[kind]}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}

    call = CHAT.parse(body, reading())

    assert isinstance(call.request, ChatRequest)
    (message,) = call.request.messages
    assert message.content or message.media


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_of_each_kind(kind: str) -> None:
    role, block, expected = BLOCKS[kind]
    before = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    added = {"role": role, "content": [{"type": kind, **block}]}
    after = {"role": "user", "content": "go on"}

    call = messages(messages=[*before, added, after])

    found = roles(call, 2)[:-1]
    if kind == "redacted_thinking" or (expected is LEFT_OUT and role == "assistant"):
        assert found == ["assistant"]  # an empty turn is still a turn
        found = [] if expected is LEFT_OUT else found
    assert told(call, found, f"messages[2].content[0]:{kind}") == expected


@pytest.mark.parametrize("kind", RESULT_PARTS)
def test_a_part_of_each_kind_in_a_result(kind: str) -> None:
    part = {"type": kind, **RESULT_PARTS[kind]}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [part]}

    call = messages(messages=[{"role": "user", "content": [result]}])

    assert isinstance(call.request, ChatRequest)
    (found,) = call.request.messages
    assert found.role == "tool"
    assert found.content or found.media or found.unreadable


@pytest.mark.parametrize("kind", CLAUDE_TOOLS)
def test_a_tool_of_each_kind_in_the_messages_api(kind: str) -> None:
    tool = {"type": kind, "name": "f", "input_schema": SCHEMA}
    if CLAUDE_TOOLS[kind] is REFUSED:
        with pytest.raises(InvalidRequest) as caught:
            messages(tools=[tool])

        assert caught.value.param == "tools[0].type"
        return

    call = messages(tools=[tool])

    assert told(call, names(call), f"tools[0]:{kind}") == CLAUDE_TOOLS[kind]
