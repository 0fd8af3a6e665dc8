"""Answers of `/api/chat` and `/api/generate` as lines of JSON (docs/contract/native.md).

    text, thinking    a line for each piece, never both in one
    a call            a line of its own
    end               a last line with the reason and Ollama's counters
    failure           a last line `{"error": …}`
    a long wait       a line that says nothing, where others get a comment

A line of text is constant bytes, made once an answer, around one JSON string: this runs once a
token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import (
    Batch,
    Event,
    Failed,
    Finish,
    Ping,
    Reply,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDone,
    Usage,
)
from gateway.dialects.native.words import error_body, written
from gateway.dialects.shared.sse import quote
from gateway.errors import GatewayError

MEDIA_TYPE = "application/x-ndjson"
_COUNTERS = (
    ("total_duration", "total_ns"),
    ("load_duration", "load_ns"),
    ("prompt_eval_count", "prompt_tokens"),
    ("prompt_eval_cached_count", "cached_tokens"),
    ("prompt_eval_duration", "prompt_ns"),
    ("eval_count", "completion_tokens"),
    ("eval_duration", "eval_ns"),
)
"""Ollama's counters and ours, in its order; those that are zero are left out."""
Said: TypeAlias = Callable[[Json, Json, Sequence[Json]], dict[str, Json]]
"""Returns the fields of a line for text, thinking and calls."""


def render(replies: Sequence[Reply], envelope: Envelope, said: Said) -> Json:
    """Return the whole answer as one object."""
    reply = replies[0]
    calls = [call_object(call, index) for index, call in enumerate(reply.tool_calls)]
    answer = {**_head(envelope), **said(reply.text, reply.thinking, calls), **_end(reply.finish)}
    if envelope.call.loads:
        answer["done_reason"] = "load"
    if reply.logprobs:
        answer["logprobs"] = [token_object(token) for token in reply.logprobs]
    return answer


def error_line(error: GatewayError) -> bytes:
    """Return the last line of a stream that failed."""
    return orjson.dumps(error_body(error)) + b"\n"


class LineWriter:
    """Turns the batches of one answer into lines. `said` is the dialect's; `text_start` and
    `text_end` stand around the JSON string of a piece of text."""

    def __init__(self, envelope: Envelope, said: Said, text_start: bytes, text_end: bytes) -> None:
        self._said = said
        self._head = _head(envelope)
        self._start = orjson.dumps(self._head)[:-1] + b"," + text_start
        self._end = text_end + b',"done":false}\n'
        self._keeps_alive = envelope.sse_keepalive == "comments_and_chunks"
        self._calls = 0
        self.ended = False

    def preamble(self) -> bytes:
        """Return nothing: the first line is the first piece of the answer."""
        return b""

    def write(self, batch: Batch) -> bytes:
        """Return the lines of one batch, joined; empty when there is nothing to say."""
        parts: list[bytes] = []
        start, end = self._start, self._end
        for event in batch[1]:
            if type(event) is TextDelta and not event.logprobs:  # a match costs twice as much
                text = event.text
                parts += (start, orjson.dumps(text) if text.isascii() else quote(text), end)
            else:
                parts.append(self._other(event))
            if self.ended:
                break
        return b"".join(parts)

    def _other(self, event: Event) -> bytes:
        match event:
            case TextDelta(text, logprobs):
                told = {"logprobs": [token_object(token) for token in logprobs]}
                return self._line(self._said(_quoted(text), "", ()), {"done": False, **told})
            case ThinkingDelta(text):
                return self._line(self._said("", _quoted(text), ()), {"done": False})
            case ToolCallDone():
                call = call_object(event, self._calls)
                self._calls += 1
                return self._line(self._said("", "", (call,)), {"done": False})
            case Finish():
                self.ended = True
                return self._line(self._said("", "", ()), _end(event))
            case Failed(error):
                self.ended = True
                return error_line(error)
            case Ping() if self._keeps_alive:
                return self._line(self._said("", "", ()), {"done": False})
            case _:
                return b""

    def _line(self, said: dict[str, Json], rest: dict[str, Json]) -> bytes:
        return orjson.dumps({**self._head, **said, **rest}) + b"\n"


def call_object(call: ToolCallDone, index: int) -> Json:
    """Return a call of the model; `index` counts those of the answer."""
    function = {
        "index": index,
        "name": call.name,
        "arguments": orjson.Fragment(call.arguments),
    }
    return {"id": call.id, "function": function} if call.id else {"function": function}


def token_object(token: TokenLogprob) -> Json:
    """Return one token of visible text with its alternatives (D53)."""
    found = _token(token)
    if token.top:
        found["top_logprobs"] = [_token(other) for other in token.top]
    return found


def _token(token: TokenLogprob) -> dict[str, Json]:
    found: dict[str, Json] = {"token": token.token, "logprob": token.logprob}
    if token.utf8 is not None:
        found["bytes"] = list(token.utf8)
    return found


def _head(envelope: Envelope) -> dict[str, Json]:
    """Return what every line begins with; the time is that of the answer's beginning."""
    return {
        "model": envelope.call.model,
        "created_at": written(datetime.fromtimestamp(envelope.created, UTC)),
    }


def _end(finish: Finish) -> dict[str, Json]:
    reason = "length" if finish.reason == "length" else "stop"
    end = {"done": True, "done_reason": reason, **counters(finish.usage)}
    if finish.context:
        end["context"] = orjson.Fragment(finish.context)
    return end


def counters(usage: Usage) -> dict[str, Json]:
    """Return Ollama's counters, without those that are zero."""
    found = {name: getattr(usage, ours) for name, ours in _COUNTERS}
    return {name: value for name, value in found.items() if value}


def _quoted(text: str) -> Json:
    return orjson.Fragment(quote(text))
