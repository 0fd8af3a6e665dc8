"""Every field, item and tool of a Responses request does what the contract says of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.chat import Call, ChatRequest, Media, Message, ToolCall, ToolChoice
from gateway.dialects.base import Reading
from gateway.dialects.responses.dialect import RESPONSES
from gateway.dialects.responses.object import Echo, seal
from gateway.dialects.responses.tools import flat_name
from gateway.errors import InvalidRequest, Unavailable
from gateway.schemas.settings import RuntimeSettings
from tests.dialects.making import settled

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
PNG_URL = f"data:image/png;base64,{PNG}"
TEXT_URL = "data:text/plain;base64," + base64.b64encode(b"hello").decode()

STORED: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "resp_1": (
        {"id": "msg_1", "type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "weather?"}]},
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "get_weather",
         "arguments": "{}"},
    ),
    "resp_2": (
        {"id": "msg_2", "type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "Paris."}]},
    ),
}  # fmt: skip


def recall(response_id: str) -> Sequence[Mapping[str, Any]]:
    if response_id not in STORED:
        raise InvalidRequest("No such response.")
    return STORED[response_id]


def recall_item(item_id: str) -> Mapping[str, Any]:
    for items in STORED.values():
        for item in items:
            if item["id"] == item_id:
                return item
    raise InvalidRequest("No such item.")


READING = Reading(RuntimeSettings(), recall, recall_item)
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Patch"}
FILES = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Files",
    "tools": [{"type": "function", "name": "read"}, {"type": "custom", "name": "patch"}],
}


def parse(behaviour: RuntimeSettings | None = None, **fields: Any) -> Call:
    body = {"model": "qwen3:8b", "input": "hi", **fields}
    reading = READING if behaviour is None else replace(READING, behaviour=behaviour)
    return RESPONSES.parse({k: v for k, v in body.items() if v is not ...}, reading)


def request(behaviour: RuntimeSettings | None = None, **fields: Any) -> ChatRequest:
    read = parse(behaviour, **fields).request
    assert isinstance(read, ChatRequest)
    return read


def messages(*items: Any, **fields: Any) -> list[Message]:
    return list(request(input=list(items), **fields).messages)


def echo(behaviour: RuntimeSettings | None = None, **fields: Any) -> Echo:
    extra = parse(behaviour, **fields).extra
    assert isinstance(extra, Echo)
    return extra


def said(role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts), **more}


def text(words: str, type: str = "input_text") -> dict[str, Any]:
    return {"type": type, "text": words}


# --- the field table, 2.6.1 -------------------------------------------------------------------


PARAMS: dict[str, Any] = {
    "reasoning.effort": ({"reasoning": {"effort": "high"}}, {"think": "high"}),
    "reasoning.effort none": ({"reasoning": {"effort": "none"}}, {"think": False}),
    "reasoning.effort minimal": (
        {"reasoning": {"effort": "minimal"}},
        {"think": False, "effort": "minimal"},
    ),
    "reasoning.summary": ({"reasoning": {"summary": "auto"}}, {"think": None}),
    "text.format text": ({"text": {"format": {"type": "text"}}}, {"format": None}),
    "text.format json_schema": (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}},
        {"format": {"type": "object"}},
    ),
    "truncation disabled": ({"truncation": "disabled"}, {"truncate": False}),
    "top_logprobs": ({"top_logprobs": 5}, {"logprobs": True, "top_logprobs": 5}),
    "top_logprobs 0": ({"top_logprobs": 0}, {"logprobs": False}),
    "include logprobs": (
        {"include": ["message.output_text.logprobs"]},
        {"logprobs": True, "top_logprobs": None},
    ),
}


@pytest.mark.parametrize(("fields", "expected"), PARAMS.values(), ids=PARAMS)
def test_fields_become_parameters(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    params = request(**fields).params

    found = {
        name: value if name != "effort" else params.effort
        for name, value in ((name, getattr(params, name)) for name in expected)
    }
    assert found == expected


MISSING = "missing_required_parameter"
TYPE, VALUE, UNSUPPORTED = "invalid_type", "invalid_value", "unsupported_value"
REFUSED: dict[str, Any] = {
    "no model": ({"model": ...}, "model", MISSING),
    "input empty text": ({"input": ""}, "input", MISSING),
    "input a number": ({"input": 5}, "input", TYPE),
    "item a string": ({"input": ["x"]}, "input[0]", TYPE),
    "truncation": ({"truncation": "maybe"}, "truncation", VALUE),
    "top_logprobs": ({"top_logprobs": 21}, "top_logprobs", VALUE),
    "0 tokens": ({"max_output_tokens": 0}, "max_output_tokens", VALUE),
    "include": ({"include": [5]}, "include[0]", TYPE),
    "instructions": ({"instructions": 5}, "instructions", TYPE),
    "schema missing": (
        {"text": {"format": {"type": "json_schema"}}},
        "text.format.schema",
        MISSING,
    ),
    "format unknown": ({"text": {"format": {"type": "yaml"}}}, "text.format.type", VALUE),
    "previous_response_id unknown": (
        {"previous_response_id": "resp_x"},
        "previous_response_id",
        "previous_response_not_found",
    ),
    "17 metadata keys": ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", VALUE),
    "long key": ({"metadata": {"k" * 65: "x"}}, f"metadata.{'k' * 64}", VALUE),
    "long value": ({"metadata": {"k": "x" * 513}}, "metadata.k", VALUE),
    "nested metadata": ({"metadata": {"k": {}}}, "metadata.k", TYPE),
    "unknown item": ({"input": [{"type": "hologram"}]}, "input[0].type", VALUE),
    "item of no kind": ({"input": [{}]}, "input[0].type", MISSING),
    "unknown role": ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", VALUE),
    "item_reference unknown": (
        {"input": [{"type": "item_reference", "id": "msg_x"}]},
        "input[0].id",
        "item_not_found",
    ),
    "image file_id": (
        {"input": [said("user", {"type": "input_image", "file_id": "f"})]},
        "input[0].content[0].file_id",
        UNSUPPORTED,
    ),
    "file file_id": (
        {"input": [said("user", {"type": "input_file", "file_id": "f"})]},
        "input[0].content[0].file_id",
        UNSUPPORTED,
    ),
    "file_url of another scheme": (
        {"input": [said("user", {"type": "input_file", "file_url": "file:///etc/passwd"})]},
        "input[0].content[0].file_url",
        "invalid_file_url",
    ),
    "file_url empty": (
        {"input": [said("user", {"type": "input_file", "file_url": ""})]},
        "input[0].content[0].file_url",
        MISSING,
    ),
    "file_url of the system": (
        {"input": [said("system", {"type": "input_file", "file_url": "https://x.test/a"})]},
        "input[0].content[0].file_url",
        UNSUPPORTED,
    ),
    "unknown part": (
        {"input": [said("user", {"type": "hologram"})]},
        "input[0].content[0].type",
        VALUE,
    ),
    "tool without a name": ({"tools": [{"type": "function"}]}, "tools[0].name", MISSING),
    "choice word": ({"tool_choice": "perhaps"}, "tool_choice", VALUE),
    "no tools": ({"tool_choice": "required"}, "tool_choice", VALUE),
    "unknown tool": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "ghost"}},
        "tool_choice.name",
        VALUE,
    ),
    "tool of another namespace": (
        {
            "tools": [FILES],
            "tool_choice": {"type": "function", "name": "read", "namespace": "other"},
        },
        "tool_choice.name",
        VALUE,
    ),
    "hosted tool chosen": (
        {"tools": [WEATHER], "tool_choice": {"type": "web_search_preview"}},
        "tool_choice.type",
        UNSUPPORTED,
    ),
    "mcp chosen": (
        {"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "x"}},
        "tool_choice.type",
        UNSUPPORTED,
    ),
    "only hosted tools allowed and one required": (
        {
            "tools": [WEATHER],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "image_generation"}],
            },
        },
        "tool_choice.tools",
        VALUE,
    ),
}


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_refused_by_its_path(
    fields: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settled(parse(**fields))

    assert (caught.value.param, caught.value.code, caught.value.status) == (param, code, 400)


@pytest.mark.parametrize("body", [None, [], "x"])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequest):
        RESPONSES.parse(body, READING)


def test_compaction_is_named_as_left_out() -> None:
    assert parse(context_management=[{"type": "compaction"}]).ignored == ("context_management",)


def test_the_rest_of_the_call_is_read() -> None:
    call = parse(stream=True, user="u" * 70, parallel_tool_calls=False)

    assert call.stream
    assert call.end_user == "u" * 64
    assert isinstance(call.request, ChatRequest)
    assert not call.request.parallel_tool_calls
    assert call.request.media_param == "input"
    assert not call.stop_here
    assert call.default_think is None


# --- what the answer repeats ------------------------------------------------------------------


def test_request_values_are_echoed_in_their_final_form() -> None:
    read = echo(
        instructions="be kind",
        max_output_tokens=9,
        max_tool_calls=3,
        parallel_tool_calls=False,
        previous_response_id="resp_1",
        prompt_cache_key="k",
        reasoning={"effort": "low", "generate_summary": "auto"},
        safety_identifier="s",
        store=False,
        temperature="0.5",
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        tool_choice={"type": "function", "name": "get_weather"},
        tools=[WEATHER, {"type": "web_search"}],
        top_logprobs=2,
        top_p=0.9,
        truncation="auto",
        user="u",
        metadata={"a": "b", "timeout_ms": 5000, "flag": True},
    )

    assert read.previous_id == "resp_1"
    assert dict(read.fields) == {
        "instructions": "be kind",
        "max_output_tokens": 9,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "previous_response_id": "resp_1",
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "s",
        "store": False,
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "get_weather"},
        "tools": [WEATHER],
        "top_logprobs": 2,
        "top_p": 0.9,
        "truncation": "auto",
        "user": "u",
        "metadata": {"a": "b", "timeout_ms": "5000", "flag": "true"},
    }


@pytest.mark.parametrize(
    ("stored_here", "asked", "stored"),
    [(True, ..., True), (True, True, True), (True, False, False), (False, True, False)],
)
def test_responses_are_stored_unless_caller_or_admin_say_no(
    stored_here: bool, asked: Any, stored: bool
) -> None:
    read = echo(RuntimeSettings(responses_store=stored_here), store=asked)

    assert read.store is stored
    assert read.fields["store"] is stored


@pytest.mark.parametrize(
    ("include", "encrypted"), [(["reasoning.encrypted_content"], True), ([], False), (None, False)]
)
def test_reasoning_is_sealed_when_asked(include: Any, encrypted: bool) -> None:
    assert echo(include=include).encrypted is encrypted


@pytest.mark.parametrize(
    ("declared", "echoed"),
    [
        (WEATHER, WEATHER),
        ({"name": "f"}, {"name": "f", "type": "function"}),
        (
            {"type": "function", "function": {"name": "f", "parameters": {}}},
            {"type": "function", "name": "f", "parameters": {}},
        ),
        ({"type": "custom", "custom": {"name": "f"}}, {"type": "custom", "name": "f"}),
        (FILES, FILES),
    ],
)
def test_tools_are_echoed_flat(declared: Any, echoed: Any) -> None:
    assert echo(tools=[declared]).fields["tools"] == [echoed]


# --- items, 2.6.2 -----------------------------------------------------------------------------

CALL = ToolCall("call_1", "get_weather", {"city": "Paris"})
FUNCTION_CALL = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": '{"city":"Paris"}',
}


def output(value: Any, type: str = "function_call_output") -> dict[str, Any]:
    return {"type": type, "call_id": "call_1", "output": value}


def told(content: str, name: str = "get_weather", **more: Any) -> Message:
    return Message("tool", content, tool_call_id="call_1", tool_name=name, **more)


ITEMS: dict[str, Any] = {
    "message without a type": ([{"role": "user", "content": "hi"}], [Message("user", "hi")]),
    "role in capitals": ([said("USER", text("hi"))], [Message("user", "hi")]),
    "input_image": (
        [said("user", {"type": "input_image", "image_url": PNG_URL, "detail": "low"})],
        [Message("user", media=(Media("image", PNG, param="input[0].content[0].image_url"),))],
    ),
    "input_file": (
        [said("user", {"type": "input_file", "file_data": TEXT_URL, "filename": "n.txt"})],
        [Message("user", "n.txt\nhello")],
    ),
    "phase, status, id": (
        [
            said("user", text("a"), id="msg_u", status="completed"),
            said("assistant", text("b", "output_text"), phase="commentary", id="msg_a"),
            said("user", text("c")),
        ],
        [Message("user", "a"), Message("assistant", "b"), Message("user", "c")],
    ),
    "one turn is one message": (
        [
            {"type": "reasoning", "summary": [text("hm", "summary_text")]},
            said("assistant", text("I look", "output_text")),
            FUNCTION_CALL,
            {**FUNCTION_CALL, "call_id": "call_2"},
            output("sunny"),
        ],
        [
            Message("assistant", "I look", "hm", tool_calls=(CALL, replace(CALL, id="call_2"))),
            told("sunny"),
        ],
    ),
    "several messages of one turn": (
        [
            said("assistant", text("a", "output_text"), text("b", "output_text")),
            said("assistant", text("c", "output_text")),
            said("assistant"),
            {"role": "assistant", "content": None},
            said("user", text("go on")),
        ],
        [Message("assistant", "ab\nc"), Message("user", "go on")],
    ),
    "reasoning: ours, content, summary": (
        [
            {
                "type": "reasoning",
                "encrypted_content": seal("sealed"),
                "content": [text("content", "reasoning_text")],
                "summary": [text("summary", "summary_text")],
            },
            {
                "type": "reasoning",
                "encrypted_content": "gAAAAforeign",
                "content": [text("content", "reasoning_text")],
                "summary": [text("summary", "summary_text")],
            },
            {
                "type": "reasoning",
                "content": None,
                "summary": [text("one", "summary_text"), text("two", "summary_text")],
            },
            {"type": "reasoning", "summary": []},
            FUNCTION_CALL,
            output("x"),
        ],
        [Message("assistant", "", "sealed\ncontent\none\ntwo", tool_calls=(CALL,)), told("x")],
    ),
    "reasoning that led to nothing": (
        [{"type": "reasoning", "summary": [text("lost", "summary_text")]}, said("user", text("a"))],
        [Message("user", "a")],
    ),
    "reasoning inside a message": (
        [
            said("assistant", {"type": "reasoning", "text": "hm"}, text("a")),
            said("user", text("b")),
        ],
        [Message("assistant", "a", "hm"), Message("user", "b")],
    ),
    "call in a namespace": (
        [{**FUNCTION_CALL, "name": "read", "namespace": "mcp__files"}, output("x")],
        [
            Message(
                "assistant", tool_calls=(ToolCall("call_1", "mcp__files__read", {"city": "Paris"}),)
            ),
            told("x", "mcp__files__read"),
        ],
    ),
    "custom tool call": (
        [
            {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "***"},
            output("done", "custom_tool_call_output"),
        ],
        [
            Message("assistant", tool_calls=(ToolCall("call_1", "patch", {"input": "***"}),)),
            told("done", "patch"),
        ],
    ),
    "output of parts": (
        [FUNCTION_CALL, output([text("a"), {"type": "input_image", "image_url": PNG_URL}])],
        [
            Message("assistant", tool_calls=(CALL,)),
            told("a", media=(Media("image", PNG, param="input[1].output[1].image_url"),)),
        ],
    ),
    "output an object": (
        [FUNCTION_CALL, output({"a": 1})],
        [Message("assistant", tool_calls=(CALL,)), told('{"a":1}')],
    ),
    "output null": (
        [FUNCTION_CALL, output(None)],
        [Message("assistant", tool_calls=(CALL,)), told("")],
    ),
    "output without its call": (
        [output("x"), said("user", text("a"))],
        [told("x", ""), Message("user", "a")],
    ),
    "mcp_call": (
        [
            {"type": "mcp_call", "id": "mcp_1", "name": "ask", "arguments": "{}", "output": "yes"},
            {"type": "mcp_call", "id": "mcp_2", "name": "ask", "arguments": "{}", "error": "no"},
        ],
        [
            Message("assistant", tool_calls=(ToolCall("mcp_1", "ask", {}),)),
            Message("tool", "yes", tool_call_id="mcp_1", tool_name="ask"),
            Message("assistant", tool_calls=(ToolCall("mcp_2", "ask", {}),)),
            Message("tool", "no", tool_call_id="mcp_2", tool_name="ask"),
        ],
    ),
    "local_shell_call": (
        [
            {"type": "local_shell_call", "call_id": "call_1", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "call_1", "output": "a.txt"},
        ],
        [
            Message(
                "assistant", tool_calls=(ToolCall("call_1", "local_shell", {"command": ["ls"]}),)
            ),
            told("a.txt", "local_shell"),
        ],
    ),
    "shell_call": (
        [
            {"type": "shell_call", "call_id": "call_1", "action": {"commands": ["ls"]}},
            output([{"stdout": "a", "stderr": ""}], "shell_call_output"),
        ],
        [
            Message("assistant", tool_calls=(ToolCall("call_1", "shell", {"commands": ["ls"]}),)),
            told('{"stdout":"a","stderr":""}', "shell"),
        ],
    ),
    "apply_patch_call": (
        [
            {"type": "apply_patch_call", "call_id": "call_1", "operation": {"path": "a"}},
            output("done", "apply_patch_call_output"),
        ],
        [
            Message("assistant", tool_calls=(ToolCall("call_1", "apply_patch", {"path": "a"}),)),
            told("done", "apply_patch"),
        ],
    ),
    "computer_call": (
        [
            {"type": "computer_call", "call_id": "call_1", "actions": [{"type": "click"}]},
            output({"type": "computer_screenshot", "image_url": PNG_URL}, "computer_call_output"),
        ],
        [
            Message(
                "assistant",
                tool_calls=(ToolCall("call_1", "computer", {"actions": [{"type": "click"}]}),),
            ),
            told(
                "", "computer", media=(Media("image", PNG, param="input[1].output[0].image_url"),)
            ),
        ],
    ),
    "item_reference": (
        [{"type": "item_reference", "id": "msg_2"}, said("user", text("sure?"))],
        [Message("assistant", "Paris."), Message("user", "sure?")],
    ),
    "item_reference without a type": (
        [{"id": "msg_2"}, said("user", text("sure?"))],
        [Message("assistant", "Paris."), Message("user", "sure?")],
    ),
    "empty list": ([], [Message("user", ".")]),
    "only tools": ([{"type": "additional_tools", "tools": []}], [Message("user", ".")]),
}


@pytest.mark.parametrize(("items", "expected"), ITEMS.values(), ids=ITEMS)
def test_items_become_messages(items: list[Any], expected: list[Message]) -> None:
    assert messages(*items) == expected


def test_an_empty_list_with_instructions_still_asks_something() -> None:
    assert messages(instructions="be kind") == [Message("system", "be kind"), Message("user", ".")]


def test_an_earlier_response_stands_in_front_and_its_instructions_do_not() -> None:
    read = messages(output("sunny"), previous_response_id="resp_1", instructions="be kind")

    assert read == [
        Message("system", "be kind"),
        Message("user", "weather?"),
        Message("assistant", "", "hm", tool_calls=(ToolCall("call_1", "get_weather", {}),)),
        told("sunny"),
    ]


@pytest.mark.parametrize("given", [..., None, "", []])
def test_an_earlier_response_can_be_continued_without_input(given: Any) -> None:
    read = request(input=given, previous_response_id="resp_2")

    assert read.messages == (Message("assistant", "Paris."),)


@pytest.mark.parametrize(("given", "truncate"), [(..., None), ("disabled", False), ("auto", True)])
def test_a_prompt_is_cut_only_where_that_was_asked_for(given: Any, truncate: Any) -> None:
    call = parse(truncation=given)

    assert call.default_truncate is False
    assert call.request.params.truncate is truncate
    assert call.format_param == "text.format"


def test_nothing_is_recalled_where_nothing_is_stored() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(RuntimeSettings(responses_store=False), previous_response_id="resp_1")

    assert caught.value.code == "previous_response_not_found"


def test_a_store_that_fails_is_not_taken_for_an_unknown_id() -> None:
    def fail(_: str) -> Sequence[Mapping[str, Any]]:
        raise Unavailable("The store is gone.")

    body = {"model": "m", "input": "hi", "previous_response_id": "resp_1"}
    with pytest.raises(Unavailable):
        RESPONSES.parse(body, replace(READING, recall=fail))


def test_items_can_change_tools_effort_and_format() -> None:
    read = request(
        input=[
            said("user", text("a")),
            {"type": "additional_tools", "role": "developer", "tools": [PATCH]},
            {"type": "configuration_update", "reasoning": {"effort": "high"}},
            {"type": "configuration_update", "text": {"format": {"type": "json_object"}}},
            {"type": "configuration_update"},
        ],
        tools=[WEATHER],
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low"},
    )

    assert [tool.name for tool in read.tools] == ["get_weather", "apply_patch"]
    assert read.params.think == "high"
    assert read.params.format == "json"


def test_a_configuration_stands_where_the_request_said_nothing() -> None:
    read = request(
        input=[
            {
                "type": "configuration_update",
                "reasoning": {"effort": "none"},
                "text": {"format": {"type": "json_object"}},
            }
        ]
    )

    assert read.params.think is False
    assert read.params.format == "json"


def test_too_many_items_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 1"):
        parse(RuntimeSettings(max_messages=1), input=[said("user", text("a"))] * 2)


# --- stored form ------------------------------------------------------------------------------

STORED_FORMS: dict[str, Any] = {
    "a string": (
        "hi",
        {"type": "message", "role": "user", "status": "completed", "content": [text("hi")]},
    ),
    "a message with string content": (
        [{"role": "Assistant", "content": "yes", "id": "msg_9"}],
        {
            "id": "msg_9",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "yes", "annotations": []}],
        },
    ),
    "parts get the vendor's names": (
        [said("user", text("a", "text"), "b", text("c"), status="in_progress")],
        {
            "type": "message",
            "role": "user",
            "status": "in_progress",
            "content": [text("a"), text("b"), text("c")],
        },
    ),
    "no content": (
        [{"role": "assistant", "content": None}],
        {"type": "message", "role": "assistant", "status": "completed", "content": []},
    ),
    "other items as they are": ([FUNCTION_CALL], FUNCTION_CALL),
    "reference": ([{"id": "msg_2"}], STORED["resp_2"][0] | {"status": "completed"}),
}


@pytest.mark.parametrize(("given", "stored"), STORED_FORMS.values(), ids=STORED_FORMS)
def test_input_is_kept_in_one_form(given: Any, stored: Any) -> None:
    assert echo(input=given).input_items == (stored,)


def test_recalled_items_are_not_kept_twice() -> None:
    assert len(echo(input="hi", previous_response_id="resp_1").input_items) == 1


# --- tools, 2.6.3 -----------------------------------------------------------------------------


def test_tools_are_offered_under_names_the_model_can_use() -> None:
    tools = request(tools=[WEATHER, PATCH, FILES]).tools

    assert [(t.name, t.kind, t.client_name, t.namespace) for t in tools] == [
        ("get_weather", "function", "", ""),
        ("apply_patch", "custom", "", ""),
        ("mcp__files__read", "function", "read", "mcp__files"),
        ("mcp__files__patch", "custom", "patch", "mcp__files"),
    ]


def test_long_names_are_shortened_the_same_way_each_time() -> None:
    namespace, first, second = "n" * 40, "t" * 40 + "1", "t" * 40 + "2"

    names = [flat_name(namespace, name) for name in (first, second, first)]

    assert names[0] == names[2] != names[1]
    assert [len(name) for name in names] == [64, 64, 64]
    assert flat_name("", "x" * 80) == "x" * 80


def test_hosted_tools_inside_a_namespace_are_named_too() -> None:
    group = {"type": "namespace", "name": "n", "tools": [{"type": "shell"}]}

    call = parse(tools=[group])

    assert isinstance(call.extra, Echo)
    assert call.ignored == ("tools[0].tools[0]:shell",)
    assert call.extra.fields["tools"] == []


def test_of_two_tools_of_one_name_the_first_is_kept() -> None:
    call = parse(tools=[WEATHER, {**WEATHER, "description": "other"}])

    assert call.ignored == ("tools[1]:get_weather",)
    assert isinstance(call.extra, Echo)
    assert call.extra.fields["tools"] == [WEATHER]


def test_too_many_tools_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 1"):
        parse(RuntimeSettings(max_tools=1), tools=[FILES])


CHOICES: dict[str, Any] = {
    "by the caller's name": (
        {"type": "function", "name": "read"},
        ToolChoice("required", ("mcp__files__read",)),
        4,
    ),
    "by namespace and name": (
        {"type": "function", "name": "read", "namespace": "mcp__files"},
        ToolChoice("required", ("mcp__files__read",)),
        4,
    ),
    "allowed_tools auto": (
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_weather"}, {"type": "web_search"}],
        },
        ToolChoice(),
        1,
    ),
    "allowed_tools required": (
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "get_weather"}, {"name": "apply_patch"}],
        },
        ToolChoice("required"),
        2,
    ),
    "only hosted tools allowed": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "image_generation"}]},
        ToolChoice(),
        0,
    ),
}


@pytest.mark.parametrize(("choice", "expected", "count"), CHOICES.values(), ids=CHOICES)
def test_a_tool_choice_is_read(choice: Any, expected: ToolChoice, count: int) -> None:
    read = request(tools=[WEATHER, PATCH, FILES], tool_choice=choice)

    assert read.tool_choice == expected
    assert len(read.tools) == count


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_harmless_choice_needs_no_tools(choice: str) -> None:
    assert request(tool_choice=choice).tools == ()
