"""Turns what Ollama says when it fails into the errors of this gateway.

Ollama answers with a status and `{"error": "text"}`, or, once a stream has begun, with one more
line of that shape. The text may itself be JSON of the runner (`server/routes.go streamResponse`,
llama-server's error object). A few statuses say all there is to say. With every other one the text
matters more: a missing capability or an overlong prompt arrives as 400, 500 or 501, depending on
the path the model took through Ollama. So the text is read by table, and the status decides the
rest.

Texts are for the caller's eyes: addresses, file paths and markup are taken out of them. Runners and
proxies may quote the request in them, so records keep only the words that are known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.core.chat import Json
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

MAX_TEXT: Final = 500
_TAIL: Final = 120
_UNKNOWN: Final = "The Ollama server answered with an error; its words are kept with texts only."
DEFAULT_RETRY_S: Final = 10
MAX_RETRY_S: Final = 86_400
FORMAT_PARAM: Final = "response_format"

_PROMPT_PARAM: Final = {
    "/api/chat": "messages",
    "/api/generate": "prompt",
    "/api/embed": "input",
    "/v1/systemone": "state",
}

_OVERFLOW: Final = re.compile(
    r"context length|context size|context window|exceeds the available context|prompt is too long",
    re.IGNORECASE,
)
_NO_EMBEDDINGS: Final = "This model does not make embeddings: choose an embedding model."
"""Ollama's sentence is about the switches of its runner, which callers cannot set."""
_CAPABILITIES: Final[tuple[tuple[re.Pattern[str], str, str | None], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), code, param)
    for pattern, code, param in (
        (r"does not support tools", "tools_not_supported", "tools"),
        (r"does not support insert", "insert_not_supported", "suffix"),
        (r"does not support (?:chat|generate|completion)", "chat_not_supported", "model"),
        (r"does not support embed", "embeddings_not_supported", "model"),
        (
            r"image input is not supported|not support (?:image|vision)|multimodal.*not support",
            "vision_not_supported",
            None,
        ),
        (r"audio input is not supported|not support audio", "audio_not_supported", None),
    )
)
_FORMAT: Final = re.compile(
    r"invalid (?:json schema|format)\b|failed to (?:parse|load) grammar"
    r"|failed to initialize samplers|JSON schema conversion failed|unrecognized schema"
    r"|error resolving ref|pattern must start with",
    re.IGNORECASE,
)
"""The caller's schema, though Ollama answers 500 for some of these."""
_NO_USER_TURN: Final = re.compile(r"no user query found", re.IGNORECASE)
_TEMPLATE: Final = re.compile(
    r"jinja exception|no user query found|system message must be at the beginning", re.IGNORECASE
)
"""A chat template that refuses the conversation: 500, though another conversation would pass."""
_CUT_CALL: Final = "unexpected end of JSON input"
_TOOL_CALL: Final = re.compile(r"invalid tool call arguments|error parsing tool call")
_BUSY: Final = re.compile(r"server busy|maximum pending requests|no slots available", re.IGNORECASE)
_MODEL_GONE: Final = re.compile(r"model .{0,400}not found|try pulling it first", re.IGNORECASE)
_RUNNER_DIED: Final = re.compile(
    r"unexpectedly stopped"
    r"|error was encountered while running the model"
    r"|(?:runner|llama-server) process (?:has terminated|is no longer running|no longer running)"
    r"|out-of-memory during startup",
    re.IGNORECASE,
)
"""Killed, crashed, or out of memory: before its first word (500) or in the middle of an answer."""

_ADDRESS: Final = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+"  # any URL
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"  # IPv4, with or without port
    r"|\[[0-9a-f]*:[0-9a-f:.]+\](?::\d+)?",  # bracketed IPv6
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"(?<![\w.])(?:/[\w.@+-]+){2,}|\b[A-Za-z]:\\[^\s\"']+")
_REGISTRY: Final = re.compile(r"registry\.ollama\.ai/(?:library/)?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_COUNTS: Final = re.compile(
    r"\((\d+) tokens\).*?\((\d+) tokens\)|(\d+) tokens?\b.*?> ?(\d+)", re.IGNORECASE | re.DOTALL
)


_MEMORY: Final = re.compile(
    r"requires more system memory \([\d.]+ \w+\) than is available \([\d.]+ \w+\)|out of memory",
    re.IGNORECASE,
)
_KNOWN: Final = (
    *(_OVERFLOW, _MEMORY, *(pattern for pattern, _, _ in _CAPABILITIES), _FORMAT, _TEMPLATE),
    *(_TOOL_CALL, _BUSY, _RUNNER_DIED),
)


@dataclass(frozen=True, slots=True)
class Said:
    """The readable text of an error body, and the sizes of an overlong prompt (0: untold)."""

    text: str
    prompt_tokens: int = 0
    context_tokens: int = 0


def from_status(status: int, body: bytes, retry_after: str | None, endpoint: str) -> GatewayError:
    """Return the error for an answer of Ollama whose status is not 200 (docs/contract/errors.md).

    `endpoint` is the path that was called; `retry_after` the header of that name.
    """
    said = read_body(body)
    return _recorded(_of_status(status, said, retry_after, endpoint), said.text)


def _recorded(error: GatewayError, text: str) -> GatewayError:
    """Set what records keep of `text`: what is known of it, as all may hold the caller's words."""
    if text:
        found = next((found[0] for known in _KNOWN if (found := known.search(text))), "")
        error.recorded = f"The Ollama server: {found}" if found else _UNKNOWN
    return error


def _of_status(status: int, said: Said, retry_after: str | None, endpoint: str) -> GatewayError:
    text = said.text
    match status:
        case 401:  # D51: not the caller's 401, which would make people change their key of ours
            return UpstreamError(
                "The Ollama server wants other credentials; an administrator must sign it in.",
                code="upstream_unauthorized",
                should_retry=False,
            )
        case 403:
            text = text or "The Ollama server refused this request."
            return Forbidden(text, code="upstream_forbidden")
        case 404 if _MODEL_GONE.search(text):
            return ModelNotFound(text, param="model")
        case 404 | 405 if endpoint == "/v1/systemone":
            return too_old_for_decisions()
        case 404 | 405:
            return UpstreamError(
                "The Ollama server does not know this endpoint; it may be too old.",
                code="upstream_endpoint_missing",
                should_retry=False,
            )
        case 429:
            return _rate_limited(text, retry_after)
        case 503:
            return _busy(text, retry_after)
        case 504:
            return UpstreamTimeout(text or "The Ollama server ran into a time limit.")
    if status < 400:
        return bad_response(f"an answer with the unexpected status {status}")
    known = _from_text(said, endpoint)
    if known is not None or status >= 500:
        return known or _failed(text)
    return InvalidRequest(
        text or f"The Ollama server refused the request with status {status}.",
        code="upstream_invalid_request",
    )


def from_line(error: Json, endpoint: str = "/api/chat") -> GatewayError:
    """Return the error for a stream record `{"error": ...}`; `error` is the value found there."""
    said = _said(error)
    return _recorded(_from_text(said, endpoint) or _failed(said.text), said.text)


def misses_user_turn(error: GatewayError) -> bool:
    """Whether a template found no turn of the user in what was left of the conversation."""
    return isinstance(error, InvalidRequest) and bool(_NO_USER_TURN.search(error.message))


def is_full_queue(error: GatewayError) -> bool:
    """Whether Ollama's own queue of models to load is full: it has room again in a moment."""
    return error.code == "upstream_busy" and bool(_BUSY.search(error.message))


def is_bad_schema(error: GatewayError) -> bool:
    """Whether the `format` of the request could not be used."""
    return isinstance(error, InvalidRequest) and error.param == FORMAT_PARAM


def is_cut_call(error: GatewayError) -> bool:
    """Whether a tool call ended before it was whole."""
    return error.code == "tool_call_parse_error" and _CUT_CALL in error.message


def too_old_for_decisions() -> CapabilityMissing:
    """Return the error for decisions on a server that does not know them yet."""
    return CapabilityMissing(
        "Decisions need Ollama 0.35 or later, and the server of this model is older.",
        code="decisions_not_supported",
        param="model",
    )


def bad_response(what: str) -> UpstreamError:
    """Return the error for an answer that cannot be understood; `what` completes the sentence."""
    return UpstreamError(f"The Ollama server gave {what}.", code="upstream_bad_response")


def broke_off() -> UpstreamError:
    """Return the error for an answer that ended before its last record, however it ended."""
    return UpstreamError(
        "The connection to the Ollama server broke in the middle of the answer.",
        code="upstream_disconnected",
    )


def nameless_call() -> UpstreamError:
    """Return the error for an answer that is nothing but a tool call without a name."""
    return UpstreamError(
        "The model called a tool without naming it; try again.", code="tool_call_parse_error"
    )


def read_body(body: bytes) -> Said:
    """Read an error body: JSON with `error`, or plain text. Markup says nothing to a caller: ''."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()
        return Said("" if text.startswith("<") else tidy(text))
    return _said(value.get("error", "") if isinstance(value, dict) else value)


def tidy(text: str) -> str:
    """Return `text` without addresses, paths and control characters, at most 500 characters: of a
    longer one the beginning and the end, where the reason stands."""
    text = _REGISTRY.sub("", text)
    text = _ADDRESS.sub("[address]", text)
    text = _PATH.sub("[path]", text)
    text = _CONTROL.sub(" ", text).strip()
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[: MAX_TEXT - _TAIL - 3]} … {text[-_TAIL:]}"


def _said(value: Json) -> Said:
    """Unwrap a string, `{"message": ...}`, or a string holding the runner's JSON (F25)."""
    if isinstance(value, str):
        inner = _inner_json(value)
        if inner is None:
            return _with_counts(tidy(value))
        value = inner.get("error", inner)
    if isinstance(value, str):
        return _with_counts(tidy(value))
    if not isinstance(value, dict):
        return Said("")
    message = value.get("message")
    said = _with_counts(tidy(message) if isinstance(message, str) else "")
    return Said(
        said.text or str(value.get("type") or ""),
        _count(value.get("n_prompt_tokens")) or said.prompt_tokens,
        _count(value.get("n_ctx")) or said.context_tokens,
    )


def _inner_json(text: str) -> dict[str, Json] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _with_counts(text: str) -> Said:
    found = _COUNTS.search(text)
    if found is None:
        return Said(text)
    prompt, context = (int(number) for number in found.groups() if number is not None)
    return Said(text, prompt, context)


def _count(value: Json) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _from_text(said: Said, endpoint: str) -> GatewayError | None:
    """Return the error the text alone decides, if it does."""
    text, prompt_param = said.text, _PROMPT_PARAM.get(endpoint, "messages")
    if _OVERFLOW.search(text):
        sizes = {"prompt_tokens": said.prompt_tokens, "context_tokens": said.context_tokens}
        told = {name: size for name, size in sizes.items() if size}
        return ContextOverflow(text, param=prompt_param, detail=told)
    for pattern, code, param in _CAPABILITIES:
        if pattern.search(text):
            return CapabilityMissing(
                _NO_EMBEDDINGS if code == "embeddings_not_supported" else text,
                code=code,
                param=param or prompt_param,
            )
    if _FORMAT.search(text):
        return InvalidRequest(text, param=FORMAT_PARAM)
    if _TOOL_CALL.search(text):
        return UpstreamError(text, code="tool_call_parse_error")
    if _TEMPLATE.search(text):
        return InvalidRequest(text, param=prompt_param, code="upstream_invalid_request")
    if _BUSY.search(text):
        return _busy(text, None)
    return None


def _failed(text: str) -> UpstreamError:
    """A repeat helps only where the runner merely died (D50)."""
    if _RUNNER_DIED.search(text):
        return RunnerDied(text)
    return UpstreamError(text or "The Ollama server failed without saying why.", should_retry=False)


def _busy(text: str, retry_after: str | None) -> GatewayError:
    return Unavailable(
        text or "The Ollama server is busy; try again shortly.",
        code="upstream_busy",
        retry_after_s=_seconds(retry_after, 5),
    )


def _rate_limited(text: str, retry_after: str | None) -> GatewayError:
    seconds = _seconds(retry_after, DEFAULT_RETRY_S)
    text = text or "The Ollama server is rate limited."
    return RateLimited(
        text if str(seconds) in text else f"{text} (try again in {seconds} seconds)",
        code="upstream_rate_limited",
        retry_after_s=seconds,
    )


def _seconds(retry_after: str | None, default_s: int) -> int:
    """Read a Retry-After of whole seconds, at most a day; how much of it is told to callers is
    decided where the answer is made (D50)."""
    text = (retry_after or "").strip()
    if not (text.isascii() and text.isdigit()):
        return default_s
    return min(max(int(text[:9]), 1), MAX_RETRY_S)
