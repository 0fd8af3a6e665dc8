"""What agents send and models answer in the field, on every API before a fake that insists."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from fake_ollama import FakeModel, FakeOllama, Script
from tests.api.apps import App, application, told

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
PDF = "JVBERi0xLjcK"
STRICT = FakeModel(
    "strict:latest",
    ("completion", "tools"),
    path="native",
    template_rules=("system_first", "alternate", "needs_user"),
)
RENDERED = FakeModel(
    "qwen:latest", ("completion", "tools"), path="rendered",
    template_rules=("system_first", "needs_user"),
)  # fmt: skip
SEEING = FakeModel("seer:latest", ("completion", "vision"), path="rendered")
BLIND = FakeModel("blind:latest", ("completion",), path="rendered")
MIND = FakeModel("mind:latest", ("completion", "thinking"), path="rendered")
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])

SYSTEM, USER = {"role": "system", "content": "one"}, {"role": "user", "content": "hi"}
ANSWER, LATE = {"role": "assistant", "content": "yo"}, {"role": "system", "content": "now short"}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeOllama]:
    with FakeOllama(models=[STRICT, RENDERED, SEEING, BLIND, MIND]) as server:
        yield server


@pytest.fixture
def ollama(shared: FakeOllama) -> FakeOllama:
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, shared: FakeOllama) -> Iterator[App]:
    """An application that no test changes."""
    with application(tmp_path_factory.mktemp("field"), shared) as app:
        yield app


def sent(ollama: FakeOllama) -> list[dict[str, Any]]:
    """Return the messages of the last call."""
    messages: list[dict[str, Any]] = ollama.calls("/api/chat")[-1].json["messages"]
    return messages


def text_of(answer: TestResponse) -> str:
    """Return the visible text of an answer of any API, whole or streamed."""
    assert answer.status_code == 200, answer.get_data()
    if answer.is_json:
        body = answer.get_json()
        if "choices" in body:
            choice = body["choices"][0]
            return str(choice["text"] if "text" in choice else choice["message"]["content"])
        if "output" in body:
            messages = [item for item in body["output"] if item["type"] == "message"]
            return "".join(item["content"][0]["text"] for item in messages)
        return "".join(block.get("text", "") for block in body["content"])
    pieces = []
    for line in answer.get_data().splitlines():
        if line.startswith(b"data: {"):
            event = orjson.loads(line.removeprefix(b"data: "))
            assert "error" not in event or event["error"] is None, event
            for choice in event.get("choices", ()):
                pieces.append(choice.get("text") or choice.get("delta", {}).get("content") or "")
            if event.get("type") == "response.output_text.delta":
                pieces.append(event["delta"])
            if event.get("type") == "content_block_delta":
                pieces.append(event["delta"].get("text", ""))
    return "".join(pieces)


def call(name: str = "view") -> dict[str, Any]:
    function = {"name": name, "arguments": "{}"}
    return {"role": "assistant", "tool_calls": [{"id": "c", "function": function}]}


RESULT = {"role": "tool", "tool_call_id": "c", "content": "denied"}
ITEMS = [
    {"type": "function_call", "call_id": "c", "name": "view", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "denied"},
]
BLOCKS = [
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "view"}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c", "content": "denied"},
        {"type": "text", "text": "go on otherwise"}]},
]  # fmt: skip
CODEX = {
    "instructions": "You are a coding agent",
    "input": [
        {"type": "message", "role": "developer",
         "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user",
         "content": [{"type": "input_text", "text": "<environment>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    ],
}  # fmt: skip
CONVERSATIONS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "chat, two system turns": (
        "chat", {"messages": [SYSTEM, SYSTEM, USER]}, ["system", "user"]),
    "chat, a later system turn": (
        "chat", {"messages": [SYSTEM, USER, ANSWER, LATE, USER]},
        ["system", "user", "assistant", "user"]),
    "chat, a later developer turn": (
        "chat", {"messages": [USER, ANSWER, {**LATE, "role": "developer"}]},
        ["user", "assistant", "user"]),
    "chat, two user turns": ("chat", {"messages": [USER, USER]}, ["user"]),
    "chat, two assistant turns": (
        "chat", {"messages": [USER, ANSWER, ANSWER, USER]}, ["user", "assistant", "user"]),
    "chat, a note after a result": (
        "chat", {"messages": [USER, call(), RESULT, USER]},
        ["user", "assistant", "tool", "assistant", "user"]),
    "chat, a system turn alone": ("chat", {"messages": [SYSTEM]}, ["user"]),
    "responses, as Codex begins": ("responses", CODEX, ["system", "user"]),
    "responses, a note after a result": (
        "responses", {"input": [USER, *ITEMS, USER]},
        ["user", "assistant", "tool", "assistant", "user"]),
    "messages, two user turns": ("messages", {"messages": [USER, USER]}, ["user"]),
    "messages, a later system turn": (
        "messages", {"system": "one", "messages": [USER, ANSWER, LATE, USER]},
        ["system", "user", "assistant", "user"]),
    "messages, a note beside a result": (
        "messages", {"messages": [USER, *BLOCKS]},
        ["user", "assistant", "tool", "assistant", "user"]),
}  # fmt: skip


@STREAMED
@pytest.mark.parametrize(("api", "body", "roles"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_strict_template_takes_any_conversation(
    app: App, ollama: FakeOllama, api: str, body: dict[str, Any], roles: list[str], stream: bool
) -> None:
    ollama.script("strict", Script(content="fine"))

    assert text_of(app.ask(api, model="strict", stream=stream, **body)) == "fine"
    assert [message["role"] for message in sent(ollama)] == roles


def test_nothing_of_a_conversation_is_lost(app: App, ollama: FakeOllama) -> None:
    app.ask("responses", model="qwen", **CODEX)

    system, user = sent(ollama)
    assert system["content"] == "You are a coding agent\n\n<permissions>"
    assert user["content"] == "<environment>\nhi"


IMAGE_URL = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
INPUT_IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
INPUT_FILE = {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}
FILE = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}}
DOCUMENT = {"type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}  # fmt: skip
FORGET = {"role": "user", "content": "forget it, what is 1+1"}
BLIND_NOTE = "[image omitted: this model cannot see images]"
PDF_NOTE = "[PDF document omitted by the gateway]"
HISTORY: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat, image": ("chat", {"messages": [
        USER, call(), {**RESULT, "content": [IMAGE_URL]}, ANSWER, FORGET]}, BLIND_NOTE),
    "chat, PDF": ("chat", {"messages": [
        USER, call(), {**RESULT, "content": [FILE]}, ANSWER, FORGET]}, PDF_NOTE),
    "responses, image": ("responses", {"input": [
        USER, ITEMS[0], {**ITEMS[1], "output": [INPUT_IMAGE]}, ANSWER, FORGET]}, BLIND_NOTE),
    "responses, PDF": ("responses", {"input": [
        USER, ITEMS[0], {**ITEMS[1], "output": [INPUT_FILE]}, ANSWER, FORGET]}, PDF_NOTE),
    "messages, image": ("messages", {"messages": [USER, BLOCKS[0], {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c", "content": [IMAGE]}]}, ANSWER, FORGET]},
        BLIND_NOTE),
    "messages, PDF": ("messages", {"messages": [USER, BLOCKS[0], {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c", "content": [DOCUMENT]}]}, ANSWER, FORGET]},
        PDF_NOTE),
}  # fmt: skip


@STREAMED
@pytest.mark.parametrize(("api", "body", "note"), HISTORY.values(), ids=HISTORY)
def test_what_a_model_cannot_use_does_not_end_a_session(
    app: App, ollama: FakeOllama, api: str, body: dict[str, Any], note: str, stream: bool
) -> None:
    field = "input" if api == "responses" else "messages"
    for turns in (body[field][:3], body[field]):
        answer = app.ask(api, model="blind", stream=stream, **{field: turns})

        assert answer.status_code == 200
        assert sent(ollama)[2]["content"] == note
        assert "images" not in sent(ollama)[2]
        assert field in answer.headers["x-gateway-ignored"]


OWN = {
    "chat, image": ("chat", "messages", IMAGE_URL, "Could not process image"),
    "chat, PDF": ("chat", "messages", FILE, "The PDF specified was not valid"),
    "responses, image": ("responses", "input", INPUT_IMAGE, "Could not process image"),
    "responses, PDF": ("responses", "input", INPUT_FILE, "The PDF specified was not valid"),
    "messages, image": ("messages", "messages", IMAGE, "Could not process image"),
    "messages, PDF": ("messages", "messages", DOCUMENT, "The PDF specified was not valid"),
}


@pytest.mark.parametrize(("api", "field", "part", "words"), OWN.values(), ids=OWN)
def test_what_the_user_sends_himself_is_refused_in_words_agents_know(
    app: App, api: str, field: str, part: dict[str, Any], words: str
) -> None:
    turn = {"role": "user", "content": [part]}

    answer = app.ask(api, model="blind", **{field: [turn]})

    assert answer.status_code == 400
    assert words in told(answer)["message"]


def test_of_very_many_screenshots_the_newest_are_sent(app: App, ollama: FakeOllama) -> None:
    shot = {"role": "user", "content": [{"type": "text", "text": "shot"}, IMAGE_URL]}

    answer = app.ask("chat", model="seer", messages=[shot, ANSWER] * 120, truncate=True)

    assert answer.status_code == 200
    images = [len(message.get("images", ())) for message in sent(ollama)]
    assert sum(images) == 100
    assert images[0] == 0


def test_a_count_of_tokens_refuses_nothing(app: App) -> None:
    tool = {"name": "f", "description": "x" * 520, "input_schema": {"type": "object"}}
    body = {"model": "blind", "messages": [{"role": "user", "content": [IMAGE]}]}

    plain = app.post("/v1/messages/count_tokens", body)
    with_tool = app.post("/v1/messages/count_tokens", {**body, "tools": [tool]})

    assert plain.get_json()["input_tokens"] > 768
    assert with_tool.get_json()["input_tokens"] > plain.get_json()["input_tokens"] + 50


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_a_model_without_tools_says_so_in_words_clients_look_for(app: App, api: str) -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    tool = {
        "chat": {"type": "function", "function": function},
        "responses": {"type": "function", **function},
        "messages": {"name": "f", "input_schema": {"type": "object"}},
    }[api]

    answer = app.ask(api, model="blind", tools=[tool])

    assert answer.status_code == 400
    assert "does not support tools" in told(answer)["message"]


@STREAMED
@pytest.mark.parametrize("api", ["chat", "completions", "messages"])
def test_an_answer_that_came_as_thinking_is_given(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    ollama.script("mind", Script(chunks=[{"thinking": "9.9 is "}, {"thinking": "larger"}]))
    off = {"think": False} if api == "chat" else {}

    assert text_of(app.ask(api, model="mind", stream=stream, **off)) == "9.9 is larger"


FORMATS: dict[str, dict[str, Any]] = {
    "chat": {"response_format": {"type": "json_schema",
                                 "json_schema": {"name": "a", "schema": SCHEMA}}},
    "completions": {"format": SCHEMA, "think": True},
    "responses": {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
                 "thinking": {"type": "enabled"}},
}  # fmt: skip


@STREAMED
@pytest.mark.parametrize("api", FORMATS)
def test_json_that_stayed_in_the_thinking_is_asked_for_again(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    def script(body: dict[str, Any]) -> Script:
        if body.get("think") is False:
            return Script(content='{"answer":"42"}')
        return Script(thinking='{"answer":"42"}', content="")

    ollama.script("mind", script)

    assert text_of(app.ask(api, model="mind", stream=stream, **FORMATS[api])) == '{"answer":"42"}'


OFF: dict[str, dict[str, Any]] = {
    "chat": {"reasoning_effort": "none"},
    "completions": {"think": False},
    "responses": {"reasoning": {"effort": "none"}},
    "messages": {"thinking": {"type": "disabled"}},
}


@STREAMED
@pytest.mark.parametrize("api", FORMATS)
def test_a_format_that_needs_thinking_gets_it(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    def script(body: dict[str, Any]) -> Script:
        if body.get("think") is False:
            return Script(content="The answer is 42.")
        return Script(thinking="hm", content='{"answer":"42"}')

    ollama.script("mind", script)

    answer = app.ask(api, model="mind", stream=stream, **{**FORMATS[api], **OFF[api]})

    assert text_of(answer) == '{"answer":"42"}'
    assert "x-gateway-ignored" not in answer.headers


@STREAMED
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_a_turn_to_continue_is_not_given_twice(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    turns = [USER, {"role": "assistant", "content": "The capital is"}]
    ollama.script("strict", Script(content=" Paris."))
    field = "input" if api == "responses" else "messages"

    answer = app.ask(api, model="strict", stream=stream, **{field: turns})

    assert text_of(answer) == " Paris."
    assert sent(ollama)[-1] == {"role": "assistant", "content": "The capital is"}


@STREAMED
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_a_call_without_a_name_never_reaches_a_client(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    ollama.script("strict", Script(tool_calls=[("", {})]))

    answer = app.ask(api, model="strict", stream=stream)

    if api == "messages":
        assert answer.status_code == 502 or b"event: error" in answer.get_data()
    else:
        assert told(answer)["code"] in ("tool_call_parse_error", "server_error")
    assert "x-should-retry" not in answer.headers


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_apis_that_promise_no_truncation_ask_for_none(
    app: App, ollama: FakeOllama, api: str
) -> None:
    app.ask(api, model="strict")
    assert ollama.calls("/api/chat")[-1].json["truncate"] is False

    app.ask(api, model="strict", truncate=True)
    assert ollama.calls("/api/chat")[-1].json["truncate"] is True


def test_a_window_that_is_too_small_is_told_to_agents(app: App) -> None:
    words = "word " * 3_000

    answer = app.ask("messages", model="qwen", num_ctx=512,
                     messages=[{"role": "user", "content": words}])  # fmt: skip

    assert answer.status_code == 400
    assert told(answer)["message"].startswith("prompt is too long: ")


def test_any_object_is_json_on_the_native_path(app: App) -> None:
    answer = app.ask("chat", model="strict", response_format={"type": "json_object"})

    assert isinstance(orjson.loads(text_of(answer)), dict)
    assert "x-gateway-ignored" not in answer.headers


PATTERNED = {
    "type": "object",
    "properties": {"when": {"type": "string", "pattern": r"\d{4}-\d{2}-\d{2}"}},
    "required": ["when"],
}


@pytest.mark.parametrize("model", ["strict", "qwen"])
def test_patterns_do_not_break_a_schema(app: App, model: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": PATTERNED}}
    tool = {"type": "function", "function": {"name": "f", "parameters": PATTERNED}}

    formatted = app.ask("chat", model=model, response_format=form)
    forced = app.ask("chat", model=model, tools=[tool], tool_choice="required")

    assert "when" in orjson.loads(text_of(formatted))
    assert forced.get_json()["choices"][0]["finish_reason"] == "tool_calls"
