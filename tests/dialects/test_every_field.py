"""Every field of the SDKs' request types has a row here, named after it, that says what becomes of
it (docs/contract). A field the SDKs gain has none, and a test says so.

    ignored       no effect, no notice
    noticed       no effect, but named in `x-gateway-ignored`
    refused       a 400 that names the field
    read          what it becomes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_type_hints

import pytest
from anthropic.types import message_count_tokens_params
from anthropic.types.beta import message_create_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import input_token_count_params, response_create_params

from gateway import dialects
from gateway.core.chat import Call, EmbedRequest, ToolChoice
from gateway.dialects import embeddings as openai_embeddings
from gateway.dialects.base import Dialect
from gateway.errors import InvalidRequest
from tests.dialects.making import HELLO, reading

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CHAT_TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
FLAT_TOOL = {"type": "function", "name": "look", "parameters": SCHEMA}
CLAUDE_TOOL = {"name": "look", "input_schema": SCHEMA}


@dataclass(frozen=True)
class Row:
    """A value of a field, what stands beside it, and what becomes of it: `read` with `expected`,
    a refusal of `code` and `param`, or a `notice`; none of them: nothing at all."""

    value: Any
    beside: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[Any], Any] | None = None
    expected: Any = None
    code: str = ""
    param: str = ""
    notice: str = ""


def ignored(value: Any, **beside: Any) -> Row:
    return Row(value, beside)


def noticed(value: Any, notice: str, **beside: Any) -> Row:
    return Row(value, beside, notice=notice)


def refused(value: Any, code: str = "unsupported_parameter", param: str = "") -> Row:
    return Row(value, code=code, param=param)


def becomes(value: Any, read: Callable[[Any], Any], expected: Any, **beside: Any) -> Row:
    return Row(value, beside, read, expected)


def option(name: str, value: Any, expected: Any = None) -> Row:
    return becomes(value, lambda call: call.request.params.options.get(name), expected or value)


def param(name: str, value: Any, expected: Any, **beside: Any) -> Row:
    return becomes(value, lambda call: getattr(call.request.params, name), expected, **beside)


def asked(name: str, value: Any, expected: Any, **beside: Any) -> Row:
    return becomes(value, lambda call: getattr(call.request, name), expected, **beside)


def said(name: str, value: Any, expected: Any, **beside: Any) -> Row:
    return becomes(value, lambda call: getattr(call, name), expected, **beside)


def echoed(name: str, value: Any, expected: Any, **beside: Any) -> Row:
    return becomes(value, lambda call: call.extra.fields[name], expected, **beside)


def tool_names(call: Call) -> list[str]:
    return [tool.name for tool in call.request.tools]  # type: ignore[union-attr]


def roles(call: Call) -> list[str]:
    return [message.role for message in call.request.messages]  # type: ignore[union-attr]


SAMPLING = {"temperature": option("temperature", 0.5), "top_p": option("top_p", 0.25)}
PENALTIES = {
    "presence_penalty": option("presence_penalty", -1.5),
    "frequency_penalty": option("frequency_penalty", 1.5),
    "seed": option("seed", 7),
    "stop": option("stop", "end", ["end"]),
    "max_tokens": option("num_predict", 9),
    "logit_bias": refused({"50256": -100}),
    "stream": said("stream", True, True),
    "stream_options": said("include_usage", {"include_usage": True}, True, stream=True),
    "user": said("end_user", "somebody", "somebody"),
}
CACHING = {
    "prompt_cache_key": ignored("k"),
    "prompt_cache_options": ignored({"mode": "implicit"}),
    "prompt_cache_retention": ignored("24h"),
}

CHAT = {
    **SAMPLING,
    **PENALTIES,
    **CACHING,
    "model": said("model", "other", "other"),
    "messages": becomes([{"role": "developer", "content": "x"}], roles, ["system"]),
    "audio": ignored({"voice": "ash", "format": "wav"}),
    "function_call": asked(
        "tool_choice",
        {"name": "look"},
        ToolChoice("required", ("look",)),
        functions=[{"name": "look"}],
    ),
    "functions": becomes([{"name": "look"}], tool_names, ["look"]),
    "logprobs": param("logprobs", True, True),
    "max_completion_tokens": option("num_predict", 9),
    "metadata": param("timeout_ms", {"timeout_ms": "5000", "a": "b"}, 5000),
    "modalities": refused(["text", "audio"], "unsupported_value"),
    "moderation": refused({"model": "m"}),
    "n": asked("n", 2, 2),
    "parallel_tool_calls": asked("parallel_tool_calls", False, False, tools=[CHAT_TOOL]),
    "prediction": ignored({"type": "content", "content": "x"}),
    "reasoning_effort": param("think", "high", "high"),
    "response_format": param("format", {"type": "json_object"}, "json"),
    "safety_identifier": said("end_user", "somebody", "somebody"),
    "service_tier": ignored("flex"),
    "store": ignored(True),
    "tool_choice": asked("tool_choice", "required", ToolChoice("required"), tools=[CHAT_TOOL]),
    "tools": becomes([CHAT_TOOL], tool_names, ["look"]),
    "top_logprobs": param("top_logprobs", 3, 3),
    "verbosity": ignored("low"),
    "web_search_options": refused({}),
}

COMPLETIONS = {
    **SAMPLING,
    **PENALTIES,
    "model": said("model", "other", "other"),
    "prompt": asked("prompts", ["a", "b"], ("a", "b")),
    "best_of": refused(3),
    "echo": becomes(True, lambda call: call.extra, "echo"),
    "logprobs": param("top_logprobs", 2, 2),
    "n": asked("n", 2, 2),
    "suffix": asked("suffix", "end", "end"),
}

EMBEDDINGS = {
    "model": becomes("other", lambda request: request.model, "other"),
    "input": becomes("text", lambda request: request.inputs, ("text",)),
    "dimensions": becomes(3, lambda request: request.dimensions, 3),
    "encoding_format": becomes("base64", lambda request: request.encoding, "base64"),
    "user": becomes("somebody", lambda request: request.end_user, "somebody"),
}

RESPONSES = {
    **SAMPLING,
    **CACHING,
    "prompt_cache_key": echoed("prompt_cache_key", "k", "k"),
    "model": said("model", "other", "other"),
    "input": becomes([{"role": "developer", "content": "x"}], roles, ["system"]),
    "background": refused(True),
    "context_management": noticed([{"type": "compaction"}], "context_management"),
    "conversation": refused("conv_1"),
    "include": becomes(["reasoning.encrypted_content"], lambda call: call.extra.encrypted, True),
    "instructions": becomes("Be brief.", roles, ["system", "user"]),
    "max_output_tokens": option("num_predict", 9),
    "max_tool_calls": echoed("max_tool_calls", 3, 3),
    "metadata": echoed("metadata", {"a": "b"}, {"a": "b"}),
    "moderation": refused({"model": "m"}),
    "parallel_tool_calls": asked("parallel_tool_calls", False, False, tools=[FLAT_TOOL]),
    "previous_response_id": refused("resp_0", "previous_response_not_found"),
    "prompt": refused({"id": "pmpt_1"}),
    "reasoning": param("think", {"effort": "high"}, "high"),
    "safety_identifier": said("end_user", "somebody", "somebody"),
    "service_tier": ignored("flex"),
    "store": becomes(False, lambda call: call.extra.store, False),
    "stream": said("stream", True, True),
    "stream_options": ignored({"include_obfuscation": True}, stream=True),
    "text": param("format", {"format": {"type": "json_object"}}, "json"),
    "tool_choice": asked("tool_choice", "required", ToolChoice("required"), tools=[FLAT_TOOL]),
    "tools": becomes([FLAT_TOOL], tool_names, ["look"]),
    "top_logprobs": param("top_logprobs", 3, 3),
    "truncation": param("truncate", "disabled", False),
    "user": said("end_user", "somebody", "somebody"),
    "personality": ignored("friendly"),
    "image": ignored({"size": "auto"}),
    "background_options": ignored({"expires": 1}),
    "access_programs": ignored({"cyber": "trusted"}),
}
RESPONSES_BESIDES = {
    "client_metadata": ignored({"session_id": "x"}),
}
"""Of the API or of Codex, but of no SDK type."""

MESSAGES = {
    "model": said("model", "other", "other"),
    "messages": becomes([{"role": "user", "content": "x"}], roles, ["user"]),
    "max_tokens": option("num_predict", 9),
    "system": becomes("Be brief.", roles, ["system", "user"]),
    "stream": said("stream", True, True),
    "stop_sequences": option("stop", ["end", " "], ["end"]),
    "tools": becomes([CLAUDE_TOOL], tool_names, ["look"]),
    "tool_choice": asked(
        "tool_choice",
        {"type": "tool", "name": "look"},
        ToolChoice("required", ("look",)),
        tools=[CLAUDE_TOOL],
    ),
    "thinking": param("think", {"type": "enabled", "budget_tokens": 1024}, True),
    "output_config": param("think", {"effort": "low", "task_budget": {"total": 1}}, "low"),
    "metadata": said("end_user", {"user_id": "somebody"}, "somebody"),
    "betas": ignored(["context-1m-2025-08-07"]),
    "billing_policy": ignored({"type": "x"}),
    "cache_control": ignored({"type": "ephemeral"}),
    "compaction": noticed({"type": "auto"}, "compaction"),
    "container": noticed("container_1", "container"),
    "context_management": noticed({"edits": []}, "context_management"),
    "diagnostics": ignored({"trace": True}),
    "fallback_credit_token": ignored("x"),
    "fallbacks": ignored([{"model": "m"}]),
    "inference_geo": ignored("eu"),
    "mcp_servers": refused([{"type": "url", "url": "https://mcp.example", "name": "m"}]),
    "service_tier": ignored("auto"),
    "speed": ignored("fast"),
    "thread": refused({"id": "t"}, "thread_unsupported_request"),
    "user_profile_id": ignored("x"),
    "workspace_id": ignored("x"),
}
MESSAGES_BESIDES = {
    **SAMPLING,
    "top_k": option("top_k", 40),
    "output_format": param("format", {"type": "json_schema", "schema": SCHEMA}, SCHEMA),
    "think": param("think", "high", "high"),
    "options": option("num_ctx", {"num_ctx": 4096}, 4096),
    "keep_alive": param("keep_alive", "5m", "5m"),
    "timeout_ms": param("timeout_ms", 5000, 5000),
    "exclude_reasoning": param("hide_thinking", True, True),
    "response_format": param("format", "json_object", "json"),
    "presence_penalty": option("presence_penalty", 1),
    "frequency_penalty": option("frequency_penalty", 1),
    "max_output_tokens": option("num_predict", 9),
}
"""Of older SDKs, or the gateway's own."""


@dataclass(frozen=True)
class Endpoint:
    """A dialect, the smallest body it takes, the SDK's types of a request, and the rows."""

    dialect: Dialect
    body: Mapping[str, Any]
    types: tuple[type, ...]
    rows: Mapping[str, Row]
    besides: Mapping[str, Row] = field(default_factory=dict)


ENDPOINTS = {
    "chat": Endpoint(
        dialects.CHAT,
        {"model": "m", "messages": HELLO},
        (
            chat_create_params.CompletionCreateParamsNonStreaming,
            chat_create_params.CompletionCreateParamsStreaming,
        ),
        CHAT,
    ),
    "completions": Endpoint(
        dialects.COMPLETIONS,
        {"model": "m", "prompt": "p"},
        (
            completion_create_params.CompletionCreateParamsNonStreaming,
            completion_create_params.CompletionCreateParamsStreaming,
        ),
        COMPLETIONS,
    ),
    "embeddings": Endpoint(
        openai_embeddings,
        {"model": "m", "input": "p"},
        (embedding_create_params.EmbeddingCreateParams,),
        EMBEDDINGS,
    ),
    "responses": Endpoint(
        dialects.RESPONSES,
        {"model": "m", "input": "p"},
        (
            response_create_params.ResponseCreateParamsNonStreaming,
            response_create_params.ResponseCreateParamsStreaming,
            input_token_count_params.InputTokenCountParams,
        ),
        RESPONSES,
        RESPONSES_BESIDES,
    ),
    "messages": Endpoint(
        dialects.MESSAGES,
        {"model": "m", "messages": HELLO},
        (
            message_create_params.MessageCreateParamsNonStreaming,
            message_create_params.MessageCreateParamsStreaming,
            message_count_tokens_params.MessageCountTokensParams,
        ),
        MESSAGES,
        MESSAGES_BESIDES,
    ),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
def test_every_field_of_the_sdk_has_a_row(endpoint: Endpoint) -> None:
    fields = {name for each in endpoint.types for name in get_type_hints(each)}

    assert set(endpoint.rows) == fields


CASES = [
    pytest.param(endpoint, name, row, id=f"{word}: {name}")
    for word, endpoint in ENDPOINTS.items()
    for name, row in {**endpoint.rows, **endpoint.besides}.items()
]


@pytest.mark.parametrize(("endpoint", "name", "row"), CASES)
def test_a_field_becomes_what_the_contract_says(endpoint: Endpoint, name: str, row: Row) -> None:
    without = {**endpoint.body, **row.beside}
    with_it = {**without, name: row.value}

    outcome = _outcome(endpoint.dialect, without, with_it, name, row)

    assert outcome == _expected(name, row)


@pytest.mark.parametrize(("endpoint", "name", "row"), CASES)
def test_null_is_as_good_as_absent(endpoint: Endpoint, name: str, row: Row) -> None:
    body = {key: value for key, value in endpoint.body.items() if key != name}

    found = _parsed(endpoint.dialect, {**body, **row.beside, name: None})

    assert found == _parsed(endpoint.dialect, {**body, **row.beside})


def _outcome(dialect: Dialect, without: Any, with_it: Any, name: str, row: Row) -> Any:
    plain, found = _parsed(dialect, without), _parsed(dialect, with_it)
    if isinstance(found, tuple):
        return found
    if row.read is not None:
        return row.read(found)
    notices = found.ignored
    return ("nothing" if _stripped(found) == _stripped(plain) else "something", notices)


def _expected(name: str, row: Row) -> Any:
    if row.code:
        return (row.code, row.param or name)
    if row.read is not None:
        return row.expected
    return ("nothing", (row.notice,) if row.notice else ())


def _parsed(dialect: Dialect, body: Mapping[str, Any]) -> Any:
    """Return the call, without the body it keeps; of a refusal, code and param."""
    try:
        found = dialect.parse(dict(body), reading())
    except InvalidRequest as error:
        return (error.code, error.param)
    return found if isinstance(found, EmbedRequest) else replace(found, body=None)


def _stripped(call: Call) -> Call:
    """Return a call without what only tells of fields: notices, and echoes in the answer."""
    return replace(call, ignored=(), extra=None)
