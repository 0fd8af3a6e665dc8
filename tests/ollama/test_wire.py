"""Requests to bytes, lines to events."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import (
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    Media,
    Message,
    Params,
    Tool,
    ToolCall,
)
from gateway.core.events import (
    Event,
    Failed,
    Finish,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDone,
    Usage,
)
from gateway.errors import GatewayError, InvalidRequest
from gateway.ollama import whole, wire

NAME = "qwen3:8b"
USER = Message("user", "Hi")
USER_WIRE = {"role": "user", "content": "Hi"}


def chat(*messages: Message, tools: tuple[Tool, ...] = (), **params: Any) -> ChatRequest:
    return ChatRequest("any", messages or (USER,), Params(**params), tools=tools)


CHATS: dict[str, Any] = {
    "plain": (chat(), 0, {}),
    "options": (chat(options={"temperature": 0.5, "stop": ["x"]}), 0,
     {"options": {"temperature": 0.5, "stop": ["x"]}}),
    "think": (chat(think=False), 0, {"think": False}),
    "level": (chat(think="high", effort="high"), 0, {"think": "high"}),
    "format": (chat(format={"type": "object"}), 0, {"format": {"type": "object"}}),
    "any object": (chat(format="json"), 0, {"format": {"type": "object"}}),
    "keep alive": (chat(keep_alive="5m"), 0, {"keep_alive": "5m"}),
    "keep alive as text": (chat(keep_alive=" -1 "), 0, {"keep_alive": -1}),
    "keep alive 0": (chat(keep_alive=0), 0, {"keep_alive": 0}),
    "flags": (chat(truncate=False, shift=True), 0, {"truncate": False, "shift": True}),
    "logprobs": (chat(logprobs=True, top_logprobs=0), 0, {"logprobs": True, "top_logprobs": 0}),
    "not for chat": (chat(raw=True, timeout_ms=5, hide_thinking=True), 0, {}),
    "seed": (chat(options={"seed": 7}), 2, {"options": {"seed": 9}}),
    "random seed": (chat(options={"seed": -1}), 2, {"options": {"seed": -1}}),
    "no seed": (chat(options={"top_k": 1}), 2, {"options": {"top_k": 1}}),
    "tools": (chat(tools=(Tool("f", "does", {"type": "object"}),)), 0,
     {"tools": [{"type": "function", "function":
                 {"name": "f", "description": "does", "parameters": {"type": "object"}}}]}),
    "history": (chat(
        Message("assistant", "a", thinking="t",
                tool_calls=(ToolCall("c1", "f", {"x": 1}), ToolCall("c2", "g", {}))),
        Message("tool", "r", tool_call_id="c1", tool_name="f"),
        Message("user", "see", media=(Media("image", "QUJD"),)),
     ), 0, {"messages": [
        {"role": "assistant", "content": "a", "thinking": "t", "tool_calls": [
            {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
            {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {}}}]},
        {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
        {"role": "user", "content": "see", "images": ["QUJD"]}]}),
    "read-only values": (chat(Message("assistant", tool_calls=(
        ToolCall("", "f", MappingProxyType({"n": 1})),))), 0,
     {"messages": [{"role": "assistant", "content": "", "tool_calls": [
         {"id": "", "function": {"index": 0, "name": "f", "arguments": {"n": 1}}}]}]}),
    "big number": (chat(Message("assistant", tool_calls=(ToolCall("", "f", {"n": 2**80}),))), 0,
     {"messages": [{"role": "assistant", "content": "", "tool_calls": [
         {"id": "", "function": {"index": 0, "name": "f", "arguments": {"n": 2**80}}}]}]}),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "offset", "wanted"), CHATS.values(), ids=CHATS)
def test_a_chat_request_is_encoded(
    request_: ChatRequest, offset: int, wanted: dict[str, Any]
) -> None:
    body = json.loads(wire.encode(request_, NAME, offset))

    assert body == {"model": NAME, "messages": [USER_WIRE], "stream": True} | wanted


GENERATES: dict[str, Any] = {
    "plain": (CompletionRequest("m", ("o", "p"), n=4), {}),
    "everything": (CompletionRequest(
        "m", ("o", "p"), Params(options={"seed": 1}, raw=True, think=False), suffix="s", system="",
        template="t", media=(Media("image", "QQ=="),), n=4),
     {"suffix": "s", "system": "", "template": "t", "images": ["QQ=="], "raw": True,
      "think": False, "options": {"seed": 4}}),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "wanted"), GENERATES.values(), ids=GENERATES)
def test_a_completion_request_is_encoded(
    request_: CompletionRequest, wanted: dict[str, Any]
) -> None:
    body = json.loads(wire.encode(request_, NAME, 7))

    assert body == {"model": NAME, "prompt": "p", "stream": True} | wanted


EMBEDS: dict[str, Any] = {
    "plain": (EmbedRequest("m", ("a", "")), {}),
    "everything": (EmbedRequest(
        "m", ("a", ""), Params(options={"num_ctx": 8}, keep_alive="60", truncate=False,
                               think=True, format="json"), dimensions=4),
     {"dimensions": 4, "truncate": False, "keep_alive": 60, "options": {"num_ctx": 8}}),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "wanted"), EMBEDS.values(), ids=EMBEDS)
def test_an_embedding_request_is_encoded(request_: EmbedRequest, wanted: dict[str, Any]) -> None:
    assert json.loads(wire.encode(request_, NAME)) == {"model": NAME, "input": ["a", ""]} | wanted


@pytest.mark.parametrize("value", ["\ud800", object()])
def test_what_json_cannot_hold_is_the_callers_fault(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        wire.encode(chat(format={"x": value}), NAME)


# -- answers -------------------------------------------------------------------------------------

DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": 4}


def line(**fields: Any) -> bytes:
    return json.dumps({"model": NAME, "done": False, **fields}).encode()


def said(content: str = "", *, done: dict[str, Any] | None = None, **fields: Any) -> bytes:
    message = {"role": "assistant", "content": content}
    for name in ("thinking", "tool_calls"):
        if name in fields:
            message[name] = fields.pop(name)
    return line(message=message, **fields, **(done or {}))


def calls(*named: tuple[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"c{i}", "function": {"index": 0, "name": name, "arguments": arguments, **more}}
        for i, (name, arguments) in enumerate(named)
    ]


def decode(*lines: bytes, together: bool = True) -> list[Event]:
    decoder = wire.Decoder()
    events = []
    for batch in [list(lines)] if together else [[line] for line in lines]:
        events += decoder.feed(batch)
    return events + decoder.end()


def usage(prompt: int = 10, completion: int = 4, **more: Any) -> Usage:
    return Usage(prompt, completion, **more)


STOP = Finish("stop", usage())
STREAMS: dict[str, Any] = {
    "plain": ([said("Hel"), said("lo"), said(done=DONE)],
     [TextDelta("Hel"), TextDelta("lo"), STOP]),
    "text in the last line": ([said("Hi", done=DONE)], [TextDelta("Hi"), STOP]),
    "null text": ([line(message={"role": "assistant", "content": None}), said(done=DONE)], [STOP]),
    "thinking": ([said(thinking="Hm"), said("Yes"), said(done=DONE)],
     [ThinkingDelta("Hm"), TextDelta("Yes"), Finish("stop", usage(reasoning_tokens=2))]),
    "thinking and text in one line": ([said("ab", thinking="cd"), said(done=DONE)],
     [ThinkingDelta("cd"), TextDelta("ab"), Finish("stop", usage(reasoning_tokens=2))]),
    "calls in two lines": ([said(tool_calls=calls(("f", {"x": 1}))),
                            said(tool_calls=calls(("g", {}))), said(done=DONE)],
     [ToolCallDone("c0", "f", '{"x":1}'), ToolCallDone("c0", "g", "{}"), STOP]),
    "calls in the last line": ([said("Now", tool_calls=calls(("f", {}), ("g", {})), done=DONE)],
     [TextDelta("Now"), ToolCallDone("c0", "f", "{}"), ToolCallDone("c1", "g", "{}"), STOP]),
    "call without id or arguments": ([said(tool_calls=[{"function": {"name": "f"}}], done=DONE)],
     [ToolCallDone("", "f", "{}"), STOP]),
    "length": ([said("x", done=DONE | {"done_reason": "length"})],
     [TextDelta("x"), Finish("length", usage())]),
    "load": ([said(done={"done": True, "done_reason": "load"})], [Finish("stop")]),
    "odd reason": ([said(done=DONE | {"done_reason": 5})], [STOP]),
    "no reason": ([said(done={"done": True, "eval_count": 1})], [Finish("stop", usage(0, 1))]),
    "generate": ([line(response="a"), line(response="b", thinking="t"),
                  line(response="", tool_calls=calls(("f", {})), **DONE)],
     [TextDelta("a"), ThinkingDelta("t"), TextDelta("b"), ToolCallDone("c0", "f", "{}"),
      Finish("stop", usage(reasoning_tokens=1))]),
    "nothing after the end": ([said("a", done=DONE), said("b"), said(done=DONE)],
     [TextDelta("a"), STOP]),
    "byte order mark": ([b"\xef\xbb\xbf" + said("a"), said(done=DONE)], [TextDelta("a"), STOP]),
    "carriage return": ([said("a") + b"\r", said(done=DONE) + b"\r"], [TextDelta("a"), STOP]),
    "a line that is no record": ([b'{"status":"x"}', said("a", done=DONE)], [TextDelta("a"), STOP]),
    "no error": ([said("a", error=None, done=DONE)], [TextDelta("a"), STOP]),
    "times": ([said(done=DONE | {"total_duration": 9, "load_duration": 1,
                                 "prompt_eval_duration": 3, "eval_duration": 4,
                                 "prompt_eval_cached_count": 6})],
     [Finish("stop", usage(cached_tokens=6, total_ns=9, load_ns=1, prompt_ns=3, eval_ns=4))]),
    "more cached than read": ([said(done=DONE | {"prompt_eval_cached_count": 60})],
     [Finish("stop", usage(cached_tokens=10))]),
    "text without count": ([said("a"), said("b", done={"done": True, "prompt_eval_count": 10})],
     [TextDelta("a"), TextDelta("b"), Finish("stop", usage(10, 2, estimated=True))]),
    "odd message": ([line(message=5), said(done=DONE)], [STOP]),
    "odd text": ([said(5), said("a", done=DONE)], [TextDelta("a"), STOP]),
    "odd thinking, sound calls": ([line(message={"content": "a", "thinking": 5, "tool_calls": [
         3, {"function": 3}, {"function": {"name": 3}}, {"id": 3, "function": {"name": "f"}},
         {"id": "x", "function": {"name": "g", "arguments": {"y": 2}}}]}), said(done=DONE)],
     [TextDelta("a"), ToolCallDone("", "f", "{}"), ToolCallDone("x", "g", '{"y":2}'), STOP]),
    "odd response": ([line(response=5), line(response="a", thinking=5, **DONE)],
     [TextDelta("a"), STOP]),
    "done as text": ([said("a", done={"done": "yes"}), said(done=DONE)], [TextDelta("a"), STOP]),
}  # fmt: skip


@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize(("lines", "events"), STREAMS.values(), ids=STREAMS)
def test_lines_become_events(lines: list[bytes], events: list[Event], together: bool) -> None:
    assert decode(*lines, together=together) == events


FAILURES: dict[str, Any] = {
    "no line": ([], "upstream_bad_response"),
    "only what is no record": ([b"{}"], "upstream_bad_response"),
    "garbage": ([b"\x00\xff{"], "upstream_bad_response"),
    "not UTF-8": ([b'{"message":{"content":"\xff"}}'], "upstream_bad_response"),
    "an array": ([b"[]"], "upstream_bad_response"),
    "a text": ([b'"x"'], "upstream_bad_response"),
    "null": ([b"null"], "upstream_bad_response"),
    "too deep": ([b'{"x":' + b"[" * 100_000], "upstream_bad_response"),
    "error": ([line(error="runner died")], "upstream_error"),
    "error object": ([line(error={"message": "context length exceeded"})],
     "context_length_exceeded"),
    "error beside odd types": ([line(error="server busy", message=5)], "upstream_busy"),
    "empty error": ([line(error="")], "upstream_error"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "code"), FAILURES.values(), ids=FAILURES)
def test_what_is_no_answer_fails(lines: list[bytes], code: str) -> None:
    events = decode(*lines)

    assert [type(event) for event in events] == [Failed]
    assert isinstance(events[0], Failed)
    assert events[0].error.code == code


NAMELESS = {"id": "call_1", "function": {"index": 0, "name": " ", "arguments": {}}}
UNDEFINED = {"function": {"arguments": {}}}


@pytest.mark.parametrize("call", [NAMELESS, UNDEFINED], ids=["empty", "missing"])
def test_a_call_without_a_name_is_never_given_out(call: dict[str, Any]) -> None:
    (failed,) = decode(said(tool_calls=[call]), said(done=DONE))
    beside_text = decode(said("a", tool_calls=[call]), said(done=DONE))
    beside_a_call = decode(said(tool_calls=[call, *calls(("f", {}))]), said(done=DONE))

    assert isinstance(failed, Failed)
    assert failed.error.code == "tool_call_parse_error"
    assert beside_text == [TextDelta("a"), STOP]
    assert [e.name for e in beside_a_call if isinstance(e, ToolCallDone)] == ["f"]


def test_markup_is_cut_off_the_name_of_a_call() -> None:
    found = decode(said(tool_calls=calls(("ls<|channel|>commentary", {}))), said(done=DONE))

    assert [event.name for event in found if isinstance(event, ToolCallDone)] == ["ls"]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        pytest.param([said("a"), line(error="died"), said("b")], "upstream_error", id="an error"),
        pytest.param([said("a")], "upstream_disconnected", id="no last record"),
        pytest.param([said(thinking="a")], "upstream_disconnected", id="none after thinking"),
    ],
)
def test_text_before_a_failure_is_kept(lines: list[bytes], code: str) -> None:
    text, failed = decode(*lines)

    assert text in (TextDelta("a"), ThinkingDelta("a"))
    assert isinstance(failed, Failed)
    assert failed.error.code == code


COUNTS: list[tuple[Any, int, bool]] = [
    (4, 4, False),
    (0, 0, False),
    ("4", 4, True),
    ("-4", 0, True),
    ("four", 0, True),
    (-4, 0, True),
    (4.9, 4, True),
    (True, 0, True),
    ([4], 0, True),
    (2**60, 2**53, True),
    (10**30, 2**53, True),
    (1e300, 2**53, True),
]


@pytest.mark.parametrize(("value", "count", "estimated"), COUNTS)
def test_odd_counters_are_clamped_and_marked(value: Any, count: int, estimated: bool) -> None:
    last = decode(said(done=DONE | {"eval_count": value}))[-1]

    assert last == Finish("stop", usage(10, count, estimated=estimated))


def test_counters_beyond_all_measure_do_not_end_the_answer() -> None:
    raw = said("a", done=DONE).replace(b'"eval_count": 4', b'"eval_count": 1e999')

    last = decode(raw)[-1]

    assert last == Finish("stop", usage(0, 1, estimated=True))


ARGUMENTS: list[tuple[bytes, str]] = [
    (b'{"a": 1, "b": [true, null]}', '{"a":1,"b":[true,null]}'),
    (b'{"z":1,"a":2}', '{"z":1,"a":2}'),
    ('{"name":"Zoë"}'.encode(), '{"name":"Zoë"}'),
    (b'{"x":"\\u003cb\\u003e"}', '{"x":"<b>"}'),
    (b'{"n":123456789012345678901234567890}', '{"n":123456789012345678901234567890}'),
    (b"null", "{}"),
    (b'""', "{}"),
    (b'" "', "{}"),
    (b'"{\\"a\\":1}"', '{"a":1}'),
    (b'"not json"', '{"raw_arguments":"not json"}'),
    (b"[1]", '{"value":[1]}'),
    (b"5", '{"value":5}'),
    (b'"5"', '{"value":5}'),
    (b'{"n":1e999}', '{"raw_arguments":"{\\"n\\":1e999}"}'),
]


@pytest.mark.parametrize(("raw", "text"), ARGUMENTS)
def test_arguments_are_compact_text_of_an_object(raw: bytes, text: str) -> None:
    raw_line = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":%b}}]}}' % raw

    assert decode(raw_line)[0] == ToolCallDone("", "f", text)


def test_reasoning_tokens_are_a_share_of_the_characters() -> None:
    lines = [said(thinking="x" * 30), said("y" * 6, tool_calls=calls(("f", {}))), said(done=DONE)]

    last = decode(*lines)[-1]

    assert isinstance(last, Finish)
    assert last.usage.reasoning_tokens == round(4 * 30 / 39)


def test_the_decoder_counts_records() -> None:
    decoder = wire.Decoder()
    decoder.feed([said("a"), said(thinking="b"), said(tool_calls=calls(("f", {}))), b"{}"])

    assert (decoder.records, decoder.text_records) == (3, 2)
    assert (decoder.text_chars, decoder.thinking_chars, decoder.call_chars) == (1, 1, 3)
    assert not decoder.finished


TOKEN = {
    "token": "a",
    "logprob": -0.5,
    "bytes": [97],
    "top_logprobs": [
        {"token": "a", "logprob": -0.5},
        {"token": "b", "logprob": -1, "bytes": None},
        7,
    ],
}
READ = TokenLogprob("a", -0.5, (97,), (TokenLogprob("a", -0.5), TokenLogprob("b", -1.0)))
LOGPROBS: dict[str, Any] = {
    "tokens": ({"logprobs": [TOKEN]}, (READ,)),
    "no list": ({"logprobs": {"x": 1}}, ()),
    "odd entries": ({"logprobs": [5, {"token": 1}, {"token": "x", "logprob": "y"},
                                  {"token": "z", "logprob": 0, "bytes": ["q"]}]},
     (TokenLogprob("z", 0.0),)),
    "with thinking": ({"logprobs": [TOKEN], "thinking": "t"}, ()),
    "with calls": ({"logprobs": [TOKEN], "tool_calls": calls(("f", {}))}, ()),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "tokens"), LOGPROBS.values(), ids=LOGPROBS)
def test_logprobs_are_of_visible_text_only(
    fields: dict[str, Any], tokens: tuple[TokenLogprob, ...]
) -> None:
    deltas = [event for event in decode(said("a", **fields)) if isinstance(event, TextDelta)]

    assert deltas == [TextDelta("a", tokens)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
keys = st.sampled_from(
    ["message", "response", "thinking", "tool_calls", "done", "error", "logprobs", "done_reason",
     "eval_count", "prompt_eval_count", "content", "function", "arguments", "name", "id"]
)  # fmt: skip
records = st.dictionaries(keys, json_values | st.dictionaries(keys, json_values))


@given(st.lists(st.binary(max_size=30) | records.map(lambda r: json.dumps(r).encode()), max_size=5))
def test_no_line_makes_the_decoder_raise(lines: list[bytes]) -> None:
    events = decode(*lines, together=False)

    assert isinstance(events[-1], Finish | Failed)
    assert not any(isinstance(event, Finish | Failed) for event in events[:-1])


@given(st.text(min_size=1))
def test_text_comes_through_untouched(text: str) -> None:
    raw = json.dumps({"message": {"content": text}}, ensure_ascii=False)
    if not raw.isprintable() and any(0xD800 <= ord(c) <= 0xDFFF for c in raw):
        return

    assert decode(raw.encode())[0] == TextDelta(text)


# -- embeddings ------------------------------------------------------------------------------------


def test_embeddings_are_decoded() -> None:
    body = b'{"embeddings":[[0.6,0.8],[0,1]],"prompt_eval_count":9,"total_duration":5}'

    found = whole.decode_embeddings(body)

    assert found.vectors == [[0.6, 0.8], [0.0, 1.0]]
    assert (found.prompt_tokens, found.total_ns, found.load_ns) == (9, 5, 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "upstream_bad_response"),
        (b"{}", "upstream_bad_response"),
        (b'{"embeddings":[]}', "upstream_bad_response"),
        (b'{"embeddings":[[]]}', "upstream_bad_response"),
        (b'{"embeddings":[["x"]]}', "upstream_bad_response"),
        (b'{"error":"x does not support embeddings"}', "embeddings_not_supported"),
    ],
)
def test_an_answer_without_vectors_is_an_error(body: bytes, code: str) -> None:
    with pytest.raises(GatewayError) as caught:
        whole.decode_embeddings(body)

    assert caught.value.code == code
