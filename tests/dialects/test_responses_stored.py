"""A kept response can be listed, paged and recalled; every item of it has an id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import openai
import orjson
import pytest

from gateway.core.chat import ChatRequest, Envelope, Message
from gateway.core.events import Event, Failed, Finish, Reply, TextDelta, ThinkingDelta, ToolCallDone
from gateway.dialects.base import Reading
from gateway.dialects.responses import stored
from gateway.dialects.responses.dialect import RESPONSES
from gateway.dialects.responses.stream import Builder
from gateway.errors import InvalidRequest, UpstreamError
from gateway.schemas.settings import RuntimeSettings


def nobody(_: str) -> Any:
    raise InvalidRequest("Nothing is stored.")


READING = Reading(RuntimeSettings(), nobody, nobody)
INPUT = [
    {"role": "user", "content": "weather?"},
    {"type": "function_call", "id": "fc_given", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "sunny"},
    {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
    {"type": "custom_tool_call_output", "id": "", "call_id": "d", "output": "y"},
    {"type": "reasoning", "summary": []},
    {"type": "web_search_call", "id": "x" * 97},
    {"type": "message", "role": "user", "content": "go on", "id": 5},
]


def envelope(**fields: Any) -> Envelope:
    call = RESPONSES.parse({"model": "m", "input": INPUT, **fields}, READING)
    return Envelope("0123456789abcdef01234567", 1_754_000_000, call, "req_1")


REPLY = Reply("Paris.", "hm", (ToolCallDone("c1", "f", "{}"),))


def test_items_keep_good_ids_and_get_missing_ones() -> None:
    given = envelope()
    kept = stored.to_keep(given, RESPONSES.render([REPLY], given))

    assert kept is not None
    ids = [item["id"] for item in kept.input_items]
    assert ids[1] == "fc_given"
    assert [id.rpartition("_")[0] for id in ids] == [
        "msg",
        "fc",
        "fco",
        "ctc",
        "ctco",
        "rs",
        "item",
        "msg",
    ]
    every = ids + [item["id"] for item in kept.output_items]
    assert len(set(every)) == len(every)
    assert all(len(id) <= stored.LONGEST_ID for id in every)


def test_an_answer_nobody_wants_kept_is_not() -> None:
    given = envelope(store=False)

    assert stored.to_keep(given, RESPONSES.render([REPLY], given)) is None


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([Failed(UpstreamError("it broke"))], "failed"),
        ([Finish("length")], "incomplete"),
        ([], "incomplete"),
    ],
    ids=["failed", "cut off", "client left"],
)
def test_answers_that_went_wrong_are_kept_as_such(events: list[Event], status: str) -> None:
    given = envelope()
    builder = Builder(given)
    builder.write((0, [TextDelta("half")]))
    builder.write((0, events))

    kept = stored.to_keep(given, builder.abandon())

    assert kept is not None
    assert kept.status == status
    assert kept.output_items[0]["content"][0]["text"] == "half"


def test_what_was_kept_is_read_back_as_the_same_conversation() -> None:
    first = envelope(input="weather?")
    builder = Builder(first)
    builder.write((0, [ThinkingDelta("hm"), TextDelta("Sunny."), Finish("stop")]))
    kept = stored.to_keep(first, builder.abandon())
    assert kept is not None
    recall = replace(READING, recall=lambda _: (*kept.input_items, *kept.output_items))

    call = RESPONSES.parse(
        {"model": "m", "input": "sure?", "previous_response_id": kept.id}, recall
    )

    assert isinstance(call.request, ChatRequest)
    assert call.request.messages == (
        Message("user", "weather?"),
        Message("assistant", "Sunny.", "hm"),
        Message("user", "sure?"),
    )


ITEMS = [{"id": f"msg_{n}", "type": "message"} for n in range(1, 31)]
PAGES: dict[str, Any] = {
    "newest twenty": ({}, range(30, 10, -1), True),
    "oldest three": ({"order": "asc", "limit": "3"}, range(1, 4), True),
    "after, newest first": ({"after": "msg_3"}, range(2, 0, -1), False),
    "after, oldest first": ({"order": "asc", "after": "msg_28"}, range(29, 31), False),
    "exactly all": ({"limit": "30"}, range(30, 0, -1), False),
    "more than all": ({"limit": "100", "include": "x"}, range(30, 0, -1), False),
    "nothing left": ({"after": "msg_1"}, range(0), False),
}


@pytest.mark.parametrize(("query", "numbers", "more"), PAGES.values(), ids=PAGES)
def test_items_are_paged(query: dict[str, str], numbers: range, more: bool) -> None:
    page = stored.items_page(ITEMS, query)

    ids = [f"msg_{n}" for n in numbers]
    assert [item["id"] for item in page["data"]] == ids
    assert page["object"] == "list"
    assert page["has_more"] is more
    assert page["first_id"] == (ids[0] if ids else None)
    assert page["last_id"] == (ids[-1] if ids else None)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"order": "sideways"}, "order"),
        ({"after": "msg_99"}, "after"),
    ],
)
def test_a_page_that_cannot_be_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        stored.items_page(ITEMS, query)

    assert caught.value.param == param


def test_a_stored_response_is_not_streamed() -> None:
    stored.check_retrieval({"include": "x", "starting_after": "5", "stream": "false"})
    with pytest.raises(InvalidRequest) as caught:
        stored.check_retrieval({"stream": "true"})

    assert (caught.value.param, caught.value.code) == ("stream", "unsupported_parameter")


def test_the_small_answers_have_the_vendor_s_shape() -> None:
    assert stored.deletion("resp_1") == {"id": "resp_1", "object": "response", "deleted": True}
    assert stored.input_tokens(5) == {"object": "response.input_tokens", "input_tokens": 5}
    missing = stored.not_found("resp_1")
    assert (missing.status, missing.code) == (404, "response_not_found")
    refused = stored.cancellation_refused()
    assert (refused.status, refused.code) == (400, "unsupported_operation")


def test_the_sdk_reads_the_list_of_items() -> None:
    given = envelope(input=INPUT[:3])
    kept = stored.to_keep(given, RESPONSES.render([REPLY], given))
    assert kept is not None
    page = orjson.dumps(stored.items_page(kept.input_items, {"order": "asc"}))
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "application/json"}, content=page)
    )
    client = openai.OpenAI(
        api_key="sk-test",
        base_url="http://gateway.test/v1",
        http_client=httpx2.Client(transport=transport),
    )

    items = list(client.responses.input_items.list(kept.id, order="asc"))

    assert [item.type for item in items] == ["message", "function_call", "function_call_output"]


def test_a_call_without_an_answer_s_details_is_not_kept() -> None:
    given = envelope()
    bare = replace(given, call=replace(given.call, extra=None))

    assert stored.to_keep(bare, RESPONSES.render([REPLY], bare)) is None


def test_an_error_before_the_head_names_the_input() -> None:
    body = RESPONSES.error_body(UpstreamError("it broke"), "req_1")

    assert body["error"]["message"] == "it broke"
