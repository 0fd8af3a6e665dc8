"""A chat completion is the same answer whole and streamed, in the order clients rely on."""

from __future__ import annotations

import itertools
import os
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import Call
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
from gateway.dialects.base import derived_id
from gateway.dialects.chat.dialect import CHAT
from gateway.errors import UpstreamError
from gateway.ollama.wire import Decoder
from tests.dialects.making import HELLO, SEED, batches, envelope, frames, reading, streamed

FULL = os.environ.get("FULL") == "1"
EXAMPLES = 100_000 if FULL else 200
USAGE = Usage(21, 14, 5, 9)
USAGE_OBJECT = {
    "prompt_tokens": 21,
    "completion_tokens": 14,
    "total_tokens": 35,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 9,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
DONE = (Finish("stop", USAGE),)
PARIS = TokenLogprob("Paris", -0.25, (80, 97, 114, 105, 115), (TokenLogprob("Rome", -2.5),))
TIME = ToolCallDone("call_1", "time", '{"zone":"é"}')
PATCH = ToolCallDone("", "patch", '{"input":"*** Begin"}')
TOOLS = [
    {"type": "function", "function": {"name": "time"}},
    {"type": "custom", "custom": {"name": "patch"}},
]


def call(**body: Any) -> Call:
    return CHAT.parse({"model": "Qwen3", "messages": HELLO, **body}, reading())


def whole(found: list[Batch], asked: Call, **fields: Any) -> Any:
    replies = fold(found, asked.request.choices)
    return orjson.loads(orjson.dumps(CHAT.render(replies, envelope(asked, **fields))))


def chunks(found: list[Batch], asked: Call, **fields: Any) -> list[Any]:
    return frames(streamed(CHAT, found, envelope(asked, **fields)))


def deltas(found: list[Any]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in found if isinstance(chunk, dict)]


def assembled(found: list[Any]) -> dict[int, dict[str, Any]]:
    """Put a stream together as SDKs do: strings are joined, calls found by their index."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in found:
        if not isinstance(chunk, dict):
            continue
        for choice in chunk["choices"]:
            message = choices.setdefault(choice["index"], {"tool_calls": {}, "finish": None})
            message["finish"] = choice["finish_reason"] or message["finish"]
            delta = dict(choice["delta"])
            for part in delta.pop("tool_calls", ()):
                _join(message["tool_calls"].setdefault(part.pop("index"), {}), part)
            _join(message, delta)
    return choices


def _join(into: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict):
            _join(into.setdefault(name, {}), value)
        else:
            into[name] = into.get(name, "") + value


# -- whole ---------------------------------------------------------------------------------------


def test_the_service_tier_is_told_when_it_was_asked_for() -> None:
    asked = call(service_tier="auto")

    assert whole(batches(DONE), asked)["service_tier"] == "default"
    assert "service_tier" not in whole(batches(DONE), call())
    found = [chunk for chunk in chunks(batches(DONE), asked) if isinstance(chunk, dict)]
    assert {chunk["service_tier"] for chunk in found} == {"default"}


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("reasoning_content", {"reasoning_content"}),
        ("reasoning", {"reasoning"}),
        ("both", {"reasoning_content", "reasoning"}),
    ],
)
def test_thinking_goes_out_under_the_name_of_the_setting(field: Any, names: set[str]) -> None:
    found = batches((ThinkingDelta("Hm."), *DONE))

    message = whole(found, call(), reasoning_field=field)["choices"][0]["message"]
    delta = deltas(chunks(found, call(), reasoning_field=field))[1]

    assert {name for name in message if name.startswith("reasoning")} == names
    assert delta == dict.fromkeys(names, "Hm.")


def test_log_probabilities_an_old_server_lacks_are_null() -> None:
    found = batches((TextDelta("Paris"), *DONE))

    assert whole(found, call(logprobs=True))["choices"][0]["logprobs"] is None


FINISHES = {
    "stop": (Finish("stop"), (), "stop"),
    "stop after calls": (Finish("stop"), (TIME,), "tool_calls"),
    "length": (Finish("length"), (), "length"),
    "length after calls": (Finish("length"), (TIME,), "length"),
    "stop string": (Finish("stop_sequence", stop_sequence="x"), (TextDelta("a"),), "stop"),
    "first call kept": (Finish("tool_calls"), (TIME,), "tool_calls"),
    "unknown": (Finish("load"), (), "stop"),
}


@pytest.mark.parametrize(("finish", "events", "word"), FINISHES.values(), ids=FINISHES)
def test_the_end_is_told_in_openais_word(finish: Finish, events: Any, word: str) -> None:
    found = batches(events, (finish,))
    asked = call(tools=TOOLS)

    assert whole(found, asked)["choices"][0]["finish_reason"] == word
    assert assembled(chunks(found, asked))[0]["finish"] == word


def test_the_older_form_of_tools_has_the_older_answer() -> None:
    asked = call(functions=[{"name": "time"}])
    found = batches((TIME,), (TIME, *DONE))

    answer = whole(found, asked)["choices"][0]
    pieces = chunks(found, asked)

    assert answer["finish_reason"] == "function_call"
    assert answer["message"]["function_call"] == {"name": "time", "arguments": '{"zone":"é"}'}
    assert answer["message"]["content"] is None
    assert "tool_calls" not in answer["message"]
    assert deltas(pieces)[1:-1] == [
        {"function_call": {"name": "time", "arguments": ""}},
        {"function_call": {"arguments": '{"zone":"é"}'}},
    ]
    assert pieces[-2]["choices"][0]["finish_reason"] == "function_call"


# -- streamed ------------------------------------------------------------------------------------


def test_roles_open_every_choice_in_order_and_never_again() -> None:
    found = [(1, (TextDelta("b"), *DONE)), (0, (TextDelta("a"),)), (2, DONE), (0, DONE)]

    pieces = chunks(found, call(n=3))

    assert [chunk["choices"][0]["index"] for chunk in pieces[:3]] == [0, 1, 2]
    roles = [delta for delta in deltas(pieces) if "role" in delta]
    assert roles == [{"role": "assistant", "content": ""}] * 3


def test_the_stream_ends_after_the_last_choice_with_usage_of_all() -> None:
    found = [(1, (Finish("stop", Usage(21, 3)),)), (0, (Finish("length", Usage(21, 4)),))]

    pieces = chunks(found, call(n=2))

    assert pieces[-1] == "[DONE]"
    assert "usage" not in pieces[2]
    assert pieces[3]["usage"]["prompt_tokens"] == 21
    assert pieces[3]["usage"]["completion_tokens"] == 7
    assert whole(found, call(n=2))["usage"] == pieces[3]["usage"]


def test_calls_are_counted_over_the_whole_stream() -> None:
    found = batches((TIME,), (TIME, PATCH), DONE)

    calls = assembled(chunks(found, call(tools=TOOLS)))[0]["tool_calls"]

    assert sorted(calls) == [0, 1, 2]
    assert calls[0]["id"] == "call_1"
    assert calls[2]["custom"] == {"name": "patch", "input": "*** Begin"}
    ids = [entry["id"] for entry in calls.values()]
    assert len(set(ids)) == 3
    assert all(entry.startswith("call_") for entry in ids)


def test_usage_comes_in_a_chunk_of_its_own_when_asked_for() -> None:
    asked = call(stream=True, stream_options={"include_usage": True})

    pieces = chunks(batches((TextDelta("a"),), DONE), asked)

    assert [chunk["usage"] for chunk in pieces[:-2]] == [None, None, None]
    assert pieces[-2]["choices"] == []
    assert pieces[-2]["usage"] == USAGE_OBJECT
    assert pieces[-1] == "[DONE]"


def test_usage_rides_on_the_finish_chunk_otherwise() -> None:
    pieces = chunks(batches(DONE), call())

    assert pieces[-2]["usage"] == USAGE_OBJECT
    assert pieces[-2]["choices"][0]["finish_reason"] == "stop"


def test_usage_may_be_switched_off() -> None:
    pieces = chunks(batches(DONE), call(), usage_on_finish_chunk=False)

    assert "usage" not in pieces[-2]


PINGS = {
    "comment": ("comments_and_chunks", False, ": keep-alive"),
    "chunk": ("comments_and_chunks", True, {}),
    "comments only": ("comments", True, ": keep-alive"),
}


@pytest.mark.parametrize(("setting", "loud", "expected"), PINGS.values(), ids=PINGS)
def test_a_long_wait_is_bridged(setting: Any, loud: bool, expected: Any) -> None:
    ping = chunks(batches((Ping(loud),), DONE), call(), sse_keepalive=setting)[1]

    assert (ping if isinstance(ping, str) else ping["choices"][0]["delta"]) == expected


def test_a_long_wait_may_be_left_silent() -> None:
    pieces = streamed(CHAT, batches((Ping(True),), DONE), envelope(call(), sse_keepalive="off"))

    assert len(pieces) == 2
    assert all(pieces)


def test_a_loud_ping_speaks_for_a_choice_that_still_runs() -> None:
    found = [(0, DONE), (0, (Ping(True),)), (1, DONE)]

    assert chunks(found, call(n=2))[3]["choices"][0]["index"] == 1


NOTES = {
    "none": ("keep-alive", b": keep-alive\n\n"),
    "a place": ("keep-alive, queued 3/7", b": keep-alive\n: queued 3/7\n\n"),
    "no more than a line": ("position 3\r\ndata: x\n\n", b": keep-alive\n: position 3 data: x\n\n"),
}


@pytest.mark.parametrize(("note", "expected"), NOTES.values(), ids=NOTES)
def test_a_note_stands_on_a_line_of_its_own(note: str, expected: bytes) -> None:
    found = batches((Ping(note=note),), DONE)

    assert streamed(CHAT, found, envelope(call()))[1] == expected


def test_a_failure_ends_the_stream_without_done() -> None:
    failure = UpstreamError("model runner has unexpectedly stopped")
    found = batches((TextDelta("a"),), (TextDelta("b"), Failed(failure), TextDelta("c")), DONE)

    pieces = chunks(found, call())

    assert pieces[-1] == {
        "error": {
            "message": "model runner has unexpectedly stopped",
            "type": "server_error",
            "param": None,
            "code": "upstream_error",
        }
    }
    assert deltas(pieces[:-1])[-1] == {"content": "b"}
    assert "error" not in pieces[0]


def test_a_call_without_an_id_is_given_one() -> None:
    (made,) = whole(batches((PATCH,), DONE), call())["choices"][0]["message"]["tool_calls"]

    assert made["id"] == derived_id("call_", SEED, digits=24)


def test_a_stream_that_breaks_off_has_no_done() -> None:
    assert "[DONE]" not in chunks(batches((TextDelta("a"),)), call())


def test_half_a_surrogate_pair_does_not_break_the_stream() -> None:
    pieces = chunks(batches((TextDelta("a\ud800b"),), DONE), call())

    assert deltas(pieces)[1] == {"content": "a\N{REPLACEMENT CHARACTER}b"}


# -- both ----------------------------------------------------------------------------------------

TEXT = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from('\u2028\u2029\x85\x00\r\n"\\'),
    min_size=1,
    max_size=12,
)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers() | TEXT, max_size=3).map(
    lambda value: (
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
        if all(not isinstance(v, int) or -(2**63) <= v < 2**63 for v in value.values())
        else "{}"
    )
)
EVENT: st.SearchStrategy[Event] = st.one_of(
    st.builds(TextDelta, TEXT),
    st.builds(TextDelta, TEXT, st.just((PARIS,))),
    st.builds(ThinkingDelta, TEXT),
    st.builds(ToolCallDone, st.sampled_from(["", "call_1", "call_2"]), st.just("time"), ARGUMENTS),
    st.builds(ToolCallDone, st.just(""), st.just("patch"), ARGUMENTS),
    st.builds(Ping, st.booleans()),
)


@st.composite
def answers(draw: Any) -> tuple[int, list[Batch]]:
    """Give the interleaved batches of one to three choices, each with its end."""
    n = draw(st.integers(1, 3))
    queues = []
    for choice in range(n):
        groups = draw(st.lists(st.lists(EVENT, max_size=4), max_size=4))
        finish = Finish(draw(st.sampled_from(["stop", "length"])), Usage(9, choice + 1, 2, 1))
        queues.append([(choice, tuple(group)) for group in groups] + [(choice, (finish,))])
    order = draw(st.permutations([c for c, queue in enumerate(queues) for _ in queue]))
    return n, [queues[choice].pop(0) for choice in order]


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(answers(), st.booleans(), st.booleans())
def test_streamed_and_whole_answers_are_the_same(
    answer: tuple[int, list[Batch]], include_usage: bool, logprobs: bool
) -> None:
    n, found = answer
    asked = call(
        n=n, tools=TOOLS, logprobs=logprobs, stream_options={"include_usage": include_usage}
    )

    expected = whole(found, asked)
    pieces = chunks(found, asked)

    together = assembled(pieces)
    for choice in expected["choices"]:
        message, got = choice["message"], together[choice["index"]]
        assert got["finish"] == choice["finish_reason"]
        assert got["role"] == "assistant"
        assert got["content"] == (message["content"] or "")
        assert got.get("reasoning_content") == message.get("reasoning_content")
        calls = [got["tool_calls"][index] for index in range(len(got["tool_calls"]))]
        bare = [{**entry, "id": None} for entry in calls]
        assert bare == [{**entry, "id": None} for entry in message.get("tool_calls", ())]
    usages = [chunk["usage"] for chunk in pieces if isinstance(chunk, dict) and chunk.get("usage")]
    assert usages == [expected["usage"]]
    assert pieces[-1] == "[DONE]"


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(TEXT, max_size=12), st.lists(st.integers(1, 3), min_size=12, max_size=12))
def test_text_reaches_the_client_unchanged(texts: list[str], sizes: list[int]) -> None:
    """From Ollama's lines, however they arrive together, to what the client joins."""
    lines = [orjson.dumps({"message": {"content": text}, "done": False}) for text in texts]
    lines.append(orjson.dumps({"message": {"content": ""}, "done": True, "done_reason": "stop"}))
    decoder, rest = Decoder(), iter(lines)
    groups = [list(itertools.islice(rest, size)) for size in sizes]
    found = [(0, tuple(decoder.feed(group))) for group in groups if group]

    assert assembled(chunks(found, call()))[0]["content"] == "".join(texts)
    assert whole(found, call())["choices"][0]["message"]["content"] == "".join(texts)
