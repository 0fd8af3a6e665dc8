"""What Ollama says when it fails, and what a caller gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import (
    CapabilityMissing,
    ContextOverflow,
    Forbidden,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    RunnerDied,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.ollama import faults

NESTED = json.dumps(
    {
        "error": {
            "code": 400,
            "message": "request (9120 tokens) exceeds the available context size (8192 tokens), "
            "try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 9121,
            "n_ctx": 8193,
        }
    }
)
STOPPED = "model runner has unexpectedly stopped, this may be due to resource limitations"

STATUSES: dict[str, Any] = {
    "thinking": (400, '"x" does not support thinking', InvalidRequest, 400,
     "upstream_invalid_request", {"message": '"x" does not support thinking'}),
    "tools": (400, "registry.ollama.ai/library/x:latest does not support tools", CapabilityMissing,
     400, "tools_not_supported", {"param": "tools", "message": "x:latest does not support tools"}),
    "insert": (400, "registry.ollama.ai/u/x:1 does not support insert", CapabilityMissing, 400,
     "insert_not_supported", {"param": "suffix", "message": "u/x:1 does not support insert"}),
    "chat": (400, '"x" does not support chat', CapabilityMissing, 400, "chat_not_supported",
     {"param": "model"}),
    "generate": (400, '"x" does not support generate', CapabilityMissing, 400,
     "chat_not_supported", {}),
    "embeddings": (500, "this model does not support embeddings", CapabilityMissing, 400,
     "embeddings_not_supported", {"param": "model"}),
    "embeddings of a chat model": (501,
     "This server does not support embeddings. Start it with `--embeddings`", CapabilityMissing,
     400, "embeddings_not_supported", {"param": "model",
     "message": "This model does not make embeddings: choose an embedding model."}),
    "another 501": (501, "not implemented", UpstreamError, 502, "upstream_error", {}),
    "a text with a status of a proxy": (502, "image input is not supported", CapabilityMissing,
     400, "vision_not_supported", {}),
    "a text with a status that says enough": (503, "model 'x' does not support tools", Unavailable,
     503, "upstream_busy", {}),
    "image nested in 500": (500, json.dumps({"error": {"message":
     "image input is not supported - hint: you may need the mmproj"}}), CapabilityMissing, 400,
     "vision_not_supported", {"param": "messages"}),
    "image MLX": (400, "this model does not support image input", CapabilityMissing, 400,
     "vision_not_supported", {}),
    "audio": (500, "audio input is not supported", CapabilityMissing, 400, "audio_not_supported",
     {}),
    "overflow nested": (400, NESTED, ContextOverflow, 400, "context_length_exceeded",
     {"param": "messages", "detail": {"prompt_tokens": 9121, "context_tokens": 8193}}),
    "overflow MLX": (400, "input length (9000 tokens) exceeds the model's maximum context length "
     "(8000 tokens)", ContextOverflow, 400, "context_length_exceeded",
     {"detail": {"prompt_tokens": 9000, "context_tokens": 8000}}),
    "overflow without numbers": (400, "the prompt is longer than the context length currently "
     "available to the model", ContextOverflow, 400, "context_length_exceeded", {"detail": {}}),
    "overflow as Anthropic says it": (500, "prompt is too long: 210000 tokens > 200000 maximum",
     ContextOverflow, 400, "context_length_exceeded",
     {"detail": {"prompt_tokens": 210000, "context_tokens": 200000}}),
    "other 400": (400, "invalid model name", InvalidRequest, 400, "upstream_invalid_request", {}),
    "422": (422, "odd", InvalidRequest, 400, "upstream_invalid_request", {}),
    "413 of a proxy": (413, "", InvalidRequest, 400, "upstream_invalid_request",
     {"message": "The Ollama server refused the request with status 413."}),
    "model gone": (404, "model 'x' not found", ModelNotFound, 404, "model_not_found",
     {"param": "model"}),
    "model gone, embed": (404, 'model "x" not found, try pulling it first', ModelNotFound, 404,
     "model_not_found", {}),
    "405": (405, "405 method not allowed", UpstreamError, 502, "upstream_endpoint_missing",
     {"should_retry": False}),
    "401": (401, "unauthorized", UpstreamError, 502, "upstream_unauthorized",
     {"should_retry": False}),
    "403": (403, "ollama cloud is disabled: remote model is unavailable", Forbidden, 403,
     "upstream_forbidden", {"message": "ollama cloud is disabled: remote model is unavailable"}),
    "403 empty": (403, "", Forbidden, 403, "upstream_forbidden",
     {"message": "The Ollama server refused this request."}),
    "429": (429, "slow down", RateLimited, 429, "upstream_rate_limited", {"retry_after_s": 10}),
    "503": (503, "server busy, please try again.  maximum pending requests exceeded", Unavailable,
     503, "upstream_busy", {"retry_after_s": 5}),
    "503 empty": (503, "", Unavailable, 503, "upstream_busy", {}),
    "no slot": (500, "no slots available after 10 retries", Unavailable, 503, "upstream_busy", {}),
    "500": (500, "model requires more system memory (9 GiB) than is available (4 GiB)",
     UpstreamError, 502, "upstream_error", {"should_retry": False}),
    "runner died": (500, STOPPED, RunnerDied, 502, "upstream_error", {"should_retry": None}),
    "runner killed": (500, "an error was encountered while running the model: unexpected EOF",
     RunnerDied, 502, "upstream_error", {"should_retry": None}),
    "runner out of memory": (500,
     "llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory",
     RunnerDied, 502, "upstream_error", {"should_retry": None}),
    "runner of older versions": (500, "llama runner process has terminated: signal: killed",
     RunnerDied, 502, "upstream_error", {"should_retry": None}),
    "out of memory at the start": (500, "llama-server reported out-of-memory during startup: x",
     RunnerDied, 502, "upstream_error", {"should_retry": None}),
    "500 empty": (500, "", UpstreamError, 502, "upstream_error",
     {"message": "The Ollama server failed without saying why."}),
    "502": (502, "dial tcp: lookup ollama.com", UpstreamError, 502, "upstream_error", {}),
    "504": (504, "", UpstreamTimeout, 504, "upstream_timeout", {"should_retry": False}),
    "tool call": (500, 'llama-server returned invalid tool call arguments for "f": unexpected end',
     UpstreamError, 502, "tool_call_parse_error", {"should_retry": None}),
    "harmony": (500, "error parsing tool call: raw='{', err=EOF", UpstreamError, 502,
     "tool_call_parse_error", {}),
    "204": (204, "", UpstreamError, 502, "upstream_bad_response", {}),
    "307": (307, "", UpstreamError, 502, "upstream_bad_response", {}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "text", "kind", "public", "code", "more"), STATUSES.values(), ids=STATUSES
)
def test_a_status_and_its_text_become_an_error(
    status: int, text: str, kind: type[GatewayError], public: int, code: str, more: dict[str, Any]
) -> None:
    error = faults.from_status(status, json.dumps({"error": text}).encode(), None, "/api/chat")

    assert type(error) is kind
    assert (error.status, error.code) == (public, code)
    assert error.message
    for name, value in more.items():
        assert getattr(error, name) == value


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/api/chat", "messages"),
        ("/api/generate", "prompt"),
        ("/api/embed", "input"),
        ("/x", "messages"),
    ],
)
def test_the_field_named_is_that_of_the_endpoint(path: str, param: str) -> None:
    overflow = faults.from_status(400, b'{"error":"context length"}', None, path)
    blind = faults.from_status(500, b'{"error":"image input is not supported"}', None, path)

    assert (overflow.param, blind.param) == (param, param)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 10), ("7", 7), (" 7 ", 7), ("0", 1), ("600", 600), ("9" * 30, 86_400), ("-1", 10),
     ("soon", 10), ("٧", 10)],
)  # fmt: skip
def test_retry_after_is_read_leniently(header: str | None, seconds: int) -> None:
    assert faults.from_status(429, b"", header, "/api/chat").retry_after_s == seconds


BODIES: list[tuple[bytes, str]] = [
    (b'{"error":"plain"}', "plain"),
    (b'{"error":{"message":"inner"}}', "inner"),
    (b'{"error":{"type":"odd_error"}}', "odd_error"),
    (b'{"error":{"error":"x"}}', ""),
    (b'{"error":"{\\"error\\":\\"deep\\"}"}', "deep"),
    (b'{"error":"{\\"message\\":\\"flat\\"}"}', "flat"),
    (b'{"error":"{not json"}', "{not json"),
    (b'{"error":"[1]"}', "[1]"),
    (b'{"error":5}', ""),
    (b'{"StatusCode":404,"error":"far away"}', "far away"),
    (b"{}", ""),
    (b'"text"', "text"),
    (b"404 page not found", "404 page not found"),
    (b"<html>secret</html>", ""),
    (b"\xff\xfe", "��"),
    (b"", ""),
    (b"x" * 900 + b"err=EOF", "x" * 377 + " … " + "x" * 113 + "err=EOF"),
]


@pytest.mark.parametrize(("body", "text"), BODIES)
def test_the_text_is_found_wherever_it_is(body: bytes, text: str) -> None:
    assert faults.read_body(body).text == text


TEXTS: list[tuple[str, str]] = [
    ("dial tcp 10.0.0.5:11434: connect: refused", "dial tcp [address]: connect: refused"),
    ("Get http://gpu.lan:11434/api?k=secret failed", "Get [address] failed"),
    ("lookup [fe80::1]:80 failed", "lookup [address] failed"),
    ("open /root/.ollama/models/blobs/sha256-ab: denied", "open [path]: denied"),
    ("open C:\\models\\x.gguf failed", "open [path] failed"),
    ("a/b and 1/2 stay", "a/b and 1/2 stay"),
    ("registry.ollama.ai/library/x:1 is gone", "x:1 is gone"),
    ("two\nlines\x00\u2028here", "two lines here"),
    ("version 0.33.0 of 1.2.3", "version 0.33.0 of 1.2.3"),
]


@pytest.mark.parametrize(("text", "tidy"), TEXTS)
def test_texts_lose_addresses_and_paths(text: str, tidy: str) -> None:
    assert faults.tidy(text) == tidy


LINES: list[tuple[Any, type[GatewayError], str]] = [
    ("an error was encountered while running the model: unexpected EOF", RunnerDied,
     "upstream_error"),
    ("llama-server chat error: map[code:500 message:x type:server_error]", UpstreamError,
     "upstream_error"),
    (NESTED, ContextOverflow, "context_length_exceeded"),
    ("server busy", Unavailable, "upstream_busy"),
    ({"message": "does not support tools"}, CapabilityMissing, "tools_not_supported"),
    (None, UpstreamError, "upstream_error"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "code"), LINES)
def test_an_error_line_is_mapped_as_a_status_would_be(
    value: Any, kind: type[GatewayError], code: str
) -> None:
    error = faults.from_line(value)

    assert (type(error), error.code) == (kind, code)


SCHEMA_TEXTS = [
    "Failed to initialize samplers: failed to parse grammar",
    "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\nUnrecognized schema: x",
    "Unable to generate parser for this template. Automatic parser generation failed: "
    "JSON schema conversion failed: Pattern must start with '^' and end with '$'",
    "Error resolving ref #/$defs/zz: zz not in {}",
    'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object',
]


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("text", SCHEMA_TEXTS)
def test_a_schema_that_cannot_be_used_is_the_callers(text: str, status: int) -> None:
    nested = json.dumps({"error": {"message": text, "type": "invalid_request_error"}})

    error = faults.from_status(status, json.dumps({"error": nested}).encode(), None, "/api/chat")

    assert (type(error), error.code) == (InvalidRequest, "invalid_value")
    assert faults.is_bad_schema(error)
    assert faults.is_bad_schema(faults.from_line(nested))


def test_a_long_call_that_was_cut_is_known_by_its_end() -> None:
    cut = "error parsing tool call: raw='" + "x" * 900 + "', err=unexpected end of JSON input"
    unreadable = "error parsing tool call: raw='{]', err=invalid character ']'"

    assert faults.is_cut_call(faults.from_line(cut))
    assert not faults.is_cut_call(faults.from_line(unreadable))
