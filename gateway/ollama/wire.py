"""Ollama's language, both ways: requests to JSON bytes, NDJSON lines to events.

Rules of the stream (observed on Ollama's wire, `server/routes.go`):

    every line     may carry text, thinking and tool calls, the last one too
    tool calls     arrive whole; several lines may each bring some
    last line      `done: true`, alone has counters; an absent counter is zero
    error line     `{"error": "text"}`, then the body ends although the status was 200
    no last line   the runner gave up; the answer has failed, after what came of it
    no line at all nothing that could be called an answer

A `Decoder` never raises: what cannot be understood becomes a `Failed` event. Counters of the wrong
type are taken as far as they go and the usage is marked as estimated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from gateway.core.chat import (
    ChatRequest,
    CompletionRequest,
    DecisionRequest,
    EmbedRequest,
    Json,
    Message,
    Params,
    Question,
    Sendable,
    Tool,
)
from gateway.core.events import Event, Failed, Finish, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.errors import GatewayError, InvalidRequest
from gateway.ollama import faults, records
from gateway.ollama.records import ABSENT, WHOLE_NUMBER, Call, Counts, Last, Line

log = logging.getLogger(__name__)

_BOM: Final = b"\xef\xbb\xbf"


# -- requests --------------------------------------------------------------------------------------


def path_of(request: Sendable) -> str:
    """Return where a request goes at Ollama."""
    match request:
        case ChatRequest():
            return "/api/chat"
        case CompletionRequest():
            return "/api/generate"
        case EmbedRequest():
            return "/api/embed"
        case DecisionRequest():
            return "/v1/systemone"


def encode(request: Sendable, name: str, choice: int = 0) -> bytes:
    """Return the bytes of `body`. Raises InvalidRequest for a value JSON cannot hold."""
    return _dump(body(request, name, choice))


def body(request: Sendable, name: str, choice: int = 0) -> dict[str, Json]:
    """Return what is posted to `path_of(request)` for one choice of a request; `name` is Ollama's
    own tag of the model."""
    match request:
        case ChatRequest():
            found: dict[str, Json] = {
                "model": name,
                "messages": [_message(message) for message in request.messages],
            }
            if request.tools:
                found["tools"] = [_tool(tool) for tool in request.tools]
            return found | fields_of(request.params, choice)
        case CompletionRequest():
            return _generate_body(request, name, choice)
        case EmbedRequest():
            return _embed_body(request, name)
        case DecisionRequest():
            return _decision_body(request, name)


def fields_of(params: Params, seed_offset: int = 0) -> dict[str, Json]:
    """Return the fields of a body that say how to answer. `seed_offset` makes the choices of one
    request differ."""
    found: dict[str, Json] = {"stream": True}
    if params.options:
        options = dict(params.options)
        seed = options.get("seed")
        if seed_offset and isinstance(seed, int) and seed >= 0:  # a negative seed is "random"
            options["seed"] = seed + seed_offset
        found["options"] = options
    for key, value in (
        ("think", params.think),
        # Ollama's native template path does not apply "json" at all, but it applies this.
        ("format", {"type": "object"} if params.format == "json" else params.format),
        ("truncate", params.truncate),
        ("shift", params.shift),
        ("top_logprobs", params.top_logprobs),
    ):
        if value is not None:
            found[key] = value
    if params.keep_alive is not None:
        found["keep_alive"] = _keep_alive(params.keep_alive)
    if params.logprobs:
        found["logprobs"] = True
    return found


def load_body(name: str, params: Params) -> dict[str, Json]:
    """Return the body for `POST /api/generate` that only brings a model into memory."""
    body: dict[str, Json] = {"model": name}
    if params.options:
        body["options"] = dict(params.options)
    if params.shift is not None:
        body["shift"] = params.shift
    if params.keep_alive is not None:
        body["keep_alive"] = _keep_alive(params.keep_alive)
    return body


def _generate_body(request: CompletionRequest, name: str, choice: int) -> dict[str, Json]:
    number, seed_offset = divmod(choice, request.n)
    found: dict[str, Json] = {"model": name, "prompt": request.prompts[number]}
    for key, value in (
        ("suffix", request.suffix or None),
        ("system", request.system),
        ("template", request.template),
        ("images", [media.data for media in request.media] or None),
        ("raw", request.params.raw),
        ("context", list(request.context) or None),
    ):
        if value is not None:
            found[key] = value
    return found | fields_of(request.params, seed_offset)


def _embed_body(request: EmbedRequest, name: str) -> dict[str, Json]:
    params = request.params
    found: dict[str, Json] = {"model": name, "input": list(request.inputs)}
    if request.dimensions is not None:
        found["dimensions"] = request.dimensions
    if params.truncate is not None:
        found["truncate"] = params.truncate
    if params.keep_alive is not None:
        found["keep_alive"] = _keep_alive(params.keep_alive)
    if params.options:
        found["options"] = dict(params.options)
    return found


def _decision_body(request: DecisionRequest, name: str) -> dict[str, Json]:
    params = request.params
    found: dict[str, Json] = {
        "model": name,
        "state": request.state,
        "questions": {name: _question(question) for name, question in request.questions.items()},
    }
    if params.keep_alive is not None:
        found["keep_alive"] = _keep_alive(params.keep_alive)
    if params.options:
        found["options"] = dict(params.options)
    return found


def _question(question: Question) -> dict[str, Json]:
    found = {"type": question.kind, "instructions": question.instructions}
    return found if question.criteria is None else {**found, "criteria": question.criteria}


def _message(message: Message) -> dict[str, Json]:
    body: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.thinking:
        body["thinking"] = message.thinking
    if message.media:
        body["images"] = [media.data for media in message.media]
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "function": {"index": index, "name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(message.tool_calls)
        ]
    if message.tool_name:
        body["tool_name"] = message.tool_name
    if message.tool_call_id:
        body["tool_call_id"] = message.tool_call_id
    return body


def _tool(tool: Tool) -> dict[str, Json]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


def _keep_alive(value: float | str) -> float | str:
    """Ollama refuses "300" for want of a unit; as a number it means seconds (D47)."""
    if isinstance(value, str) and WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value)
    return value


def _dump(body: dict[str, Json]) -> bytes:
    try:
        return orjson.dumps(body, default=_plain)
    except (TypeError, ValueError) as exc:  # integers over 64 bits, lone surrogates
        try:
            return msgspec.json.encode(body, enc_hook=_plain)
        except (TypeError, ValueError, RecursionError):
            raise InvalidRequest(
                "The request holds a value that cannot be written as JSON."
            ) from exc


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


# -- answers ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class Decoder:
    """Reads the lines of one answer of `/api/chat` or `/api/generate`.

    `records` counts lines, `text_records` those with text or thinking (nearly tokens); the
    `*_chars` feed the estimate of reasoning tokens.
    """

    records: int = 0
    text_records: int = 0
    text_chars: int = 0
    thinking_chars: int = 0
    call_chars: int = 0
    nameless_calls: int = 0
    finished: bool = False

    def feed(self, lines: Sequence[bytes]) -> list[Event]:
        """Return the events of lines that arrived together, in order. After the end: nothing."""
        if self.finished:
            return []
        events: list[Event] = []
        for raw in lines:
            if not self.records and raw.startswith(_BOM):
                raw = raw[3:]
            try:
                line = records.read_line(raw)
            except records.UNREADABLE:
                is_end = self._read_odd(raw, events)
            else:
                message = line.message
                if (
                    message is not None
                    and (text := message.content)
                    and not (message.thinking or message.tool_calls or line.done)
                    and line.error is ABSENT is line.logprobs
                ):  # nearly always: a token of text
                    self.records += 1
                    self.text_records += 1
                    self.text_chars += len(text)
                    events.append(TextDelta(text))
                    continue
                is_end = self._read(line, raw, events)
            if is_end:
                self.finished = True
                break
        return events

    def end(self) -> list[Event]:
        """Return what is missing when the body has ended: nothing after a regular end."""
        if self.finished:
            return []
        self.finished = True
        if not self.records:
            return [Failed(faults.bad_response("an empty answer"))]
        return [Failed(faults.broke_off())]

    def _read(self, line: Line, raw: bytes, events: list[Event]) -> bool:
        """Add the events of a line; True when it is the last one."""
        if line.error is not ABSENT and bytes(line.error) != b"null":
            self.records += 1
            return self._fail(faults.from_line(records.read_any(line.error)), events)
        message = line.message
        if message is not None:
            text, thinking, calls = message.content, message.thinking, message.tool_calls
        else:
            if line.response is None and not line.done:
                return False  # not a record of an answer
            text, thinking, calls = line.response, line.thinking, line.tool_calls
        self.records += 1
        if thinking:
            self.thinking_chars += len(thinking)
            events.append(ThinkingDelta(thinking))
        if text:
            self.text_chars += len(text)
            if line.logprobs is ABSENT or thinking or calls:
                events.append(TextDelta(text))
            else:
                events.append(TextDelta(text, records.read_logprobs(line.logprobs)))
        if text or thinking:
            self.text_records += 1
        for call in calls or ():
            done = self._call(call)
            if done is None:
                self.nameless_calls += 1
            else:
                events.append(done)
        if not line.done:
            return False
        if self.nameless_calls and not self.text_chars and not self.call_chars:
            return self._fail(faults.nameless_call(), events)
        events.append(self._finish(records.read_last(raw)))
        return True

    def _call(self, call: Call) -> ToolCallDone | None:
        """Return a call; None for one without a name, which no caller could answer or repeat.

        Markup of the model's own format may be left at the end of a name.
        """
        name = call.function.name.partition("<|")[0].strip()
        if not name:
            return None
        arguments = records.arguments_text(call.function.arguments)
        self.call_chars += len(name) + len(arguments)
        return ToolCallDone(call.id or "", name, arguments)

    def _finish(self, last: Last) -> Finish:
        counts = Counts()
        prompt = counts.read(last.prompt_eval_count)
        completion = counts.read(last.eval_count)
        if not completion and self.text_records:
            completion = self.text_records
            counts.odd = True
        usage = Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=min(counts.read(last.prompt_eval_cached_count), prompt),
            reasoning_tokens=self._reasoning(completion),
            estimated=counts.odd,
            total_ns=counts.read(last.total_duration),
            load_ns=counts.read(last.load_duration),
            prompt_ns=counts.read(last.prompt_eval_duration),
            eval_ns=counts.read(last.eval_duration),
        )
        reason = "length" if last.done_reason == "length" else "stop"
        return Finish(reason, usage, context=_context(last))

    def _reasoning(self, completion_tokens: int) -> int:
        """Ollama does not count thinking apart, so it gets its share of characters (D35)."""
        if not self.thinking_chars:
            return 0
        total = self.thinking_chars + self.text_chars + self.call_chars
        return round(completion_tokens * self.thinking_chars / total)

    def _fail(self, error: GatewayError, events: list[Event]) -> bool:
        events.append(Failed(error))
        return True

    def _read_odd(self, raw: bytes, events: list[Event]) -> bool:
        """Read a line of unexpected types: keep what makes sense."""
        line = records.salvage(records.read_any(raw))
        if line is None:
            return self._fail(faults.bad_response("a line that is not a record"), events)
        return self._read(line, raw, events)


def _context(last: Last) -> bytes:
    found = bytes(last.context)
    return found if found.startswith(b"[") else b""
