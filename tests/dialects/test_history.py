"""What agents repeat of earlier turns never ends their session: the same on every API."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.chat import ChatRequest, Message
from gateway.dialects.base import Dialect
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.responses.dialect import RESPONSES
from gateway.dialects.shared.content import UNNAMED
from tests.dialects.making import PNG, reading, settled

GO_ON = {"role": "user", "content": "forget it, what is 1+1"}
BROKEN = "eyJzdWNjZXNzIjp0cnVlfQ=="  # JSON that somebody named .png
PDF = "JVBERi0xLjcK"
LOST_CALL = {"id": "call_1", "type": "function", "function": {"name": "", "arguments": "{}"}}
TASK = {
    "type": "agent_message",
    "author": "/root",
    "content": [
        {"type": "input_text", "text": "Message Type: NEW_TASK"},
        {"type": "encrypted_content", "encrypted_content": "count the files"},
    ],
}


def read(dialect: Dialect, field: str, entries: list[Any]) -> list[Message]:
    call = dialect.parse({"model": "m", field: entries}, reading())
    request = settled(call)
    assert isinstance(request, ChatRequest)
    return list(request.messages)


def chat(*entries: Any) -> list[Message]:
    return read(CHAT, "messages", list(entries))


def responses(*items: Any) -> list[Message]:
    return read(RESPONSES, "input", list(items))


def claude(*entries: Any) -> list[Message]:
    return read(MESSAGES, "messages", list(entries))


def chat_call(*parts: Any) -> list[Any]:
    call = {"id": "c", "type": "function", "function": {"name": "view", "arguments": "{}"}}
    return [
        {"role": "user", "content": "see"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": list(parts)},
    ]


def responses_call(*parts: Any) -> list[Any]:
    return [
        {"role": "user", "content": "see"},
        {"type": "function_call", "call_id": "c", "name": "view", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": list(parts)},
    ]


def claude_call(*parts: Any, beside: tuple[Any, ...] = ()) -> list[Any]:
    result = {"type": "tool_result", "tool_use_id": "t", "content": list(parts)}
    return [
        {"role": "user", "content": "see"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "view"}]},
        {"role": "user", "content": [result, *beside]},
    ]


IMAGE_URL = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BROKEN}"}}
INPUT_IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{BROKEN}"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BROKEN}}
EMPTY_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
FILE = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}}
INPUT_FILE = {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}
DOCUMENT = {"type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}  # fmt: skip
NO_IMAGE = "[image omitted by the gateway]"
NO_PDF = "[PDF document omitted by the gateway]"

RESULTS = {
    "chat image": (chat, chat_call(IMAGE_URL), NO_IMAGE),
    "chat PDF": (chat, chat_call(FILE), NO_PDF),
    "responses image": (responses, responses_call(INPUT_IMAGE), NO_IMAGE),
    "responses PDF": (responses, responses_call(INPUT_FILE), NO_PDF),
    "messages image": (claude, claude_call(IMAGE), NO_IMAGE),
    "messages empty image": (claude, claude_call(EMPTY_IMAGE), NO_IMAGE),
    "messages PDF": (claude, claude_call(DOCUMENT), NO_PDF),
}
BESIDE = {
    "chat": (chat, [*chat_call("ok"), {"role": "user", "content": [FILE]}]),
    "responses": (responses, [*responses_call("ok"), {"role": "user", "content": [INPUT_FILE]}]),
    "messages, in one": (claude, claude_call("ok", beside=(DOCUMENT,))),
    "messages, after": (claude, [*claude_call("ok"), {"role": "user", "content": [DOCUMENT]}]),
}


@pytest.mark.parametrize(("ask", "entries", "note"), RESULTS.values(), ids=RESULTS)
def test_what_a_tool_brought_becomes_a_note(ask: Any, entries: list[Any], note: str) -> None:
    assert ask(*entries)[2].content == note
    assert ask(*entries, {"role": "assistant", "content": "sorry"}, GO_ON)[2].content == note


@pytest.mark.parametrize(("ask", "entries"), BESIDE.values(), ids=BESIDE)
def test_what_stands_beside_a_result_becomes_a_note(ask: Any, entries: list[Any]) -> None:
    assert ask(*entries)[3] == Message("user", NO_PDF)
    assert ask(*entries, GO_ON)[3] == Message("user", NO_PDF)


UNKNOWN = {
    "chat, of the assistant": (
        chat, [{"role": "assistant", "content": ["yes", {"type": "provider_block"}]}], "yes",
    ),
    "chat, of the user": (
        chat, [{"role": "user", "content": ["a", {"type": "hologram"}]},
               {"role": "assistant", "content": "b"}],
        "a\n[content of type 'hologram' omitted by the gateway]",
    ),
    "responses, a part": (
        responses, [{"role": "assistant", "content": [{"type": "output_text", "text": "yes"},
                                                      {"type": "hologram"}]}], "yes",
    ),
    "responses, sealed": (
        responses, [{"role": "user", "content": [
            {"type": "encrypted_content", "encrypted_content": "gAAAAABo-sealed"}]},
            {"role": "assistant", "content": "b"}],
        "[content of type 'encrypted_content' omitted by the gateway]",
    ),
    "responses, an item": (
        responses, [{"role": "assistant", "content": "yes"}, {"type": "hologram"},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "ok"}], "yes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "entries", "content"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_parts_of_earlier_turns_are_left_out(
    ask: Any, entries: list[Any], content: str
) -> None:
    assert ask(*entries, GO_ON)[0].content == content


def test_an_unknown_item_of_earlier_turns_is_told() -> None:
    items = [{"type": "hologram"}, {"role": "assistant", "content": "yes"}, GO_ON]
    call = RESPONSES.parse({"model": "m", "input": items}, reading())

    assert isinstance(call.request, ChatRequest)
    (problem,) = call.request.messages[0].unreadable
    assert problem.path == "input[0]:hologram"


def test_agents_hand_over_their_tasks() -> None:
    asked = responses({"role": "user", "content": "relay"}, TASK)

    assert asked[1].role == "user"
    assert asked[1].content == ("Message from /root:\nMessage Type: NEW_TASK\ncount the files")


def test_thinking_comes_back_as_thinking() -> None:
    thought = {"type": "reasoning_text", "text": "hm"}

    (turn, _) = responses({"role": "assistant", "content": [thought, "yes"]}, GO_ON)

    assert (turn.thinking, turn.content) == ("hm", "yes")


NAMELESS = {
    "chat": (chat, [{"role": "assistant", "tool_calls": [LOST_CALL]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "no such tool"}]),
    "chat, custom": (chat, [
        {"role": "assistant",
         "tool_calls": [{"id": "call_1", "type": "custom", "custom": {"input": "x"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "no such tool"}]),
    "chat, older": (chat, [{"role": "assistant", "function_call": {"name": " "}},
                           {"role": "function", "content": "no such tool"}]),
    "responses": (responses, [
        {"type": "function_call", "call_id": "call_1", "name": "", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "no such tool"}]),
    "responses, custom": (responses, [
        {"type": "custom_tool_call", "call_id": "call_1", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "no such tool"}]),
    "messages": (claude, [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": ""}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "no such tool"}]}]),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "entries"), NAMELESS.values(), ids=NAMELESS)
def test_a_call_without_a_name_is_taken_back(ask: Any, entries: list[Any]) -> None:
    turn, result = ask(GO_ON, *entries)[1:]

    assert [call.name for call in turn.tool_calls] == [UNNAMED]
    assert (result.content, result.tool_name) == ("no such tool", UNNAMED)


def test_a_picture_that_can_be_read_is_sent() -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:text/plain;base64,{PNG}"}}

    assert [item.data for item in chat(*chat_call(part))[2].media] == [PNG]
