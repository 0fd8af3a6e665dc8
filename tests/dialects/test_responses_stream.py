"""A response goes out in the order SDKs check, and ends with the whole object whatever happens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx2
import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import Call, ChatRequest, Envelope, Message, Tool
from gateway.core.events import (
    Batch,
    Event,
    Failed,
    Finish,
    Ping,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDone,
    Usage,
    fold,
)
from gateway.dialects.responses.object import Echo, seal, unseal
from gateway.dialects.responses.stream import Builder, render
from gateway.errors import (
    ClientGone,
    ContextOverflow,
    GatewayError,
    InvalidRequest,
    QuotaExhausted,
    UpstreamError,
)

TOOLS = (
    Tool("get_weather"),
    Tool("apply_patch", kind="custom"),
    Tool("mcp__files__read", client_name="read", namespace="mcp__files"),
    Tool("mcp__files__patch", client_name="patch", namespace="mcp__files", kind="custom"),
)
CALL = Call(
    ChatRequest("qwen3:8b", (Message("user", "hi"),), tools=TOOLS), stream=True, extra=Echo()
)
ENVELOPE = Envelope("0123456789abcdef01234567", 1_754_000_000, CALL, "req_1")
USAGE = Usage(21, 14, 5, 9, total_ns=9_400_000_000)
WEATHER = ToolCallDone("call_x", "get_weather", '{"city":"Paris"}')
PATCH = ToolCallDone("", "apply_patch", '{"input":"*** Begin Patch"}')


def batches(*groups: Sequence[Event]) -> list[Batch]:
    return [(0, group) for group in groups]


def frames(data: bytes) -> list[Any]:
    """Cut a stream into its events, checking names and numbers."""
    parts = data.split(b"\n\n")
    assert parts.pop() == b""
    read = []
    for part in parts:
        if part.startswith(b":"):
            assert part == b": keep-alive"
            continue
        event, line = part.split(b"\n")
        body = orjson.loads(line.removeprefix(b"data: "))
        assert event == b"event: " + body["type"].encode()
        read.append(body)
    assert [body["sequence_number"] for body in read] == list(range(len(read)))
    return read


def sent(builder: Builder, *groups: Sequence[Event]) -> bytes:
    return builder.preamble() + b"".join(builder.write(batch) for batch in batches(*groups))


def streamed(*groups: Sequence[Event], envelope: Envelope = ENVELOPE) -> list[Any]:
    return frames(sent(Builder(envelope), *groups))


def names(events: list[Any]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


HEAD = ["created", "in_progress"]


def test_the_time_of_completion_is_the_clock_s_where_there_is_one() -> None:
    envelope = replace(ENVELOPE, clock=lambda: 1_754_000_123)

    whole = render(fold(batches([Finish("stop", USAGE)])), envelope)

    assert whole["completed_at"] == 1_754_000_123


def test_a_call_into_a_namespace_comes_back_split() -> None:
    calls = [
        ToolCallDone("a", "mcp__files__read", "{}"),
        ToolCallDone("b", "mcp__files__patch", '{"input":"x"}'),
    ]

    output = streamed([*calls, Finish("stop")])[-1]["response"]["output"]

    assert [(item["type"], item["name"], item["namespace"]) for item in output] == [
        ("function_call", "read", "mcp__files"),
        ("custom_tool_call", "patch", "mcp__files"),
    ]


def test_a_call_of_a_tool_nobody_offered_is_a_function_call() -> None:
    output = streamed([ToolCallDone("a", "ghost", "{}"), Finish("stop")])[-1]["response"]["output"]

    assert output[0]["type"] == "function_call"
    assert output[0]["name"] == "ghost"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"x"}', "x"),
        ('{"text":"x"}', "x"),
        ('{"input":1}', '{"input":1}'),
        ("[]", "[]"),
        ("not json", "not json"),
    ],
)
def test_a_custom_tool_gets_the_text_the_model_meant(arguments: str, text: str) -> None:
    call = ToolCallDone("a", "apply_patch", arguments)

    output = streamed([call, Finish("stop")])[-1]["response"]["output"]

    assert output[0]["input"] == text


def test_call_ids_never_repeat_within_a_response() -> None:
    output = streamed([WEATHER, WEATHER, Finish("stop")])[-1]["response"]["output"]

    first, second = (item["call_id"] for item in output)
    assert first == "call_x"
    assert second.startswith("call_")
    assert second != first


def test_the_bytes_of_a_token_are_those_of_its_text() -> None:
    events = streamed([TextDelta("é", (TokenLogprob("é", -0.2),)), Finish("stop")])

    (token,) = events[-1]["response"]["output"][0]["content"][0]["logprobs"]
    assert token == {"token": "é", "bytes": [0xC3, 0xA9], "logprob": -0.2, "top_logprobs": []}


def test_only_the_item_that_was_cut_off_is_incomplete() -> None:
    events = streamed([ThinkingDelta("a"), TextDelta("b"), WEATHER, Finish("length")])

    statuses = [item["status"] for item in events[-1]["response"]["output"]]
    assert statuses == ["completed", "completed", "completed"]


FAILURES: dict[str, Any] = {
    "upstream": (UpstreamError("it broke"), "server_error"),
    "429": (QuotaExhausted("spent"), "rate_limit_exceeded"),
    "400": (InvalidRequest("bad"), "invalid_prompt"),
    "context": (ContextOverflow("long"), "context_length_exceeded"),
    "image word": (
        InvalidRequest("no", code="failed_to_download_image"),
        "failed_to_download_image",
    ),
}


@pytest.mark.parametrize(("error", "code"), FAILURES.values(), ids=FAILURES)
def test_a_failure_ends_with_the_whole_object(error: GatewayError, code: str) -> None:
    builder = Builder(ENVELOPE)

    events = frames(sent(builder, [ThinkingDelta("a"), TextDelta("half")], [Failed(error)]))

    assert names(events)[-4:] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "failed",
    ]
    response = events[-1]["response"]
    assert response["status"] == "failed"
    assert response["error"] == {"code": code, "message": error.message}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert builder.abandon() == response


def test_a_failure_before_any_text_invents_no_message() -> None:
    events = streamed([Failed(UpstreamError("x"))])

    assert names(events) == [*HEAD, "failed"]
    assert events[-1]["response"]["output"] == []


def test_an_abandoned_answer_is_kept_as_incomplete() -> None:
    builder = Builder(ENVELOPE)
    sent(builder, [ThinkingDelta("a")], [TextDelta("half")])

    kept = builder.abandon()

    assert kept["status"] == "incomplete"
    assert kept["incomplete_details"] is None
    assert [item["status"] for item in kept["output"]] == ["completed", "incomplete"]
    assert kept["output"][1]["content"][0]["text"] == "half"
    assert builder.abandon() is kept


def test_an_answer_that_ended_cannot_be_abandoned() -> None:
    builder = Builder(ENVELOPE)
    sent(builder, [TextDelta("a")])
    assert not builder.ended
    builder.write((0, [Finish("stop")]))

    assert builder.ended
    assert builder.abandon()["status"] == "completed"


def test_a_client_that_left_before_a_word_leaves_an_empty_incomplete_object() -> None:
    builder = Builder(ENVELOPE)

    assert builder.abandon()["status"] == "incomplete"
    assert builder.abandon()["output"] == []
    assert ClientGone("gone").status == 499


@pytest.mark.parametrize(
    ("mode", "quiet", "loud"),
    [
        ("comments_and_chunks", b": keep-alive\n\n", b"event: response.in_progress\n"),
        ("comments", b": keep-alive\n\n", b": keep-alive\n\n"),
        ("off", b"", b""),
    ],
)
def test_silence_is_filled_as_the_setting_says(mode: Any, quiet: bytes, loud: bytes) -> None:
    builder = Builder(replace(ENVELOPE, sse_keepalive=mode))
    builder.preamble()

    assert builder.write((0, [Ping()])) == quiet
    filled = builder.write((0, [Ping(loud=True)]))
    assert filled.startswith(loud)
    assert bool(filled) == bool(loud)


def test_a_repeated_in_progress_keeps_the_numbers_whole() -> None:
    events = streamed([TextDelta("a")], [Ping(loud=True)], [TextDelta("b"), Finish("stop")])

    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "ab"


def test_reasoning_carries_its_text_back_only_when_asked() -> None:
    asked = replace(ENVELOPE, call=replace(CALL, extra=Echo(encrypted=True)))

    items = [
        streamed([ThinkingDelta("pensée"), Finish("stop")], envelope=envelope)[-1]["response"]
        for envelope in (ENVELOPE, asked)
    ]

    assert items[0]["output"][0]["encrypted_content"] is None
    sealed = items[1]["output"][0]["encrypted_content"]
    assert sealed.startswith("ogw1.")
    assert unseal(sealed) == "pensée"


@settings(deadline=None)
@given(st.text())
def test_sealing_is_undone_by_unsealing(text: str) -> None:
    assert unseal(seal(text)) == text
    assert unseal(seal(text).rstrip("=")) == text


@pytest.mark.parametrize("content", [None, 5, "", "gAAAAABforeign", "ogw1.\u00e9", "ogw1._w=="])
def test_what_others_sealed_is_not_read(content: Any) -> None:
    assert unseal(content) is None


def test_an_envelope_of_another_dialect_still_gets_an_object() -> None:
    envelope = replace(ENVELOPE, call=replace(CALL, extra=None))

    assert render(fold(batches([Finish("stop")])), envelope)["store"] is False


def sdk(content: bytes, type: str) -> openai.OpenAI:
    """Give the official client, answered with `content`."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": type}, content=content)

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="sk-test",
        base_url="http://gateway.test/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


def sdk_response(content: bytes) -> Any:
    """Give what the official SDK's helper makes of the streamed bytes."""
    client = sdk(content, "text/event-stream")
    with client.responses.stream(model="qwen3:8b", input="hi") as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


WORDS = st.text(min_size=1, max_size=12)
DELTAS = st.lists(
    st.one_of(
        WORDS.map(TextDelta),
        WORDS.map(ThinkingDelta),
        st.sampled_from([WEATHER, PATCH]),
        st.sampled_from([Ping(), Ping(loud=True)]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(DELTAS)
def test_the_sdk_reads_from_the_stream_what_the_builder_keeps(events: list[Event]) -> None:
    builder = Builder(ENVELOPE)
    content = sent(builder, *[[event] for event in events], [Finish("stop", USAGE)])

    response = sdk_response(content)

    assert json.loads(response.to_json())["output"] == [
        {**item, "content": [{**part, "parsed": None} for part in item["content"]]}
        if item["type"] == "message"
        else {**item, "parsed_arguments": None}
        if item["type"] == "function_call"
        else item
        for item in builder.abandon()["output"]
    ]


@settings(deadline=None)
@given(DELTAS, st.sampled_from(["stop", "length", "tool_calls", "stop_sequence"]))
def test_folding_equals_streaming(events: list[Event], reason: str) -> None:
    given = batches(*[[event] for event in events], [Finish(reason, USAGE)])
    builder = Builder(ENVELOPE)
    for batch in given:
        builder.write(batch)

    streamed, whole = builder.abandon(), render(fold(given), ENVELOPE)

    def said(response: Any, kind: str, field: str) -> str:
        return "".join(
            part["text"] for item in response["output"] for part in item.get(field, ())
            if item["type"] == kind
        )  # fmt: skip

    assert said(streamed, "message", "content") == said(whole, "message", "content")
    assert said(streamed, "reasoning", "summary") == said(whole, "reasoning", "summary")
    assert [i.get("arguments") or i.get("input") for i in streamed["output"] if "call_id" in i] == [
        i.get("arguments") or i.get("input") for i in whole["output"] if "call_id" in i
    ]
    for same in ("id", "status", "usage", "incomplete_details", "completed_at"):
        assert streamed[same] == whole[same]


@settings(deadline=None)
@given(DELTAS, st.sampled_from([Finish("stop"), Finish("length"), Failed(UpstreamError("x"))]))
def test_every_item_that_begins_is_finished_and_kept(events: list[Event], end: Event) -> None:
    read = streamed(*[[event] for event in events], [end])

    added = {
        e["output_index"]: e["item"] for e in read if e["type"] == "response.output_item.added"
    }
    done = {e["output_index"]: e["item"] for e in read if e["type"] == "response.output_item.done"}
    output = read[-1]["response"]["output"]
    assert list(added) == list(done) == list(range(len(output)))
    assert list(done.values()) == output
    for index, item in enumerate(output):
        assert added[index]["id"] == item["id"]
        assert added[index].get("call_id") == item.get("call_id")
    assert len({item["id"] for item in output}) == len(output)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("data: [DONE]\n\nevent: error\n", id="frame words"),
        pytest.param("a\r\nb\rc", id="line ends"),
        pytest.param("\u2028\u2029\x85\x0b\x0c", id="unicode line ends"),
        pytest.param('"\\\x00\x1f\x7f%d%b', id="quotes, controls, formats"),
        pytest.param("😀e\u0301漢字", id="beyond the plane"),
    ],
)
def test_a_hostile_text_arrives_as_it_was(text: str) -> None:
    response = sdk_response(sent(Builder(ENVELOPE), [TextDelta(text)], [Finish("stop")]))

    assert response.output_text == text
