"""Failures of Ollama that mean something else for the request that meets them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from fake_ollama import FakeOllama, Fault, Script, error
from tests.api.apps import App, told

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
CHATS = ("chat", "responses", "messages")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "pattern": r"^\d+$"}}}
GRAMMAR = "Failed to initialize samplers: failed to parse grammar"
CUT = (
    'llama-server returned invalid tool call arguments for "weather": unexpected end of JSON input'
)
NO_USER = "no user query found in messages"
LIMIT = {"chat": "max_tokens", "responses": "max_output_tokens", "messages": "max_tokens"}
ENDS = {
    "chat": lambda value: value["choices"][0]["finish_reason"],
    "responses": lambda value: value["status"],
    "messages": lambda value: value["stop_reason"],
}
CUT_ENDS = {"chat": "length", "responses": "incomplete", "messages": "max_tokens"}


def tools(api: str) -> dict[str, Any]:
    """Return a tool in the words of an API."""
    function = {"name": "weather", "parameters": SCHEMA}
    match api:
        case "chat":
            return {"tools": [{"type": "function", "function": function}]}
        case "responses":
            return {"tools": [{"type": "function", **function}]}
        case _:
            return {"tools": [{"name": "weather", "input_schema": SCHEMA}]}


def forced(api: str) -> dict[str, Any]:
    choice: Any = {"type": "any"} if api == "messages" else "required"
    return {**tools(api), "tool_choice": choice}


def formatted(api: str) -> dict[str, Any]:
    """Ask for JSON of a schema in the words of an API."""
    match api:
        case "chat":
            shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
            return {"response_format": shape}
        case "responses":
            shape = {"type": "json_schema", "name": "x", "schema": SCHEMA}
            return {"text": {"format": shape}}
        case _:
            return {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}


def end(api: str, answer: TestResponse) -> str:
    """Return how an answer ended, in the words of its API."""
    if answer.is_json:
        return str(ENDS[api](answer.get_json()))
    data = [
        orjson.loads(line.removeprefix(b"data: "))
        for line in answer.get_data().splitlines()
        if line.startswith(b"data: {")
    ]
    match api:
        case "chat":
            return next(
                choice["finish_reason"]
                for frame in data
                for choice in frame["choices"]
                if choice["finish_reason"]
            )
        case "responses":
            return str(data[-1]["response"]["status"])
        case _:
            return next(
                str(frame["delta"]["stop_reason"])
                for frame in data
                if frame["type"] == "message_delta"
            )


@STREAMED
@pytest.mark.parametrize("api", CHATS)
def test_a_call_cut_by_the_limit_ends_as_a_cut_answer(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    ollama.script("llama3.2", Script(fault=error(500, CUT)))

    answer = app.ask(api, stream=stream, **{LIMIT[api]: 20}, **tools(api))

    assert answer.status_code == 200
    assert end(api, answer) == CUT_ENDS[api]
    assert len(ollama.calls("/api/chat")) == 1


@STREAMED
@pytest.mark.parametrize("api", CHATS)
def test_the_text_before_a_cut_call_is_kept(
    app: App, ollama: FakeOllama, api: str, stream: bool
) -> None:
    fault = Fault("error_line", after=2, message=CUT)
    ollama.script("llama3.2", Script(content=["Let me", " look", " up"], fault=fault))

    answer = app.ask(api, stream=stream, **{LIMIT[api]: 20}, **tools(api))

    assert answer.status_code == 200
    assert "Let me" in answer.get_data(as_text=True)
    assert end(api, answer) == CUT_ENDS[api]


@pytest.mark.parametrize("api", CHATS)
def test_a_demanded_call_that_is_cut_ends_as_a_cut_answer(
    app: App, ollama: FakeOllama, api: str
) -> None:
    cut = Script(content='{"city": "Pa', done_reason="length")
    ollama.script("llama3.2", Script(fault=error(500, CUT)), cut)

    answer = app.ask(api, **{LIMIT[api]: 20}, **forced(api))

    assert answer.status_code == 200
    assert end(api, answer) == CUT_ENDS[api]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_without_a_limit_an_unreadable_call_is_a_failure(
    app: App, ollama: FakeOllama, api: str
) -> None:
    ollama.script("llama3.2", Script(fault=error(500, CUT)))

    answer = app.ask(api, **tools(api))

    assert answer.status_code == 502
    assert told(answer)["code"] == "tool_call_parse_error"


def test_a_call_that_is_unreadable_though_whole_is_a_failure(app: App, ollama: FakeOllama) -> None:
    broken = CUT.replace("unexpected end of JSON input", "invalid character 'x'")
    ollama.script("llama3.2", Script(fault=error(500, broken)))

    answer = app.ask("chat", max_tokens=20, **tools("chat"))

    assert (answer.status_code, told(answer)["code"]) == (502, "tool_call_parse_error")


def test_a_cut_call_counts_what_its_limit_allowed(app: App, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(fault=error(500, CUT)))

    usage = app.ask("chat", max_tokens=20, **tools("chat")).get_json()["usage"]

    assert usage["completion_tokens"] == 20
    assert usage["prompt_tokens"] > 0


@STREAMED
@pytest.mark.parametrize(
    ("api", "param"), [("chat", "messages"), ("completions", "prompt"), ("responses", "input")]
)
def test_a_conversation_cut_until_no_user_was_left_is_too_long(
    app: App, ollama: FakeOllama, api: str, param: str, stream: bool
) -> None:
    ollama.script("llama3.2", Script(fault=error(500, NO_USER)))

    answer = app.ask(api, stream=stream)

    assert answer.status_code == 400
    assert (told(answer)["code"], told(answer)["param"]) == ("context_length_exceeded", param)


@STREAMED
def test_agents_on_messages_read_the_sizes(app: App, ollama: FakeOllama, stream: bool) -> None:
    ollama.script("llama3.2", Script(fault=error(500, NO_USER)))

    answer = app.ask("messages", stream=stream, num_ctx=2048)

    assert answer.status_code == 400
    assert told(answer)["message"] == "prompt is too long: 2049 tokens > 2048 maximum"


def test_a_conversation_without_a_user_is_refused_as_it_is(app: App, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(fault=error(500, NO_USER)))

    answer = app.ask("chat", messages=[{"role": "assistant", "content": "Hello."}])

    assert answer.status_code == 400
    assert told(answer) == {
        "message": NO_USER,
        "type": "invalid_request_error",
        "param": "messages",
        "code": "upstream_invalid_request",
    }


@STREAMED
@pytest.mark.parametrize(
    ("api", "param"), [("chat", "response_format"), ("responses", "text.format")]
)
def test_a_schema_that_cannot_be_used_is_named_as_the_api_calls_it(
    app: App, ollama: FakeOllama, api: str, param: str, stream: bool
) -> None:
    ollama.script("llama3.2", Script(fault=error(400, GRAMMAR)))

    answer = app.ask(api, stream=stream, **formatted(api))

    assert answer.status_code == 400
    assert told(answer)["param"] == param


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_schema_of_a_demanded_call_is_that_of_the_tools(
    app: App, ollama: FakeOllama, api: str
) -> None:
    script = Script(fault=error(400, GRAMMAR), when=lambda body: "format" in body)
    ollama.script("llama3.2", script, Script(content="No."))

    answer = app.ask(api, **forced(api))

    assert answer.status_code == 400
    assert told(answer)["param"] == "tools"


@pytest.mark.parametrize(("more", "name"), [(formatted, "output_config.format"), (forced, "tools")])
def test_messages_name_the_field_in_the_sentence(
    app: App, ollama: FakeOllama, more: Any, name: str
) -> None:
    script = Script(fault=error(400, GRAMMAR), when=lambda body: "format" in body)
    ollama.script("llama3.2", script, Script(content="No."))

    answer = app.ask("messages", **more("messages"))

    assert answer.status_code == 400
    assert told(answer)["message"] == f"{name}: {GRAMMAR}"
