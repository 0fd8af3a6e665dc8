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

OPTIONS = [
    pytest.param({"max_tokens": 64000}, {"num_predict": 64000}, id="max_tokens"),
    pytest.param({"max_tokens": ...}, {}, id="max_tokens missing"),
    pytest.param({"max_tokens": None}, {}, id="max_tokens null"),
    pytest.param(
        {"max_tokens": ..., "max_output_tokens": 9}, {"num_predict": 9}, id="max_output_tokens"
    ),
    pytest.param(
        {"max_tokens": 8, "max_output_tokens": 9}, {"num_predict": 8}, id="max_tokens wins"
    ),
    pytest.param(
        {"max_tokens": ..., "temperature": "0.7", "top_p": 0.9, "top_k": 40},
        {"temperature": 0.7, "top_p": 0.9, "top_k": 40},
        id="temperature, top_p, top_k",
    ),
    pytest.param(
        {"max_tokens": ..., "presence_penalty": 1, "frequency_penalty": -1},
        {"presence_penalty": 1, "frequency_penalty": -1},
        id="penalties",
    ),
    pytest.param(
        {"max_tokens": ..., "stop_sequences": ["</b>", " ", "\n", ""]},
        {"stop": ["</b>"]},
        id="stop_sequences",
    ),
    pytest.param({"max_tokens": ..., "stop_sequences": [" "]}, {}, id="only white space"),
    pytest.param(
        {"max_tokens": ..., "options": {"num_ctx": 4096}, "min_p": 0.1},
        {"num_ctx": 4096, "min_p": 0.1},
        id="options and Ollama names at the root",
    ),
    pytest.param(
        {"max_tokens": ..., "extra_body": {"num_ctx": 4096, "colour": "red"}},
        {"num_ctx": 4096},
        id="only known keys of extra_body",
    ),
    pytest.param({"max_tokens": ...}, {}, id="nothing sent, nothing set"),
]


@pytest.mark.parametrize(("fields", "options"), OPTIONS)
def test_fields_become_options(fields: dict[str, Any], options: dict[str, Any]) -> None:
    assert dict(request(**fields).params.options) == options


REFUSED = [
    pytest.param({"model": ...}, "model", "missing_required_parameter", id="no model"),
    pytest.param({"model": 5}, "model", "invalid_type", id="model of the wrong type"),
    pytest.param({"messages": ...}, "messages", "missing_required_parameter", id="no messages"),
    pytest.param({"messages": []}, "messages", "missing_required_parameter", id="empty messages"),
    pytest.param({"messages": "hi"}, "messages", "invalid_type", id="messages a string"),
    pytest.param({"max_tokens": 0}, "max_tokens", "invalid_value", id="max_tokens 0"),
    pytest.param({"max_tokens": -1}, "max_tokens", "invalid_value", id="max_tokens negative"),
    pytest.param(
        {"mcp_servers": [{"url": "x"}]}, "mcp_servers", "unsupported_parameter", id="mcp_servers"
    ),
    pytest.param(
        {"thread": {"type": "create"}}, "thread", "thread_unsupported_request", id="thread"
    ),
    pytest.param({"thinking": 5}, "thinking", "invalid_type", id="thinking a number"),
    pytest.param({"system": 5}, "system", "invalid_type", id="system a number"),
    pytest.param(
        {"system": [{"type": "image"}]}, "system[0].type", "invalid_value", id="system image"
    ),
    pytest.param(
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages[0].role",
        "invalid_value",
        id="unknown role",
    ),
    pytest.param(
        {"messages": [{"content": "x"}]},
        "messages[0].role",
        "missing_required_parameter",
        id="no role",
    ),
    pytest.param(
        {"messages": [{"role": "user"}]},
        "messages[0].content",
        "missing_required_parameter",
        id="no content",
    ),
    pytest.param(
        {"messages": [user({"text": "x"})]},
        "messages[0].content[0].type",
        "missing_required_parameter",
        id="block without a type",
    ),
    pytest.param(
        {"output_config": {"format": {"type": "json_schema"}}},
        "output_config.format.schema",
        "missing_required_parameter",
        id="format without a schema",
    ),
    pytest.param(
        {"output_config": {"format": {"type": "yaml"}}},
        "output_config.format.type",
        "invalid_value",
        id="unknown format",
    ),
    pytest.param({"stream": "perhaps"}, "stream", "invalid_type", id="stream"),
    pytest.param(
        {"tools": [{"input_schema": {}}]},
        "tools[0].name",
        "missing_required_parameter",
        id="tool without a name",
    ),
    pytest.param(
        {"tools": [{"type": "computer_20250124", "name": "computer"}]},
        "tools[0].type",
        "unsupported_value",
        id="computer tool",
    ),
    pytest.param(
        {"tools": [{"type": "browser_toolset_20260801", "name": "b"}]},
        "tools[0].type",
        "unsupported_value",
        id="browser tool",
    ),
    pytest.param(
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "ghost"}},
        "tool_choice.name",
        "invalid_value",
        id="unknown tool forced",
    ),
    pytest.param(
        {
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "tool", "name": "web_search"},
        },
        "tool_choice.name",
        "unsupported_value",
        id="hosted tool forced",
    ),
    pytest.param(
        {"tool_choice": {"type": "any"}}, "tool_choice", "invalid_value", id="any without tools"
    ),
]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED)
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


@pytest.mark.parametrize(
    "fields",
    [
        {"cache_control": {"type": "ephemeral"}},
        {"service_tier": "auto"},
        {"speed": "fast"},
        {"inference_geo": "eu"},
        {"user_profile_id": "u"},
        {"workspace_id": "w"},
        {"diagnostics": {}},
        {"billing_policy": {}},
        {"fallbacks": []},
        {"fallback_credit_token": "x"},
        {"output_config": {"task_budget": {"type": "tokens"}}},
        {"betas": ["x"]},
        {"mcp_servers": []},
        {"chat_id": "unknown"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_without_effect_change_nothing(fields: dict[str, Any]) -> None:
    with_it, without = parse(**fields), parse()

    assert replace(with_it, body={}) == replace(without, body={})


@pytest.mark.parametrize("name", ["container", "context_management", "compaction"])
def test_fields_that_would_matter_are_named(name: str) -> None:
    assert parse(**{name: {"edits": []}}).ignored == (name,)


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

THINKING = [
    pytest.param({"thinking": {"type": "enabled", "budget_tokens": 9}}, True, "", id="enabled"),
    pytest.param({"thinking": {"budget_tokens": 9}}, True, "", id="a budget alone"),
    pytest.param(
        {"thinking": {"type": "enabled"}, "output_config": {"effort": "low"}},
        "low",
        "low",
        id="enabled with effort",
    ),
    pytest.param({"thinking": {"type": "adaptive"}}, True, "", id="adaptive"),
    pytest.param({"thinking": {"type": "between_tools"}}, True, "", id="between_tools"),
    pytest.param(
        {"thinking": {"type": "between_tools"}, "output_config": {"effort": "xhigh"}},
        "max",
        "xhigh",
        id="between_tools with effort",
    ),
    pytest.param(
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
        False,
        "",
        id="disabled",
    ),
    pytest.param({"output_config": {"effort": "medium"}}, "medium", "medium", id="effort alone"),
    pytest.param({"output_config": {"effort": None}}, None, "", id="effort null"),
    pytest.param({"output_config": {"effort": "minimal"}}, False, "minimal", id="minimal"),
    pytest.param({"thinking": True}, True, "", id="thinking true"),
    pytest.param({"thinking": False}, False, "", id="thinking false"),
    pytest.param({"thinking": "high"}, "high", "high", id="thinking high"),
    pytest.param(
        {"think": "low", "thinking": {"type": "disabled"}}, "low", "low", id="root think wins"
    ),
    pytest.param({"think": False}, False, "", id="root think false"),
    pytest.param({"reasoning_effort": "high"}, "high", "high", id="reasoning_effort"),
    pytest.param({}, None, "", id="absent"),
]


@pytest.mark.parametrize(("fields", "think", "effort"), THINKING)
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


def test_the_upstream_prompt_is_the_same_with_and_without_attribution() -> None:
    plain = request(system=[text("be kind")])
    first = request(system=[text(BILLING), text("be kind")])
    second = request(system=[text(BILLING.replace("a1b2c", "d3e4f")), text("be kind")])

    assert plain == first == second


def test_tool_changes_in_a_system_message_are_named() -> None:
    call = parse(system=[text("a"), {"type": "tool_removal", "tool": {}}])

    assert call.ignored == ("system[1]:tool_removal",)


NOTE = "<system-reminder>\n900 tokens left\n</system-reminder>"
LATE = {"role": "system", "content": "900 tokens left"}
SYSTEMS = [
    pytest.param(
        [LATE, HI], [Message("system", "900 tokens left"), Message("user", "hi")], id="leading"
    ),
    pytest.param(
        [HI, LATE], [Message("user", "hi"), Message("system", "900 tokens left")], id="later"
    ),
    pytest.param(
        [HI, {"role": "system", "content": [text(BILLING)]}],
        [Message("user", "hi")],
        id="nothing left of it",
    ),
    pytest.param(
        [HI, {"role": "system", "output_config": {"effort": "low"}}],
        [Message("user", "hi")],
        id="without content",
    ),
]


@pytest.mark.parametrize(("entries", "expected"), SYSTEMS)
def test_system_messages_stay_where_they_are(entries: list[Any], expected: list[Message]) -> None:
    assert list(messages(*entries)) == expected


# --- blocks, 4.2 ------------------------------------------------------------------------------

CALL = ToolCall("toolu_1", "get_weather", {"city": "Paris"})
PICTURE = Media("image", data=PNG, param="messages[0].content[0].source.data")
USER_BLOCKS = [
    pytest.param([text("a"), text(""), text("b")], "a\nb", (), id="texts"),
    pytest.param([{**text("a"), "citations": []}], "a", (), id="citations"),
    pytest.param(
        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
        "",
        (PICTURE,),
        id="image base64",
    ),
    pytest.param(
        [{"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}],
        "",
        (Media("image", url="https://x.test/a.png", param="messages[0].content[0].source.url"),),
        id="image url",
    ),
    pytest.param(
        [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
        "",
        (Media("image", data=PNG, param="messages[0].content[0].image_url"),),
        id="OpenAI image_url",
    ),
    pytest.param(
        [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}],
        "",
        (Media("image", data=PNG, param="messages[0].content[0].image_url"),),
        id="input_image",
    ),
    pytest.param(
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
        id="document text",
    ),
    pytest.param(
        [{"type": "document", "source": {"type": "text", "data": "body"}}],
        "body",
        (),
        id="document without a title",
    ),
    pytest.param(
        [{"type": "document", "title": "T", "source": {"type": "content", "content": "c"}}],
        "T\nc",
        (),
        id="document content string",
    ),
    pytest.param(
        [
            {
                "type": "document",
                "source": {"type": "content", "content": [text("a"), text("b")]},
            }
        ],
        "a\nb",
        (),
        id="document content blocks",
    ),
    pytest.param(
        [
            {
                "type": "document",
                "title": "n.txt",
                "source": {"type": "base64", "media_type": "text/plain", "data": HELLO},
            }
        ],
        "n.txt\nhello",
        (),
        id="document base64 text",
    ),
    pytest.param(
        [{"type": "document", "source": {"type": "base64", "data": PNG}}],
        "",
        (PICTURE,),
        id="document that is a picture",
    ),
    pytest.param(
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
        id="search_result",
    ),
]


@pytest.mark.parametrize(("blocks", "said", "media"), USER_BLOCKS)
def test_user_blocks_become_text_and_media(
    blocks: list[Any], said: str, media: tuple[Media, ...]
) -> None:
    assert messages(user(*blocks)) == (Message("user", said, media=media),)


def document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source}


BLOCKS_REFUSED = [
    pytest.param(
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        "source.file_id",
        "unsupported_value",
        id="image file",
    ),
    pytest.param(
        {"type": "image", "source": {"type": "base64", "data": "!"}},
        "source.data",
        "invalid_base64_image",
        id="image not base64",
    ),
    pytest.param(
        document(type="base64", media_type="application/pdf", data=PDF),
        "source.data",
        "unsupported_value",
        id="PDF",
    ),
    pytest.param(
        document(type="url", url="https://x.test/a.pdf"),
        "source.type",
        "unsupported_value",
        id="PDF by URL",
    ),
    pytest.param(
        document(type="file", file_id="f"), "source.type", "unsupported_value", id="document file"
    ),
    pytest.param(document(type="odd"), "source.type", "invalid_value", id="odd source"),
    pytest.param(
        document(type="content", content=[{"type": "tool_use"}]),
        "source.content[0].type",
        "invalid_value",
        id="odd block in a document",
    ),
    pytest.param(
        {"type": "document"}, "source", "missing_required_parameter", id="document without source"
    ),
]


@pytest.mark.parametrize(("block", "where", "code"), BLOCKS_REFUSED)
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
        HI,
        assistant(use(name="old")),
        user(result()),
        assistant(use(name="new")),
        user(result()),
    )

    assert [m.tool_name for m in read if m.role == "tool"] == ["old", "new"]


RESULTS = [
    pytest.param(result("sunny"), "sunny", [], id="string"),
    pytest.param(result('{"not json'), '{"not json', [], id="text that looks like JSON"),
    pytest.param(result([text("a"), text("b")]), "a\nb", [], id="texts"),
    pytest.param({"type": "tool_result", "tool_use_id": "toolu_1"}, "", [], id="missing content"),
    pytest.param(result(None), "", [], id="null content"),
    pytest.param(result("no", is_error=True), "Error: no", [], id="is_error"),
    pytest.param(
        result([{"type": "tool_reference", "tool_name": "grep"}]), "grep", [], id="tool_reference"
    ),
    pytest.param(
        result([{"type": "search_result", "title": "T", "source": "s", "content": []}]),
        "T\ns",
        [],
        id="search_result",
    ),
    pytest.param(result([document(type="text", data="body")]), "body", [], id="document text"),
    pytest.param(
        result([document(type="base64", media_type="application/pdf", data=PDF)]),
        "[PDF document omitted by the gateway]",
        ["messages[0].content[0].content[0]:document"],
        id="PDF",
    ),
    pytest.param(
        result([document(type="url", url="https://x.test/a.pdf")]),
        "[PDF document omitted by the gateway]",
        ["messages[0].content[0].content[0]:document"],
        id="PDF by URL",
    ),
    pytest.param(
        result([document(type="odd"), {"type": "document"}]),
        "[document omitted by the gateway]\n[document omitted by the gateway]",
        [f"messages[0].content[0].content[{index}]:document" for index in (0, 1)],
        id="documents of no known kind",
    ),
    pytest.param(
        result([{"type": "browser_state", "tabs": [], "cache_control": {}}]),
        '{"type":"browser_state","tabs":[]}',
        [],
        id="others as JSON",
    ),
    pytest.param(result(["plain"]), "plain", [], id="string in a list"),
    pytest.param(result([5]), "5", [], id="number in a list"),
    pytest.param(result({"a": 1}), '{"a":1}', [], id="an object"),
    pytest.param(
        {"type": "mcp_tool_result", "tool_use_id": "toolu_1", "content": [text("ok")]},
        "ok",
        [],
        id="mcp_tool_result",
    ),
    pytest.param(
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
        id="web_search_tool_result",
    ),
    pytest.param(
        {
            "type": "web_search_tool_result",
            "tool_use_id": "toolu_1",
            "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
        },
        "Error: unavailable",
        [],
        id="web search error",
    ),
    pytest.param(
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
        id="web_fetch_tool_result",
    ),
    pytest.param(
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "toolu_1",
            "content": {"type": "code_execution_result", "stdout": "1\n", "stderr": ""},
        },
        "1\n",
        [],
        id="code_execution_tool_result",
    ),
    pytest.param(
        {
            "type": "tool_search_tool_result",
            "tool_use_id": "toolu_1",
            "content": {"type": "found", "names": ["a"]},
        },
        '{"type":"found","names":["a"]}',
        [],
        id="other vendor result",
    ),
    pytest.param(
        {"type": "web_search_tool_result", "tool_use_id": "toolu_1", "content": [None, 5]},
        "5",
        [],
        id="odd vendor result",
    ),
]


@pytest.mark.parametrize(("block", "said", "ignored"), RESULTS)
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
ASSISTANTS = [
    pytest.param([text("a"), text("b")], [Message("assistant", "ab")], id="texts joined"),
    pytest.param(
        [THINKING_BLOCK, text("a"), {**THINKING_BLOCK, "thinking": "ha"}, use()],
        [Message("assistant", "a", "hm\nha", tool_calls=(CALL,))],
        id="thinking, text, call",
    ),
    pytest.param(
        [{"type": "redacted_thinking", "data": "x"}, text("a")],
        [Message("assistant", "a")],
        id="redacted_thinking",
    ),
    pytest.param(
        [use(input='{"city":"Paris"}')],
        [Message("assistant", tool_calls=(CALL,))],
        id="input as a string",
    ),
    pytest.param(
        [use(input="not json")],
        [
            Message(
                "assistant",
                tool_calls=(ToolCall("toolu_1", "get_weather", {"raw_arguments": "not json"}),),
            )
        ],
        id="input that is no JSON",
    ),
    pytest.param(
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
        id="server tool in the middle",
    ),
    pytest.param(
        [
            {"type": "mcp_tool_use", "id": "m1", "name": "ask", "server_name": "s", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "m1", "content": "ok"},
        ],
        [
            Message("assistant", tool_calls=(ToolCall("m1", "ask", {}),)),
            Message("tool", "ok", tool_call_id="m1", tool_name="ask"),
        ],
        id="mcp call and result at the end",
    ),
]


@pytest.mark.parametrize(("blocks", "expected"), ASSISTANTS)
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

TOOLS = [
    pytest.param(WEATHER, Tool("get_weather", "Weather", OBJECT), id="type absent"),
    pytest.param(
        {**WEATHER, "type": "custom"}, Tool("get_weather", "Weather", OBJECT), id="custom"
    ),
    pytest.param(
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        Tool("f", "", OBJECT),
        id="OpenAI form",
    ),
    pytest.param(
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
        id="extras",
    ),
    pytest.param({"name": "f"}, Tool("f", "", OBJECT), id="without a schema"),
]


@pytest.mark.parametrize(("declared", "tool"), TOOLS)
def test_tools_are_offered(declared: dict[str, Any], tool: Tool) -> None:
    assert request(tools=[declared]).tools == (tool,)


@pytest.mark.parametrize(
    ("type", "name", "parameters"),
    [
        ("bash_20250124", "bash", {"command", "restart"}),
        (
            "text_editor_20250728",
            "str_replace_based_edit_tool",
            {
                "command",
                "path",
                "file_text",
                "old_str",
                "new_str",
                "insert_line",
                "insert_text",
                "view_range",
            },
        ),
        (
            "memory_20250818",
            "memory",
            {
                "command",
                "path",
                "file_text",
                "old_str",
                "new_str",
                "insert_line",
                "insert_text",
                "view_range",
                "old_path",
                "new_path",
            },
        ),
    ],
)
def test_tools_the_caller_runs_get_their_published_parameters(
    type: str, name: str, parameters: set[str]
) -> None:
    (tool,) = request(tools=[{"type": type, "name": name}]).tools

    assert tool.name == name
    assert tool.description
    assert set(tool.parameters["properties"]) == parameters
    assert set(tool.parameters["required"]) <= parameters


@pytest.mark.parametrize(
    "type",
    [
        "web_search_20250305",
        "web_fetch_20250910",
        "code_execution_20250522",
        "tool_search_tool_bm25_20251119",
        "mcp_toolset",
        "something_new_20990101",
    ],
)
def test_hosted_tools_are_left_out_and_named(type: str) -> None:
    call = parse(tools=[WEATHER, {"type": type, "name": "x"}])

    assert isinstance(call.request, ChatRequest)
    assert [tool.name for tool in call.request.tools] == ["get_weather"]
    assert call.ignored == (f"tools[1]:{type}",)


def test_of_two_tools_of_one_name_the_first_is_kept() -> None:
    call = parse(tools=[WEATHER, {**WEATHER, "description": "other"}])

    assert isinstance(call.request, ChatRequest)
    assert [tool.description for tool in call.request.tools] == ["Weather"]
    assert call.ignored == ("tools[1]:get_weather",)


def test_too_many_tools_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 1"):
        parse(RuntimeSettings(max_tools=1), tools=[WEATHER, WEATHER])


CHOICES = [
    pytest.param(None, ToolChoice(), id="absent"),
    pytest.param({"type": "auto"}, ToolChoice(), id="auto"),
    pytest.param({"type": "any"}, ToolChoice("required"), id="any"),
    pytest.param({"type": "none"}, ToolChoice("none"), id="none"),
    pytest.param(
        {"type": "tool", "name": "get_weather"}, ToolChoice("required", ("get_weather",)), id="tool"
    ),
    pytest.param("auto", ToolChoice(), id="auto as a string"),
    pytest.param("any", ToolChoice("required"), id="any as a string"),
    pytest.param("none", ToolChoice("none"), id="none as a string"),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES)
def test_a_tool_choice_is_read(choice: Any, expected: ToolChoice) -> None:
    assert request(tools=[WEATHER], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "none"}, "auto"])
def test_a_harmless_choice_needs_no_tools(choice: Any) -> None:
    assert request(tool_choice=choice).tools == ()


@pytest.mark.parametrize(
    ("choice", "parallel"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, False),
        ({"type": "any", "disable_parallel_tool_use": "true"}, False),
        ({"type": "auto", "disable_parallel_tool_use": False}, True),
        ("auto", True),
        (None, True),
    ],
)
def test_parallel_calls_can_be_switched_off(choice: Any, parallel: bool) -> None:
    read = request(tools=[WEATHER], tool_choice=choice)

    assert read.parallel_tool_calls is parallel
