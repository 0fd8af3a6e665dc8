"""A recorded call as the beginning of the playground: the same conversation, in its fields."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fake_ollama import FakeOllama
from gateway.admin.playground.repeat import Start, start_of
from gateway.core.chat import Call, ChatRequest, Json
from gateway.dialects import DIALECTS
from gateway.dialects.base import Reading
from gateway.dialects.chat.dialect import CHAT
from gateway.errors import GatewayError, InvalidRequest
from gateway.schemas.settings import RuntimeSettings
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor, account
from tests.admin.test_playground import run
from tests.admin.test_requests import write

PNG = "iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAA"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION = {"name": "look", "description": "Look.", "parameters": SCHEMA}
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
CALLED = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a": "x"}'}}


def nothing(_id: str) -> Any:
    raise InvalidRequest("not here")


READING = Reading(RuntimeSettings(), nothing, nothing)


def recorded(endpoint: str, body: Json, think: bool | None = None) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    row = SimpleNamespace(endpoint=endpoint, request_id="req_1", model="llama3.2", key_id=1)
    explain = {"params": {"think": [think, "default"]}}
    return SimpleNamespace(row=row, explain=explain, request_body=text, response_body="Aye.")


def parsed(endpoint: str, body: Json) -> Call:
    return next(one for one in DIALECTS if one.name == endpoint).parse(body, READING)


def sent_by_the_page(start: Start) -> Json:
    """Return the body the page makes of its fields, as `static/js/playground.js` does."""
    prompt: Json = start.prompt
    if start.images:
        images = [{"type": "image_url", "image_url": {"url": url}} for url in start.images]
        prompt = [{"type": "text", "text": start.prompt}, *images]
    asked = [{"role": "user", "content": prompt}] if start.prompt else []
    system = [{"role": "system", "content": start.system}] if start.system else []
    body: Json = {"model": start.model, "messages": [*system, *start.turns, *asked]}
    body["options"] = {name: value for name, value in start.options.items() if value != ""}
    if start.think:
        body["reasoning_effort"] = start.think
    if start.tools:
        body["tools"] = json.loads(start.tools)
    if start.schema:
        schema = {"name": "answer", "schema": json.loads(start.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


CONVERSATIONS: dict[str, tuple[str, Json]] = {
    "chat": ("chat", {
        "model": "m", "temperature": 0.5, "top_k": 7, "reasoning_effort": "low",
        "tools": [{"type": "function", "function": FUNCTION}],
        "messages": [
            {"role": "system", "content": "Be <brief>."},
            {"role": "user", "content": [{"type": "text", "text": "One"}, IMAGE]},
            {"role": "assistant", "content": "Two", "reasoning_content": "hm",
             "tool_calls": [CALLED]},
            {"role": "tool", "tool_call_id": "c", "content": "three"},
            {"role": "user", "content": [{"type": "text", "text": "\nFour"}, IMAGE]},
        ]}),
    "chat that a tool ended": ("chat", {
        "model": "m", "messages": [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "", "tool_calls": [CALLED]},
            {"role": "tool", "tool_call_id": "c", "content": "three"},
        ]}),
    "messages": ("messages", {
        "model": "m", "max_tokens": 20, "system": "Be brief.",
        "tools": [{"name": "look", "description": "Look.", "input_schema": SCHEMA}],
        "messages": [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c", "name": "look", "input": {"a": "x"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": "three"},
                {"type": "text", "text": "Four"}]},
        ]}),
    "responses": ("responses", {
        "model": "m", "instructions": "Be brief.",
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        "input": [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Two"},
            {"role": "user", "content": "Three"},
        ]}),
}  # fmt: skip


@pytest.mark.parametrize(("endpoint", "body"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_the_page_asks_the_same(endpoint: str, body: Json) -> None:
    asked = parsed(endpoint, body).request
    start = start_of(recorded(endpoint, body), READING)
    again = CHAT.parse(sent_by_the_page(start), READING).request

    assert isinstance(asked, ChatRequest)
    assert isinstance(again, ChatRequest)
    assert [_plain(one) for one in again.messages] == [_plain(one) for one in asked.messages]
    assert [tool.parameters for tool in again.tools] == [tool.parameters for tool in asked.tools]
    assert again.params.options == asked.params.options
    assert again.params.think == asked.params.think
    assert again.params.format == asked.params.format
    assert start.answer == "Aye."
    assert start.left_out == ()


def _plain(message: Any) -> Any:
    return replace(message, media=tuple(one.data for one in message.media))


def test_a_text_completion_becomes_a_message() -> None:
    body = {"model": "m", "prompt": ["One", "Two"], "suffix": "end", "stop": ["x"]}
    start = start_of(recorded("completions", body, think=False), READING)

    assert (start.prompt, start.think) == ("One", "none")
    assert start.left_out == ("stop", "suffix", "prompt[1]")


def test_what_has_no_field_is_named() -> None:
    messages = [{"role": "user", "content": "One"}]
    tools = [{"type": "function", "function": FUNCTION}]
    body = {
        "model": "m", "messages": messages, "tools": tools, "tool_choice": "required", "n": 2,
        "parallel_tool_calls": False, "keep_alive": "5m", "stop": "x", "logprobs": True,
        "reasoning_effort": "max", "options": {"made_up": 1, "num_ctx": 2_048},
    }  # fmt: skip
    start = start_of(recorded("chat", body), READING)

    assert start.options["num_ctx"] == 2_048
    assert set(start.left_out) == {
        "stop", "made_up", "keep_alive", "logprobs", "think", "n", "tool_choice",
        "parallel_tool_calls",
    }  # fmt: skip


def test_names_of_the_caller_are_few_and_short() -> None:
    options = {f"{'x' * 500}{number}": 1 for number in range(5_000)}
    body = {"model": "m", "messages": [{"role": "user", "content": "One"}], "options": options}
    start = start_of(recorded("chat", body), READING)

    assert len(start.left_out) == 13
    assert max(map(len, start.left_out)) == 40


REFUSED = {
    "not kept": ("chat", "", "not kept"),
    "cut": ("chat", '{"model": "m", "mess', "not kept"),
    "embeddings": ("embeddings", {"model": "m", "input": "x"}, "Only requests that generate"),
    "a stored response": (
        "responses",
        {"model": "m", "input": "x", "previous_response_id": "resp_1"},
        "not here",
    ),
}


@pytest.mark.parametrize(("endpoint", "body", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_repeated_is_said(endpoint: str, body: Json, words: str) -> None:
    with pytest.raises(GatewayError, match=words):
        start_of(recorded(endpoint, body), READING)


@pytest.fixture
def key(parts: Services, served: FakeOllama) -> int:
    """A key that keeps its texts."""
    return parts.keys.issue({"name": "one", "log_bodies": True}, ACTOR)[0].id


def test_a_button_opens_the_playground_with_the_request(
    admin: Visitor, parts: Services, key: int
) -> None:
    done = run(admin, key, messages=[{"role": "user", "content": "Why </script> not?"}])[-1]
    parts.usage.start()
    parts.usage.flush(5)
    parts.usage.stop()
    (request_id,) = re.findall(r'href="/admin/requests/([^"]+)"', done["html"])
    page = admin.get(f"/admin/requests/{request_id}").text
    address = f"/admin/playground?repeat={request_id}"
    opened = admin.get(address).text

    assert f'href="{address}"' in page
    assert ">\nWhy &lt;/script&gt; not?</textarea>" in opened
    assert 'id="play-repeat"' in opened
    assert f'<option value="{key}" selected>' in opened
    assert opened.count("</script> not") == 0


def test_a_viewer_and_a_removed_request_get_a_sentence(admin: Visitor, parts: Services) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hidden bay"}]})
    request_id = write(parts, 1, request_body=body)
    removed = admin.get("/admin/playground?repeat=req_nobody").text
    account(parts, "looker", "viewer")
    viewer = Visitor(admin.app)
    viewer.login("looker")
    page = viewer.get(f"/admin/requests/{request_id}").text
    opened = viewer.get(f"/admin/playground?repeat={request_id}")

    assert "The request req_nobody does not exist, or was removed." in removed
    assert "Repeat in the playground" not in page
    assert opened.status_code == 200
    assert "it cannot repeat requests" in opened.text
    assert "hidden bay" not in opened.text


def test_a_request_that_was_not_kept_has_no_button(admin: Visitor, parts: Services) -> None:
    request_id = write(parts, 1)

    assert "Repeat in the playground" not in admin.get(f"/admin/requests/{request_id}").text
    assert "not kept" in admin.get(f"/admin/playground?repeat={request_id}").text
