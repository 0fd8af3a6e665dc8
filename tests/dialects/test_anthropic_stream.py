"""A Messages answer goes out as one tidy sequence of blocks, and amounts to what is rendered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import Call, ChatRequest, Envelope, Message
from gateway.core.events import (
    Batch,
    Event,
    Failed,
    Finish,
    Ping,
    TextDelta,
    ThinkingDelta,
    ToolCallDone,
    Usage,
    fold,
)
from gateway.dialects import base
from gateway.dialects.messages.answer import OMIT_THINKING
from gateway.dialects.messages.dialect import MESSAGES
from gateway.errors import ContextOverflow, GatewayError, Unavailable, UpstreamError

CALL = Call(ChatRequest("qwen3:8b", (Message("user", "hi"),)), stream=True)
ENVELOPE = Envelope("0123456789abcdef01234567", 1_754_000_000, CALL, "req_1", prompt_estimate=17)
USAGE = Usage(21, 14, 5, 9)
WEATHER = ToolCallDone("call_x", "get_weather", '{"city":"Paris","note":"ça va"}')


def batches(*groups: Sequence[Event]) -> list[Batch]:
    return [(0, group) for group in groups]


def frames(data: bytes) -> list[tuple[str, Any]]:
    """Cut a stream into (event name, data), checking the frame itself."""
    parts = data.split(b"\n\n")
    assert parts.pop() == b""
    read = []
    for part in parts:
        event, line = part.split(b"\n")
        assert event.startswith(b"event: ")
        assert line.startswith(b"data: ")
        body = orjson.loads(line[6:])
        assert event[7:].decode() == body["type"]
        read.append((body["type"], body))
    return read


def streamed(*groups: Sequence[Event], envelope: Envelope = ENVELOPE) -> list[tuple[str, Any]]:
    return frames(b"".join(base.frames(MESSAGES.writer(envelope), [batches(*groups)])))


def short(frame: tuple[str, Any]) -> str:
    """Name a frame so that an order can be read off."""
    name, body = frame
    match name:
        case "content_block_start":
            return f"start {body['index']} {body['content_block']['type']}"
        case "content_block_delta":
            return f"delta {body['index']} {body['delta']['type']}"
        case "content_block_stop":
            return f"stop {body['index']}"
        case _:
            return name


HEAD = ["message_start", "ping"]
TAIL = ["message_delta", "message_stop"]
ORDERS: dict[str, Any] = {
    "text": ([TextDelta("Hi")], ["start 0 text", "delta 0 text_delta", "stop 0"]),
    "nothing at all": ([], ["start 0 text", "stop 0"]),
    "thinking, text, call": (
        [ThinkingDelta("h"), ThinkingDelta("m"), TextDelta("a"), TextDelta("b"), WEATHER],
        [
            "start 0 thinking",
            "delta 0 thinking_delta",
            "delta 0 thinking_delta",
            "delta 0 signature_delta",
            "stop 0",
            "start 1 text",
            "delta 1 text_delta",
            "delta 1 text_delta",
            "stop 1",
            "start 2 tool_use",
            "delta 2 input_json_delta",
            "delta 2 input_json_delta",
            "stop 2",
        ],
    ),
    "thinking alone ends in an empty text": (
        [ThinkingDelta("h")],
        [
            "start 0 thinking",
            "delta 0 thinking_delta",
            "delta 0 signature_delta",
            "stop 0",
            "start 1 text",
            "stop 1",
        ],
    ),
    "thinking after text opens a new block": (
        [TextDelta("a"), ThinkingDelta("b"), TextDelta("c")],
        [
            "start 0 text",
            "delta 0 text_delta",
            "stop 0",
            "start 1 thinking",
            "delta 1 thinking_delta",
            "delta 1 signature_delta",
            "stop 1",
            "start 2 text",
            "delta 2 text_delta",
            "stop 2",
        ],
    ),
    "two calls": (
        [WEATHER, WEATHER],
        [
            "start 0 tool_use",
            "delta 0 input_json_delta",
            "delta 0 input_json_delta",
            "stop 0",
            "start 1 tool_use",
            "delta 1 input_json_delta",
            "delta 1 input_json_delta",
            "stop 1",
        ],
    ),
}


@pytest.mark.parametrize(("events", "order"), ORDERS.values(), ids=ORDERS)
def test_blocks_follow_each_other_one_at_a_time(events: list[Event], order: list[str]) -> None:
    sent = streamed(events, [Finish("stop", USAGE)])

    assert [short(frame) for frame in sent] == HEAD + order + TAIL


def test_omitted_thinking_keeps_its_block_and_signature() -> None:
    envelope = replace(ENVELOPE, call=replace(CALL, extra=OMIT_THINKING))

    sent = streamed([ThinkingDelta("secret"), TextDelta("x"), Finish("stop")], envelope=envelope)

    assert [short(frame) for frame in sent[2:5]] == [
        "start 0 thinking",
        "delta 0 signature_delta",
        "stop 0",
    ]
    assert "secret" not in json.dumps(sent)


STOPS: dict[str, Any] = {
    "calls present, stop": ([WEATHER], Finish("stop"), "tool_use", None),
    "cut after the call": ([WEATHER], Finish("tool_calls"), "tool_use", None),
    "stop sequence": (
        [TextDelta("a")],
        Finish("stop_sequence", stop_sequence="</b>"),
        "stop_sequence",
        "</b>",
    ),
    "stop": ([TextDelta("a")], Finish("stop"), "end_turn", None),
    "length": ([TextDelta("a")], Finish("length"), "max_tokens", None),
    "length after a call": ([WEATHER], Finish("length"), "max_tokens", None),
    "anything else": ([TextDelta("a")], Finish("load"), "end_turn", None),
}


@pytest.mark.parametrize(("events", "finish", "reason", "sequence"), STOPS.values(), ids=STOPS)
def test_the_stop_reason_is_true_streamed_and_whole(
    events: list[Event], finish: Finish, reason: str, sequence: str | None
) -> None:
    sent = streamed([*events, finish])
    whole = MESSAGES.render(fold(batches([*events, finish])), ENVELOPE)

    assert sent[-2][1]["delta"] == {"stop_reason": reason, "stop_sequence": sequence}
    assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, sequence)


@pytest.mark.parametrize(
    ("mode", "pings"), [("comments_and_chunks", 2), ("comments", 2), ("off", 0)]
)
def test_silence_is_filled_with_pings_unless_switched_off(mode: Any, pings: int) -> None:
    envelope = replace(ENVELOPE, sse_keepalive=mode)

    sent = streamed([Ping()], [Ping(loud=True)], [Finish("stop")], envelope=envelope)

    assert [name for name, _ in sent].count("ping") == 1 + pings


FAILURES: dict[str, Any] = {
    "upstream": (UpstreamError("it broke"), "api_error", "it broke"),
    "overloaded": (Unavailable("busy"), "overloaded_error", "busy"),
    "context, figures known": (
        ContextOverflow("too big", detail={"prompt_tokens": 9000, "context_tokens": 4096}),
        "invalid_request_error",
        "prompt is too long: 9000 tokens > 4096 maximum",
    ),
    "context, prompt estimated": (
        ContextOverflow("too big", detail={"context_tokens": 10}),
        "invalid_request_error",
        "prompt is too long: 17 tokens > 10 maximum",
    ),
    "context, nothing known": (
        ContextOverflow("too big"),
        "invalid_request_error",
        "prompt is too long: too big",
    ),
}


@pytest.mark.parametrize(("error", "type", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failure_ends_the_stream_without_message_stop(
    error: GatewayError, type: str, message: str
) -> None:
    sent = streamed([TextDelta("half")], [Failed(error)])

    assert sent[-1][1] == {
        "type": "error",
        "error": {"type": type, "message": message},
        "request_id": "req_1",
    }
    assert "message_stop" not in [name for name, _ in sent]


def test_a_whole_answer_has_thinking_text_and_calls_in_order() -> None:
    events = [ThinkingDelta("hm"), TextDelta("Paris."), WEATHER, Finish("stop", USAGE)]

    whole = MESSAGES.render(fold(batches(events)), ENVELOPE)

    assert [block["type"] for block in whole["content"]] == ["thinking", "text", "tool_use"]
    assert whole["content"][0]["thinking"] == "hm"
    assert whole["content"][0]["signature"].startswith("ogw.")
    assert whole["content"][1] == {"type": "text", "text": "Paris."}
    assert whole["content"][2]["input"] == {"city": "Paris", "note": "ça va"}
    assert whole["usage"]["service_tier"] == "standard"
    assert whole["id"].startswith("msg_")
    assert len(whole["id"]) == 4 + 24


@pytest.mark.parametrize(
    ("arguments", "input"),
    [("{}", {}), ('{"a":[1]}', {"a": [1]}), ('{"cut', {"raw_arguments": '{"cut'})],
)
def test_the_input_of_a_call_is_an_object_whatever_the_model_wrote(
    arguments: str, input: Any
) -> None:
    events = [ToolCallDone("", "f", arguments), Finish("stop")]

    whole = MESSAGES.render(fold(batches(events)), ENVELOPE)

    assert whole["content"][0]["input"] == input


def test_a_whole_answer_may_omit_the_thinking_text() -> None:
    envelope = replace(ENVELOPE, call=replace(CALL, extra=OMIT_THINKING))

    whole = MESSAGES.render(
        fold(batches([ThinkingDelta("x"), TextDelta("y"), Finish("stop")])), envelope
    )

    assert whole["content"][0]["thinking"] == ""
    assert whole["content"][0]["signature"].startswith("ogw.")


def sdk(content: bytes, type: str) -> anthropic.Anthropic:
    """Give the official client, answered with `content`."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": type}, content=content)

    transport = httpx2.MockTransport(answer)
    return anthropic.Anthropic(
        api_key="sk-test",
        base_url="http://gateway.test",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


def sdk_message(events: Sequence[Sequence[Event]], envelope: Envelope = ENVELOPE) -> Any:
    """Give what the official SDK makes of the streamed bytes."""
    content = b"".join(base.frames(MESSAGES.writer(envelope), [batches(*events)]))
    with sdk(content, "text/event-stream").messages.stream(
        model="qwen3:8b", max_tokens=10, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        return stream.get_final_message()


WORDS = st.text(min_size=1, max_size=12)
DELTAS = st.lists(
    st.one_of(
        WORDS.map(TextDelta),
        WORDS.map(ThinkingDelta),
        st.dictionaries(
            st.text(max_size=4), st.integers(-(2**63), 2**63 - 1) | WORDS, max_size=3
        ).map(lambda given: ToolCallDone("", "f", json.dumps(given))),
        st.just(Ping()),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(DELTAS, st.sampled_from(["stop", "length", "tool_calls"]))
def test_the_sdk_reads_from_the_stream_what_is_rendered_whole(
    events: list[Event], reason: str
) -> None:
    given = [*[[event] for event in events], [Finish(reason, USAGE)]]

    message = sdk_message(given)
    whole = MESSAGES.render(fold(batches(*given)), ENVELOPE)

    def said(content: list[Any], kind: str, field: str) -> str:
        return "".join(block[field] for block in content if block["type"] == kind)

    blocks = [block.model_dump() for block in message.content]
    assert said(blocks, "text", "text") == said(whole["content"], "text", "text")
    assert said(blocks, "thinking", "thinking") == said(whole["content"], "thinking", "thinking")
    calls = [(b["id"], b["input"]) for b in blocks if b["type"] == "tool_use"]
    assert calls == [(b["id"], b["input"]) for b in whole["content"] if b["type"] == "tool_use"]
    assert message.stop_reason == whole["stop_reason"]
    assert message.id == whole["id"]
    assert message.usage.input_tokens == whole["usage"]["input_tokens"]
    assert message.usage.output_tokens == whole["usage"]["output_tokens"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("data: [DONE]\n\nevent: error\n", id="frame words"),
        pytest.param("a\r\nb\rc", id="line ends"),
        pytest.param("\u2028\u2029\x85\x0b\x0c", id="unicode line ends"),
        pytest.param('"\\\x00\x1f\x7f', id="quotes and controls"),
        pytest.param("😀e\u0301漢字", id="beyond the plane"),
    ],
)
def test_a_hostile_text_arrives_as_it_was(text: str) -> None:
    message = sdk_message([[TextDelta(text)], [Finish("stop")]])

    assert message.content[0].text == text
