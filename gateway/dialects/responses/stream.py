"""A response as server-sent events, and the object it amounts to.

`Builder` takes the batches of one answer. It numbers events from 0, opens and finishes one output
item at a time, and always ends with a last event that carries the whole object: coding agents build
everything from finished items and that event. The same builder fed a whole reply gives the object
of an answer that is not streamed, so both are one path. Afterwards `abandon` returns what to store.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json, Tool
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
)
from gateway.dialects.base import derived_id
from gateway.dialects.responses.object import (
    Status,
    call_item,
    delta_logprobs,
    echo_of,
    message_item,
    reasoning_item,
    response_object,
    summary_part,
    text_part,
    tools_by_name,
)
from gateway.dialects.shared.sse import comment
from gateway.dialects.shared.tools import custom_input

_ITEMS = {
    "reasoning": (
        "rs_",
        "summary_index",
        "response.reasoning_summary_part",
        "response.reasoning_summary_text",
    ),
    "message": ("msg_", "content_index", "response.content_part", "response.output_text"),
}
"""Items that grow: prefix of their ids, what counts their one part, and the events of part and
text."""
_TEXT_HEAD = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":'
)
_SUMMARY_HEAD = (
    b"event: response.reasoning_summary_text.delta\n"
    b'data: {"type":"response.reasoning_summary_text.delta","sequence_number":'
)
_TEXT_END = b',"logprobs":[]}\n\n'
_END = b"}\n\n"


class Builder:
    """Turns batches of one answer into frames, and remembers what they amount to.

    Call `preamble` first when the answer is streamed; then `write` each batch; then `abandon`.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._encrypted = echo_of(envelope).encrypted
        self._tools = tools_by_name(envelope)
        self._sequence = 0
        self._output: list[Json] = []
        self._open = ""
        self._item_id = ""
        self._middle = b""
        self._pieces: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._call_ids: set[str] = set()
        self._answered = False
        self._response: dict[str, Json] | None = None
        self.ended = False

    def preamble(self) -> bytes:
        """Return `response.created` and `response.in_progress`."""
        begun = response_object(self._envelope, "in_progress")
        return self._event("response.created", {"response": begun}) + self._event(
            "response.in_progress", {"response": begun}
        )

    def write(self, batch: Batch) -> bytes:
        """Return the frames of one batch, joined; empty when there is nothing to say."""
        parts: list[bytes] = []
        for event in batch[1]:
            match event:
                case TextDelta(text, logprobs):
                    if self._open != "message":
                        self._begin(parts, "message")
                    self._pieces.append(text)
                    if logprobs:
                        self._logprobs.extend(logprobs)
                        tail = b"," + orjson.dumps({"logprobs": delta_logprobs(logprobs)})[1:]
                        tail += b"\n\n"
                    else:
                        tail = _TEXT_END
                    self._delta(parts, _TEXT_HEAD, text, tail)
                case ThinkingDelta(text):
                    if self._open != "reasoning":
                        self._begin(parts, "reasoning")
                    self._pieces.append(text)
                    self._delta(parts, _SUMMARY_HEAD, text, _END)
                case ToolCallDone():
                    self._call(parts, event)
                case Ping():
                    self._ping(parts, event)
                case Finish():
                    self._finish(parts, event)
                case Failed():
                    self._fail(parts, event)
        return b"".join(parts)

    def abandon(self) -> Json:
        """Return the object: finished, or incomplete with what there is when no end ever came."""
        if self._response is None:
            self._end_item([], "incomplete")
            self._response = response_object(self._envelope, "incomplete", self._output)
            self.ended = True
        return self._response

    def _event(self, name: str, body: dict[str, Json]) -> bytes:
        head = {"type": name, "sequence_number": self._sequence}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(head | body))

    def _delta(self, parts: list[bytes], head: bytes, text: str, tail: bytes) -> None:
        parts.append(b"%b%d%b%b%b" % (head, self._sequence, self._middle, orjson.dumps(text), tail))
        self._sequence += 1

    def _begin(self, parts: list[bytes], kind: str) -> None:
        """Open a message or a reasoning item."""
        prefix, index, part, _ = _ITEMS[kind]
        self._begin_item(parts, kind, prefix)
        place = self._place() | {index: 0}
        self._middle = b"," + orjson.dumps(place)[1:-1] + b',"delta":'
        self._added(parts, self._item("in_progress", None))
        parts.append(self._event(f"{part}.added", place | {"part": self._part("")}))

    def _begin_item(self, parts: list[bytes], kind: str, prefix: str) -> None:
        self._end_item(parts, "completed")
        self._open = kind
        self._answered |= kind != "reasoning"
        self._item_id = derived_id(prefix, self._envelope.seed, len(self._output))

    def _item(self, status: Status, text: str | None) -> Json:
        if self._open == "reasoning":
            return reasoning_item(self._item_id, status, text, self._encrypted)
        return message_item(self._item_id, status, text, self._logprobs)

    def _part(self, text: str) -> Json:
        return summary_part(text) if self._open == "reasoning" else text_part(text, self._logprobs)

    def _place(self) -> dict[str, Json]:
        return {"item_id": self._item_id, "output_index": len(self._output)}

    def _added(self, parts: list[bytes], item: Json) -> None:
        body = {"output_index": len(self._output), "item": item}
        parts.append(self._event("response.output_item.added", body))

    def _done(self, parts: list[bytes], item: Json) -> None:
        body = {"output_index": len(self._output), "item": item}
        parts.append(self._event("response.output_item.done", body))
        self._output.append(item)
        self._open = ""
        self._pieces.clear()
        self._logprobs = []

    def _end_item(self, parts: list[bytes], status: Status) -> None:
        if not self._open:
            return
        _, index, part, stem = _ITEMS[self._open]
        place = self._place() | {index: 0}
        text = "".join(self._pieces)
        said: dict[str, Json] = {"text": text}
        if self._open == "message":
            said["logprobs"] = delta_logprobs(self._logprobs)
        parts.append(self._event(f"{stem}.done", place | said))
        parts.append(self._event(f"{part}.done", place | {"part": self._part(text)}))
        self._done(parts, self._item(status, text))

    def _call(self, parts: list[bytes], call: ToolCallDone) -> None:
        tool = self._tools.get(call.name) or Tool(call.name)
        custom = tool.kind == "custom"
        self._begin_item(parts, "call", "ctc_" if custom else "fc_")
        call_id = call.id
        if not call_id or call_id in self._call_ids:
            call_id = derived_id("call_", self._envelope.seed, len(self._output), digits=24)
        self._call_ids.add(call_id)
        payload = custom_input(call.name, call.arguments) if custom else call.arguments
        self._added(parts, call_item(self._item_id, "in_progress", call_id, tool, ""))
        item = call_item(self._item_id, "completed", call_id, tool, payload)
        place = self._place()
        if custom:
            stem, done = "response.custom_tool_call_input", {"input": payload}
        else:
            stem = "response.function_call_arguments"
            done = {"arguments": payload, "name": item["name"]}
        parts.append(self._event(f"{stem}.delta", place | {"delta": payload}))
        parts.append(self._event(f"{stem}.done", place | done))
        self._done(parts, item)

    def _ping(self, parts: list[bytes], ping: Ping) -> None:
        mode = self._envelope.sse_keepalive
        if ping.loud and mode == "comments_and_chunks":
            begun = response_object(self._envelope, "in_progress")
            parts.append(self._event("response.in_progress", {"response": begun}))
        elif mode != "off":
            parts.append(comment(ping))

    def _finish(self, parts: list[bytes], finish: Finish) -> None:
        status: Status = "incomplete" if finish.reason == "length" else "completed"
        clock = self._envelope.clock
        ended_at = self._envelope.created + finish.usage.total_ns // 1_000_000_000
        self._end_item(parts, status)
        if not self._answered:
            self._begin(parts, "message")
            self._end_item(parts, status)
        self._response = response_object(
            self._envelope,
            status,
            self._output,
            usage=finish.usage,
            reason="max_output_tokens" if status == "incomplete" else None,
            completed_at=None if status == "incomplete" else clock() if clock else ended_at,
        )
        parts.append(self._event(f"response.{status}", {"response": self._response}))
        self.ended = True

    def _fail(self, parts: list[bytes], failed: Failed) -> None:
        self._end_item(parts, "incomplete")
        self._response = response_object(self._envelope, "failed", self._output, error=failed.error)
        parts.append(self._event("response.failed", {"response": self._response}))
        self.ended = True


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Return the object of a whole answer."""
    reply = replies[0]
    events: list[Event] = []
    if reply.thinking:
        events.append(ThinkingDelta(reply.thinking))
    if reply.text:
        events.append(TextDelta(reply.text, reply.logprobs))
    builder = Builder(envelope)
    builder.write((0, [*events, *reply.tool_calls, reply.finish]))
    return builder.abandon()
