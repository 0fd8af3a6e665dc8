"""Chat completion requests: every field of the contract, and nothing dropped in silence."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.chat import Call, ChatRequest, Message
from gateway.dialects.chat.calls import Shown
from gateway.dialects.chat.dialect import CHAT
from gateway.errors import ContextOverflow, GatewayError, InvalidRequest, ModelNotFound
from tests.dialects.making import HELLO, reading, refusal

TOOLS = [{"type": "function", "function": {"name": "time"}}]
SCHEMA = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}},
    "$defs": {"A": {"type": "null"}},
}
INLINED = {"type": "object", "properties": {"a": {"type": "null"}}}


def parse(**body: Any) -> Call:
    return CHAT.parse({"model": "m", "messages": HELLO, **body}, reading())


def request(**body: Any) -> ChatRequest:
    found = parse(**body).request
    assert isinstance(found, ChatRequest)
    return found


def refused(**body: Any) -> tuple[str, str]:
    return refusal({"model": "m", "messages": HELLO, **body}, CHAT)


def param(name: str) -> Any:
    return lambda call: getattr(call.request.params, name)


def asked(name: str) -> Any:
    return lambda call: getattr(call.request, name)


def noted(name: str) -> Any:
    return lambda call: getattr(call, name)


ROWS = {
    "model": ({"model": " Qwen3:8B "}, noted("model"), " Qwen3:8B "),
    "stream": ({"stream": True}, noted("stream"), True),
    "stream text": ({"stream": "true"}, noted("stream"), True),
    "stream_options.include_usage": (
        {"stream": True, "stream_options": {"include_usage": True}},
        noted("include_usage"),
        True,
    ),
    "temperature absent": ({}, lambda call: dict(call.request.params.options), {}),
    "temperature": (
        {"temperature": 0.1, "max_tokens": 5},
        lambda call: dict(call.request.params.options),
        {"temperature": 0.1, "num_predict": 5},
    ),
    "n choices": ({"n": 3}, asked("choices"), 3),
    "logprobs false": ({"logprobs": False, "top_logprobs": 2}, param("logprobs"), False),
    "top_logprobs alone": ({"top_logprobs": 3}, param("logprobs"), True),
    "logit_bias empty": ({"logit_bias": {}}, noted("ignored"), ()),
    "response_format text": ({"response_format": {"type": "text"}}, param("format"), None),
    "response_format text over format": (
        {"response_format": {"type": "text"}, "format": "json"},
        param("format"),
        None,
    ),
    "response_format json_object schema": (
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        param("format"),
        INLINED,
    ),
    "response_format json_schema": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
            }
        },
        param("format"),
        INLINED,
    ),
    "response_format over format": (
        {"response_format": {"type": "json_object"}, "format": {"type": "array"}},
        param("format"),
        "json",
    ),
    "format": ({"format": "json"}, param("format"), "json"),
    "functions": (
        {"functions": [{"name": "time"}]},
        lambda call: [tool.name for tool in call.request.tools],
        ["time"],
    ),
    "functions one call": ({"functions": [{"name": "time"}]}, asked("parallel_tool_calls"), False),
    "functions noted": ({"functions": [{"name": "time"}]}, noted("extra"), Shown(legacy=True)),
    "reasoning_effort minimal": ({"reasoning_effort": "minimal"}, param("effort"), "minimal"),
    "modalities text": ({"modalities": ["text"]}, noted("ignored"), ()),
    "user": ({"user": "ann"}, noted("end_user"), "ann"),
    "safety_identifier": ({"safety_identifier": "s", "user": "ann"}, noted("end_user"), "s"),
    "service_tier": ({"service_tier": "auto"}, noted("extra"), Shown(service_tier=True)),
    "_debug_render_only": ({"_debug_render_only": True}, noted("ignored"), ()),
    "unknown root key": ({"chat_id": 5}, noted("ignored"), ()),
    "chat_template_kwargs rest": (
        {"chat_template_kwargs": {"x": 1}},
        noted("ignored"),
        ("chat_template_kwargs.x",),
    ),
    "extra_body": ({"extra_body": {"n": 2, "top_k": 4}}, asked("n"), 2),
    "prefill thinking": (
        {"messages": [*HELLO, {"role": "assistant", "content": "a"}], "think": True},
        param("think"),
        True,
    ),
    "default_think": ({}, noted("default_think"), None),
}
REFUSED = {
    "model missing": ({"model": None}, "missing_required_parameter", "model"),
    "messages empty": ({"messages": []}, "missing_required_parameter", "messages"),
    "stream": ({"stream": "often"}, "invalid_type", "stream"),
    "stream_options": ({"stream_options": 5}, "invalid_type", "stream_options"),
    "include_usage": (
        {"stream_options": {"include_usage": "x"}},
        "invalid_type",
        "stream_options.include_usage",
    ),
    "n 0": ({"n": 0}, "invalid_value", "n"),
    "n high": ({"n": 9}, "invalid_value", "n"),
    "n type": ({"n": 1.5}, "invalid_type", "n"),
    "logit_bias": ({"logit_bias": {"5": -100}}, "unsupported_parameter", "logit_bias"),
    "response_format type": (
        {"response_format": {"type": "yaml"}},
        "invalid_value",
        "response_format.type",
    ),
    "response_format untyped": (
        {"response_format": {}},
        "missing_required_parameter",
        "response_format.type",
    ),
    "response_format word": ({"response_format": "json"}, "invalid_type", "response_format"),
    "response_format no schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "missing_required_parameter",
        "response_format.json_schema.schema",
    ),
    "response_format no json_schema": (
        {"response_format": {"type": "json_schema"}},
        "missing_required_parameter",
        "response_format.json_schema.schema",
    ),
    "response_format schema type": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": True}}},
        "invalid_type",
        "response_format.json_schema.schema",
    ),
    "modalities audio": ({"modalities": ["text", "audio"]}, "unsupported_value", "modalities"),
    "temperature": ({"temperature": 3}, "invalid_value", "temperature"),
    "extra_body refused too": (
        {"extra_body": {"logit_bias": {"5": 1}}},
        "unsupported_parameter",
        "logit_bias",
    ),
}


@pytest.mark.parametrize(("body", "look", "expected"), ROWS.values(), ids=ROWS)
def test_a_field_does_what_the_contract_says(body: Any, look: Any, expected: Any) -> None:
    assert look(parse(**body)) == expected


@pytest.mark.parametrize(("body", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_a_field_that_cannot_be_honoured_is_refused(body: Any, code: str, param: str) -> None:
    assert refused(**body) == (code, param)


def test_limits_of_one_request_are_settings() -> None:
    body = {"model": "m", "messages": [*HELLO, *HELLO], "tools": TOOLS * 2, "n": 2}

    assert refusal(body, CHAT, max_messages=1) == ("invalid_value", "messages")
    assert refusal(body, CHAT, max_tools=1) == ("invalid_value", "tools")
    assert refusal(body, CHAT, max_n=1) == ("invalid_value", "n")


def test_the_body_is_kept_as_it_came() -> None:
    body = {"model": "m", "messages": HELLO, "extra_body": {"n": 2}}

    assert CHAT.parse(body, reading()).body is body


def test_the_conversation_is_read() -> None:
    assert request().messages == (Message("user", "Hello"),)


@pytest.mark.parametrize(
    ("failure", "param"),
    [
        (InvalidRequest("No.", param="n"), "n"),
        (ContextOverflow("Too long."), "messages"),
        (ContextOverflow("Too long.", param="x"), "x"),
        (ModelNotFound("No such model."), "model"),
        (GatewayError("Broken."), None),
    ],
)
def test_an_error_body_has_all_four_keys(failure: GatewayError, param: str | None) -> None:
    body = CHAT.error_body(failure, "req_1")

    assert body == {
        "error": {
            "message": failure.message,
            "type": failure.type,
            "param": param,
            "code": failure.code,
        }
    }


def test_an_error_is_never_without_words() -> None:
    assert CHAT.error_body(GatewayError(""), "req_1")["error"]["message"] == "internal_error"
