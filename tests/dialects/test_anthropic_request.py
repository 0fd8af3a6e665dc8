"""Every field of a Messages request does what the contract says of it."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from gateway.core.chat import Call, ChatRequest, Media, Message, Tool, ToolCall, ToolChoice
from gateway.dialects.base import Reading
from gateway.dialects.messages.answer import OMIT_THINKING
from gateway.dialects.messages.dialect import MESSAGES
from gateway.errors import InvalidRequest
from gateway.schemas.settings import RuntimeSettings
from tests.dialects.making import settled

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
HELLO = base64.b64encode(b"hello").decode()
PDF = base64.b64encode(b"%PDF-1.7").decode()


def nobody(_: str) -> NoReturn:
    raise AssertionError("the Messages API recalls nothing")


READING = Reading(RuntimeSettings(), nobody, nobody)
HI = {"role": "user", "content": "hi"}
WEATHER = {"name": "get_weather", "description": "Weather", "input_schema": {"type": "object"}}
OBJECT = {"type": "object", "properties": {}}


def parse(behaviour: RuntimeSettings | None = None, **fields: Any) -> Call:
    body = {"model": "qwen3:8b", "messages": [HI], "max_tokens": 100, **fields}
    reading = READING if behaviour is None else replace(READING, behaviour=behaviour)
    return MESSAGES.parse({k: v for k, v in body.items() if v is not ...}, reading)


def request(behaviour: RuntimeSettings | None = None, **fields: Any) -> ChatRequest:
    read = parse(behaviour, **fields).request
    assert isinstance(read, ChatRequest)
    return read


def messages(
    *entries: Any, behaviour: RuntimeSettings | None = None, **fields: Any
) -> tuple[Any, ...]:
    return request(behaviour, messages=list(entries), **fields).messages


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def use(id: str = "toolu_1", name: str = "get_weather", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {"city": "Paris"}, **more}


def result(content: Any = "sunny", id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


# --- the field table, 4.1 ---------------------------------------------------------------------

OPTIONS: dict[str, Any] = {
    "max_tokens": ({"max_tokens": 64000}, {"num_predict": 64000}),
    "max_output_tokens": ({"max_tokens": ..., "max_output_tokens": 9}, {"num_predict": 9}),
    "max_tokens wins": ({"max_tokens": 8, "max_output_tokens": 9}, {"num_predict": 8}),
    "temperature, top_p, top_k": (
        {"max_tokens": ..., "temperature": "0.7", "top_p": 0.9, "top_k": 40},
        {"temperature": 0.7, "top_p": 0.9, "top_k": 40},
    ),
    "penalties": (
        {"max_tokens": ..., "presence_penalty": 1, "frequency_penalty": -1},
        {"presence_penalty": 1, "frequency_penalty": -1},
    ),
    "stop_sequences": (
        {"max_tokens": ..., "stop_sequences": ["</b>", " ", "\n", ""]},
        {"stop": ["</b>"]},
    ),
    "only white space": ({"max_tokens": ..., "stop_sequences": [" "]}, {}),
    "options and Ollama names at the root": (
        {"max_tokens": ..., "options": {"num_ctx": 4096}, "min_p": 0.1},
        {"num_ctx": 4096, "min_p": 0.1},
    ),
    "only known keys of extra_body": (
        {"max_tokens": ..., "extra_body": {"num_ctx": 4096, "colour": "red"}},
        {"num_ctx": 4096},
    ),
}


@pytest.mark.parametrize(("fields", "options"), OPTIONS.values(), ids=OPTIONS)
def test_fields_become_options(fields: dict[str, Any], options: dict[str, Any]) -> None:
    assert dict(request(**fields).params.options) == options


MISSING = "missing_required_parameter"
TYPE, VALUE, UNSUPPORTED = "invalid_type", "invalid_value", "unsupported_value"
REFUSED: dict[str, Any] = {
    "no model": ({"model": ...}, "model", MISSING),
    "model of the wrong type": ({"model": 5}, "model", TYPE),
    "no messages": ({"messages": ...}, "messages", MISSING),
    "empty messages": ({"messages": []}, "messages", MISSING),
    "messages a string": ({"messages": "hi"}, "messages", TYPE),
    "max_tokens 0": ({"max_tokens": 0}, "max_tokens", VALUE),
    "max_tokens negative": ({"max_tokens": -1}, "max_tokens", VALUE),
    "mcp_servers": ({"mcp_servers": [{"url": "x"}]}, "mcp_servers", "unsupported_parameter"),
    "thread": ({"thread": {"type": "create"}}, "thread", "thread_unsupported_request"),
    "thinking a number": ({"thinking": 5}, "thinking", TYPE),
    "system a number": ({"system": 5}, "system", TYPE),
    "system image": ({"system": [{"type": "image"}]}, "system[0].type", VALUE),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", VALUE),
    "no role": ({"messages": [{"content": "x"}]}, "messages[0].role", MISSING),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", MISSING),
    "block without a type": (
        {"messages": [user({"text": "x"})]},
        "messages[0].content[0].type",
        MISSING,
    ),
    "format without a schema": (
        {"output_config": {"format": {"type": "json_schema"}}},
        "output_config.format.schema",
        MISSING,
    ),
    "unknown format": (
        {"output_config": {"format": {"type": "yaml"}}},
        "output_config.format.type",
        VALUE,
    ),
    "stream": ({"stream": "perhaps"}, "stream", TYPE),
    "tool without a name": ({"tools": [{"input_schema": {}}]}, "tools[0].name", MISSING),
    "computer tool": (
        {"tools": [{"type": "computer_20250124", "name": "computer"}]},
        "tools[0].type",
        UNSUPPORTED,
    ),
    "browser tool": (
        {"tools": [{"type": "browser_toolset_20260801", "name": "b"}]},
        "tools[0].type",
        UNSUPPORTED,
    ),
    "unknown tool forced": (
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "ghost"}},
        "tool_choice.name",
        VALUE,
    ),
    "hosted tool forced": (
        {
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "tool", "name": "web_search"},
        },
        "tool_choice.name",
        UNSUPPORTED,
    ),
    "any without tools": ({"tool_choice": {"type": "any"}}, "tool_choice", VALUE),
}


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_refused_by_its_path(
    fields: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)

    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.anthropic_type == "invalid_request_error"


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequest):
        MESSAGES.parse(body, READING)


def test_the_rest_of_the_call_is_read() -> None:
    call = parse(
        stream=True,
        metadata={"user_id": "u" * 70 + "\n", "timeout_ms": 5000},
        keep_alive="300",
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        exclude_reasoning=True,
    )

    assert call.stream
    assert call.model == "qwen3:8b"
    assert call.end_user == "u" * 64
    assert call.stop_here
    request = call.request
    assert isinstance(request, ChatRequest)
    assert not request.parallel_tool_calls
    assert request.params.timeout_ms == 5000
    assert request.params.keep_alive == 300
    assert request.params.hide_thinking is True


def test_counting_reads_the_same_body_without_max_tokens() -> None:
    call = MESSAGES.parse({"model": "m", "messages": [HI]}, READING)

    assert call.request == ChatRequest("m", (Message("user", "hi"),))


# --- formats ----------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}}
INLINED = {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize(
    ("fields", "format"),
    [
        pytest.param(
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            INLINED,
            id="output_config.format",
        ),
        pytest.param(
            {"output_format": {"type": "json_schema", "schema": SCHEMA}},
            INLINED,
            id="output_format",
        ),
        pytest.param({"response_format": "json"}, "json", id="response_format json"),
        pytest.param({"response_format": "json_object"}, "json", id="response_format json_object"),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            INLINED,
            id="response_format json_schema",
        ),
        pytest.param({"response_format": {"type": "text"}}, None, id="response_format text"),
        pytest.param({"format": "json"}, "json", id="format"),
        pytest.param({}, None, id="none"),
    ],
)
def test_a_format_is_read_wherever_it_stands(fields: dict[str, Any], format: Any) -> None:
    assert request(**fields).params.format == format


# --- thinking, 4.6 ----------------------------------------------------------------------------

THINKING: dict[str, Any] = {
    "enabled": ({"thinking": {"type": "enabled", "budget_tokens": 9}}, True, ""),
    "a budget alone": ({"thinking": {"budget_tokens": 9}}, True, ""),
    "enabled with effort": (
        {"thinking": {"type": "enabled"}, "output_config": {"effort": "low"}},
        "low",
        "low",
    ),
    "between_tools": ({"thinking": {"type": "between_tools"}}, True, ""),
    "between_tools with effort": (
        {"thinking": {"type": "between_tools"}, "output_config": {"effort": "xhigh"}},
        "max",
        "xhigh",
    ),
    "disabled": (
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
        False,
        "",
    ),
    "effort alone": ({"output_config": {"effort": "medium"}}, "medium", "medium"),
    "effort null": ({"output_config": {"effort": None}}, None, ""),
    "minimal": ({"output_config": {"effort": "minimal"}}, False, "minimal"),
    "thinking false": ({"thinking": False}, False, ""),
    "thinking high": ({"thinking": "high"}, "high", "high"),
    "root think wins": ({"think": "low", "thinking": {"type": "disabled"}}, "low", "low"),
    "reasoning_effort": ({"reasoning_effort": "high"}, "high", "high"),
    "absent": ({}, None, ""),
}


@pytest.mark.parametrize(("fields", "think", "effort"), THINKING.values(), ids=THINKING)
def test_thinking_is_asked_for_in_many_words(
    fields: dict[str, Any], think: Any, effort: str
) -> None:
    params = request(**fields).params

    assert params.think == think
    assert params.effort == effort


@pytest.mark.parametrize(("setting", "default"), [("false", False), ("true", True), ("none", None)])
def test_absent_thinking_means_what_the_setting_says(setting: Any, default: Any) -> None:
    assert parse(RuntimeSettings(anthropic_default_think=setting)).default_think is default


@pytest.mark.parametrize(
    ("thinking", "omitted"),
    [
        ({"type": "enabled", "display": "omitted"}, True),
        ({"type": "adaptive", "display": "summarized"}, False),
        ({"type": "enabled"}, False),
        (None, False),
        (True, False),
    ],
)
def test_thinking_may_be_shown_empty(thinking: Any, omitted: bool) -> None:
    assert parse(thinking=thinking).extra == (OMIT_THINKING if omitted else None)


# --- system, 4.2 ------------------------------------------------------------------------------

BILLING = "x-anthropic-billing-header: cc_version=2.1; cch=a1b2c;"


@pytest.mark.parametrize(
    ("system", "prompt"),
    [
        pytest.param("be kind", "be kind", id="string"),
        pytest.param([text("a"), text(""), text("b")], "a\n\nb", id="blocks"),
        pytest.param(
            [{**text("a"), "cache_control": {"type": "ephemeral"}}], "a", id="cache_control"
        ),
        pytest.param([text(BILLING), text("b")], "b", id="attribution block"),
        pytest.param(f"{BILLING}\n\nb", "b", id="attribution line of a string"),
        pytest.param([text(f" {BILLING}")], f" {BILLING}", id="not at the beginning"),
        pytest.param(
            [text("a"), {"type": "tool_addition", "tool": {}}], "a", id="tool change left out"
        ),
    ],
)
def test_the_system_prompt_is_one_message(system: Any, prompt: str) -> None:
    assert messages(HI, system=system) == (Message("system", prompt), Message("user", "hi"))


@pytest.mark.parametrize("system", [None, "", [], [text("")], [text(BILLING)]])
def test_an_empty_system_prompt_is_none(system: Any) -> None:
    assert messages(HI, system=system) == (Message("user", "hi"),)


def test_the_attribution_stays_when_the_setting_says_so() -> None:
    keep = RuntimeSettings(strip_attribution_header=False)

    assert messages(HI, system=[text(BILLING)], behaviour=keep)[0] == Message("system", BILLING)


def test_tool_changes_in_a_system_message_are_named() -> None:
    call = parse(system=[text("a"), {"type": "tool_removal", "tool": {}}])

    assert call.ignored == ("system[1]:tool_removal",)


NOTE = "<system-reminder>\n900 tokens left\n</system-reminder>"
LATE = {"role": "system", "content": "900 tokens left"}
SYSTEMS: dict[str, Any] = {
    "leading": ([LATE, HI], [Message("system", "900 tokens left"), Message("user", "hi")]),
    "later": ([HI, LATE], [Message("user", "hi"), Message("system", "900 tokens left")]),
    "nothing left of it": (
        [HI, {"role": "system", "content": [text(BILLING)]}],
        [Message("user", "hi")],
    ),
    "without content": (
        [HI, {"role": "system", "output_config": {"effort": "low"}}],
        [Message("user", "hi")],
    ),
}


@pytest.mark.parametrize(("entries", "expected"), SYSTEMS.values(), ids=SYSTEMS)
def test_system_messages_stay_where_they_are(entries: list[Any], expected: list[Message]) -> None:
    assert list(messages(*entries)) == expected


# --- blocks, 4.2 ------------------------------------------------------------------------------

CALL = ToolCall("toolu_1", "get_weather", {"city": "Paris"})
PICTURE = Media("image", data=PNG, param="messages[0].content[0].source.data")
USER_BLOCKS: dict[str, Any] = {
    "texts": ([text("a"), text(""), text("b")], "a\nb", ()),
    "citations": ([{**text("a"), "citations": []}], "a", ()),
    "image base64": (
        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
        "",
        (PICTURE,),
    ),
    "image url": (
        [{"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}],
        "",
        (Media("image", url="https://x.test/a.png", param="messages[0].content[0].source.url"),),
    ),
    "OpenAI image_url": (
        [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
        "",
        (Media("image", data=PNG, param="messages[0].content[0].image_url"),),
    ),
    "input_image": (
        [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}],
        "",
        (Media("image", data=PNG, param="messages[0].content[0].image_url"),),
    ),
    "document text": (
        [
            {
                "type": "document",
                "title": "T",
                "context": "C",
                "source": {"type": "text", "media_type": "text/plain", "data": "body"},
            }
        ],
        "T C\nbody",
        (),
    ),
    "document without a title": (
        [{"type": "document", "source": {"type": "text", "data": "body"}}],
        "body",
        (),
    ),
    "document content string": (
        [{"type": "document", "title": "T", "source": {"type": "content", "content": "c"}}],
        "T\nc",
        (),
    ),
    "document content blocks": (
        [{"type": "document", "source": {"type": "content", "content": [text("a"), text("b")]}}],
        "a\nb",
        (),
    ),
    "document base64 text": (
        [
            {
                "type": "document",
                "title": "n.txt",
                "source": {"type": "base64", "media_type": "text/plain", "data": HELLO},
            }
        ],
        "n.txt\nhello",
        (),
    ),
    "document that is a picture": (
        [{"type": "document", "source": {"type": "base64", "data": PNG}}],
        "",
        (PICTURE,),
    ),
    "search_result": (
        [
            {
                "type": "search_result",
                "title": "T",
                "source": "https://x.test",
                "content": [text("a"), text("b")],
            }
        ],
        "T\nhttps://x.test\na\nb",
        (),
    ),
}


@pytest.mark.parametrize(("blocks", "said", "media"), USER_BLOCKS.values(), ids=USER_BLOCKS)
def test_user_blocks_become_text_and_media(
    blocks: list[Any], said: str, media: tuple[Media, ...]
) -> None:
    assert messages(user(*blocks)) == (Message("user", said, media=media),)


def document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source}


BLOCKS_REFUSED: dict[str, Any] = {
    "image file": (
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        "source.file_id",
        "unsupported_value",
    ),
    "image not base64": (
        {"type": "image", "source": {"type": "base64", "data": "!"}},
        "source.data",
        "invalid_base64_image",
    ),
    "PDF": (
        document(type="base64", media_type="application/pdf", data=PDF),
        "source.data",
        "unsupported_value",
    ),
    "PDF by URL": (
        document(type="url", url="https://x.test/a.pdf"),
        "source.type",
        "unsupported_value",
    ),
    "document file": (document(type="file", file_id="f"), "source.type", "unsupported_value"),
    "odd source": (document(type="odd"), "source.type", "invalid_value"),
    "odd block in a document": (
        document(type="content", content=[{"type": "tool_use"}]),
        "source.content[0].type",
        "invalid_value",
    ),
    "document without source": ({"type": "document"}, "source", "missing_required_parameter"),
}


@pytest.mark.parametrize(("block", "where", "code"), BLOCKS_REFUSED.values(), ids=BLOCKS_REFUSED)
def test_blocks_that_cannot_be_read_are_refused(
    block: dict[str, Any], where: str, code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settled(parse(messages=[user(block)]))

    assert caught.value.param == f"messages[0].content[0].{where}"
    assert caught.value.code == code


def test_tool_results_come_before_the_rest_of_a_user_message() -> None:
    read = messages(
        HI,
        assistant(use(), use("toolu_2", "get_time")),
        user(text("now?"), result(), result("noon", "toolu_2")),
    )

    assert read[2:] == (
        Message("tool", "sunny", tool_call_id="toolu_1", tool_name="get_weather"),
        Message("tool", "noon", tool_call_id="toolu_2", tool_name="get_time"),
        Message("user", "now?"),
    )


def test_the_last_call_of_an_id_names_its_result() -> None:
    read = messages(
        HI, assistant(use(name="old")), user(result()), assistant(use(name="new")), user(result())
    )

    assert [m.tool_name for m in read if m.role == "tool"] == ["old", "new"]


RESULTS: dict[str, Any] = {
    "string": (result("sunny"), "sunny", []),
    "text that looks like JSON": (result('{"not json'), '{"not json', []),
    "texts": (result([text("a"), text("b")]), "a\nb", []),
    "missing content": ({"type": "tool_result", "tool_use_id": "toolu_1"}, "", []),
    "null content": (result(None), "", []),
    "is_error": (result("no", is_error=True), "Error: no", []),
    "tool_reference": (result([{"type": "tool_reference", "tool_name": "grep"}]), "grep", []),
    "search_result": (
        result([{"type": "search_result", "title": "T", "source": "s", "content": []}]),
        "T\ns",
        [],
    ),
    "document text": (result([document(type="text", data="body")]), "body", []),
    "PDF": (
        result([document(type="base64", media_type="application/pdf", data=PDF)]),
        "[PDF document omitted by the gateway]",
        ["messages[0].content[0].content[0]:document"],
    ),
    "PDF by URL": (
        result([document(type="url", url="https://x.test/a.pdf")]),
        "[PDF document omitted by the gateway]",
        ["messages[0].content[0].content[0]:document"],
    ),
    "documents of no known kind": (
        result([document(type="odd"), {"type": "document"}]),
        "[document omitted by the gateway]\n[document omitted by the gateway]",
        [f"messages[0].content[0].content[{index}]:document" for index in (0, 1)],
    ),
    "others as JSON": (
        result([{"type": "browser_state", "tabs": [], "cache_control": {}}]),
        '{"type":"browser_state","tabs":[]}',
        [],
    ),
    "string in a list": (result(["plain"]), "plain", []),
    "number in a list": (result([5]), "5", []),
    "an object": (result({"a": 1}), '{"a":1}', []),
    "mcp_tool_result": (
        {"type": "mcp_tool_result", "tool_use_id": "toolu_1", "content": [text("ok")]},
        "ok",
        [],
    ),
    "web_search_tool_result": (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "toolu_1",
            "content": [
                {"type": "web_search_result", "title": "A", "url": "https://a.test"},
                {"type": "web_search_result", "url": "https://b.test", "encrypted_content": "x"},
            ],
        },
        "A: https://a.test\nhttps://b.test",
        [],
    ),
    "web search error": (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "toolu_1",
            "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
        },
        "Error: unavailable",
        [],
    ),
    "web_fetch_tool_result": (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "toolu_1",
            "content": {
                "type": "web_fetch_result",
                "url": "https://a.test",
                "content": {
                    "type": "document",
                    "title": "A",
                    "source": {"type": "text", "data": "page"},
                },
            },
        },
        "A: https://a.test\npage",
        [],
    ),
    "code_execution_tool_result": (
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "toolu_1",
            "content": {"type": "code_execution_result", "stdout": "1\n", "stderr": ""},
        },
        "1\n",
        [],
    ),
    "other vendor result": (
        {
            "type": "tool_search_tool_result",
            "tool_use_id": "toolu_1",
            "content": {"type": "found", "names": ["a"]},
        },
        '{"type":"found","names":["a"]}',
        [],
    ),
    "odd vendor result": (
        {"type": "web_search_tool_result", "tool_use_id": "toolu_1", "content": [None, 5]},
        "5",
        [],
    ),
}


@pytest.mark.parametrize(("block", "said", "ignored"), RESULTS.values(), ids=RESULTS)
def test_results_become_tool_messages(block: dict[str, Any], said: str, ignored: list[str]) -> None:
    call = parse(messages=[user(block)])

    assert isinstance(call.request, ChatRequest)
    (found,) = call.request.messages
    notes = [problem.note for problem in found.unreadable]
    assert "\n".join(filter(None, (found.content, *notes))) == said
    assert (found.role, found.tool_call_id) == ("tool", "toolu_1")
    assert [problem.path for problem in found.unreadable] == ignored


def test_images_in_a_result_stay_with_it() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": PNG}}

    (message,) = messages(user(result([text("see"), image])))

    assert message.content == "see"
    assert [medium.data for medium in message.media] == [PNG]


THINKING_BLOCK = {"type": "thinking", "thinking": "hm", "signature": "whatever"}
ASSISTANTS: dict[str, Any] = {
    "texts joined": ([text("a"), text("b")], [Message("assistant", "ab")]),
    "thinking, text, call": (
        [THINKING_BLOCK, text("a"), {**THINKING_BLOCK, "thinking": "ha"}, use()],
        [Message("assistant", "a", "hm\nha", tool_calls=(CALL,))],
    ),
    "redacted_thinking": (
        [{"type": "redacted_thinking", "data": "x"}, text("a")],
        [Message("assistant", "a")],
    ),
    "input as a string": (
        [use(input='{"city":"Paris"}')],
        [Message("assistant", tool_calls=(CALL,))],
    ),
    "input that is no JSON": (
        [use(input="not json")],
        [
            Message(
                "assistant",
                tool_calls=(ToolCall("toolu_1", "get_weather", {"raw_arguments": "not json"}),),
            )
        ],
    ),
    "server tool in the middle": (
        [
            text("look"),
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s1",
                "content": [{"title": "A", "url": "https://a.test"}],
            },
            text("found"),
        ],
        [
            Message(
                "assistant", "look", tool_calls=(ToolCall("s1", "web_search", {"query": "q"}),)
            ),
            Message("tool", "A: https://a.test", tool_call_id="s1", tool_name="web_search"),
            Message("assistant", "found"),
        ],
    ),
    "mcp call and result at the end": (
        [
            {"type": "mcp_tool_use", "id": "m1", "name": "ask", "server_name": "s", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "m1", "content": "ok"},
        ],
        [
            Message("assistant", tool_calls=(ToolCall("m1", "ask", {}),)),
            Message("tool", "ok", tool_call_id="m1", tool_name="ask"),
        ],
    ),
}


@pytest.mark.parametrize(("blocks", "expected"), ASSISTANTS.values(), ids=ASSISTANTS)
def test_assistant_blocks_become_one_message_or_as_many_as_needed(
    blocks: list[Any], expected: list[Message]
) -> None:
    assert list(messages(HI, assistant(*blocks)))[1:] == expected


@pytest.mark.parametrize(
    ("role", "kind"),
    [("user", "container_upload"), ("assistant", "compaction"), ("user", "thinking")],
)
def test_blocks_nobody_can_use_are_named(role: str, kind: str) -> None:
    call = parse(messages=[HI, {"role": role, "content": [{"type": kind}, text("x")]}])

    assert call.ignored == (f"messages[1].content[0]:{kind}",)


@pytest.mark.parametrize("content", ["", [], None, [text("")], [{"type": "redacted_thinking"}]])
def test_an_empty_assistant_turn_at_the_end_is_no_prefill(content: Any) -> None:
    assert messages(HI, {"role": "assistant", "content": content}) == (Message("user", "hi"),)


def test_an_empty_assistant_turn_in_the_middle_keeps_its_place() -> None:
    read = messages(HI, {"role": "assistant", "content": ""}, HI)

    assert [m.role for m in read] == ["user", "assistant", "user"]


def test_a_lonely_empty_turn_is_still_a_message() -> None:
    assert messages({"role": "assistant", "content": ""}) == (Message("assistant"),)


def test_empty_user_content_is_an_empty_message() -> None:
    assert messages({"role": "user", "content": ""}) == (Message("user"),)


def test_a_demand_for_a_tool_that_was_left_out_says_why() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}

    with pytest.raises(InvalidRequest, match="runs at its vendor") as caught:
        parse(tools=[search], tool_choice={"type": "tool", "name": "web_search"})

    assert (caught.value.param, caught.value.code) == ("tool_choice.name", "unsupported_value")


@pytest.mark.parametrize("kind", ["enabled", "adaptive", "auto", "between_tools", "sometimes"])
def test_any_word_but_one_asks_for_thinking(kind: str) -> None:
    assert request(thinking={"type": kind}).params.think is True
    assert request(thinking={"type": "disabled"}).params.think is False


def test_a_prompt_is_not_cut_in_silence() -> None:
    assert parse().default_truncate is False
    assert parse(truncate=True).request.params.truncate is True


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format"),
        ({"output_format": {"type": "text"}}, "output_format"),
        ({"response_format": "json"}, "response_format"),
        ({}, "response_format"),
    ],
)
def test_the_format_is_named_where_it_was_written(fields: dict[str, Any], param: str) -> None:
    assert parse(**fields).format_param == param


def test_too_many_messages_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 2"):
        parse(RuntimeSettings(max_messages=2), messages=[HI] * 3)


# --- tools, 4.3 -------------------------------------------------------------------------------

TOOLS: dict[str, Any] = {
    "type absent": (WEATHER, Tool("get_weather", "Weather", OBJECT)),
    "custom": ({**WEATHER, "type": "custom"}, Tool("get_weather", "Weather", OBJECT)),
    "OpenAI form": (
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        Tool("f", "", OBJECT),
    ),
    "extras": (
        {
            **WEATHER,
            "defer_loading": True,
            "cache_control": {},
            "strict": True,
            "input_examples": [],
            "allowed_callers": [],
            "eager_input_streaming": True,
        },
        Tool("get_weather", "Weather", OBJECT),
    ),
    "without a schema": ({"name": "f"}, Tool("f", "", OBJECT)),
}


@pytest.mark.parametrize(("declared", "tool"), TOOLS.values(), ids=TOOLS)
def test_tools_are_offered(declared: dict[str, Any], tool: Tool) -> None:
    assert request(tools=[declared]).tools == (tool,)


EDITOR = {"command", "path", "file_text", "old_str", "new_str", "insert_line", "insert_text"}
EDITOR |= {"view_range"}
OWN_TOOLS = {
    "bash_20250124": ("bash", {"command", "restart"}),
    "text_editor_20250728": ("str_replace_based_edit_tool", EDITOR),
    "memory_20250818": ("memory", EDITOR | {"old_path", "new_path"}),
}


@pytest.mark.parametrize("type", OWN_TOOLS)
def test_tools_the_caller_runs_get_their_published_parameters(type: str) -> None:
    name, parameters = OWN_TOOLS[type]
    (tool,) = request(tools=[{"type": type, "name": name}]).tools

    assert tool.name == name
    assert tool.description
    assert set(tool.parameters["properties"]) == parameters
    assert set(tool.parameters["required"]) <= parameters


def test_of_two_tools_of_one_name_the_first_is_kept() -> None:
    call = parse(tools=[WEATHER, {**WEATHER, "description": "other"}])

    assert isinstance(call.request, ChatRequest)
    assert [tool.description for tool in call.request.tools] == ["Weather"]
    assert call.ignored == ("tools[1]:get_weather",)


def test_too_many_tools_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 1"):
        parse(RuntimeSettings(max_tools=1), tools=[WEATHER, WEATHER])


CHOICES: dict[str, Any] = {
    "absent": (None, ToolChoice()),
    "auto": ({"type": "auto"}, ToolChoice()),
    "any": ({"type": "any"}, ToolChoice("required")),
    "none": ({"type": "none"}, ToolChoice("none")),
    "tool": ({"type": "tool", "name": "get_weather"}, ToolChoice("required", ("get_weather",))),
    "auto as a string": ("auto", ToolChoice()),
    "any as a string": ("any", ToolChoice("required")),
    "none as a string": ("none", ToolChoice("none")),
}


@pytest.mark.parametrize(("choice", "expected"), CHOICES.values(), ids=CHOICES)
def test_a_tool_choice_is_read(choice: Any, expected: ToolChoice) -> None:
    assert request(tools=[WEATHER], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "none"}, "auto"])
def test_a_harmless_choice_needs_no_tools(choice: Any) -> None:
    assert request(tool_choice=choice).tools == ()
