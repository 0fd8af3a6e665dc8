"""A Messages answer as server-sent events.

Blocks are counted from 0 and one is open at a time: text, thinking and calls close what is open
before they begin. A thinking block ends with its signature. The bytes of a delta are constants
around one escaped string; the part that names the open block is made when the block opens.
"""

from __future__ import annotations

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import (
    Batch,
    Failed,
    Finish,
    Ping,
    TextDelta,
    ThinkingDelta,
    ToolCallDone,
    Usage,
)
from gateway.dialects.messages.answer import (
    OMIT_THINKING,
    error_body,
    message_object,
    signature,
    stop_reason,
    tool_use_id,
    usage_counts,
)

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":'
_END = b"}\n\n"
_DELTA_END = b"}}\n\n"
_TEXT = b',"delta":{"type":"text_delta","text":'
_THINKING = b',"delta":{"type":"thinking_delta","thinking":'
_SIGNATURE = b',"delta":{"type":"signature_delta","signature":'
_INPUT = b',"delta":{"type":"input_json_delta","partial_json":'


class Writer:
    """Turns batches of one answer into frames."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._omit = envelope.call.extra is OMIT_THINKING
        self._pings = envelope.sse_keepalive != "off"
        self._index = -1
        self._open = ""
        self._delta = b""
        self._thought: list[str] = []
        self._calls = 0
        self._spoke = False
        self.ended = False

    def preamble(self) -> bytes:
        """Return `message_start`, with the estimated prompt, and the first `ping`."""
        usage = Usage(prompt_tokens=self._envelope.prompt_estimate)
        message = message_object(self._envelope, [], None, None, usage)
        return _frame("message_start", {"type": "message_start", "message": message}) + _PING

    def write(self, batch: Batch) -> bytes:
        """Return the frames of one batch, joined; empty when there is nothing to say."""
        parts: list[bytes] = []
        for event in batch[1]:
            if type(event) is TextDelta:  # a match costs twice as much
                if self._open != "text":
                    self._begin_text(parts)
                parts += (self._delta, orjson.dumps(event.text), _DELTA_END)
                continue
            match event:
                case ThinkingDelta(text):
                    if self._open != "thinking":
                        block = b',"content_block":{"type":"thinking","thinking":"","signature":""}'
                        self._begin(parts, "thinking", block, _THINKING)
                    self._thought.append(text)
                    if not self._omit:
                        parts += (self._delta, orjson.dumps(text), _DELTA_END)
                case ToolCallDone():
                    self._call(parts, event)
                case Ping():
                    if self._pings:
                        parts.append(_PING)
                case Finish():
                    self._finish(parts, event)
                case Failed(error):
                    envelope = self._envelope
                    body = error_body(error, envelope.request_id, envelope.prompt_estimate)
                    parts.append(_frame("error", body))
                    self.ended = True
        return b"".join(parts)

    def _begin_text(self, parts: list[bytes]) -> None:
        self._begin(parts, "text", b',"content_block":{"type":"text","text":""}', _TEXT)
        self._spoke = True

    def _call(self, parts: list[bytes], call: ToolCallDone) -> None:
        block = {
            "type": "tool_use",
            "id": tool_use_id(self._envelope.seed, self._calls),
            "name": call.name,
            "input": {},
        }
        self._calls += 1
        self._begin(parts, "tool_use", b',"content_block":' + orjson.dumps(block), _INPUT)
        delta = self._delta
        parts += (delta, b'""', _DELTA_END, delta, orjson.dumps(call.arguments), _DELTA_END)
        self._end(parts)

    def _begin(self, parts: list[bytes], kind: str, block: bytes, delta: bytes) -> None:
        self._end(parts)
        self._open = kind
        self._index += 1
        self._delta = b"%b%d%b" % (_DELTA, self._index, delta)
        parts.append(b"%b%d%b%b" % (_START, self._index, block, _END))

    def _end(self, parts: list[bytes]) -> None:
        if not self._open:
            return
        if self._open == "thinking":
            signed = orjson.dumps(signature("".join(self._thought)))
            parts.append(b"%b%d%b%b%b" % (_DELTA, self._index, _SIGNATURE, signed, _DELTA_END))
            self._thought.clear()
        parts.append(b"%b%d%b" % (_STOP, self._index, _END))
        self._open = ""

    def _finish(self, parts: list[bytes], finish: Finish) -> None:
        if not self._spoke and not self._calls:
            self._begin_text(parts)
        self._end(parts)
        delta = {
            "stop_reason": stop_reason(finish, self._calls > 0),
            "stop_sequence": finish.stop_sequence,
        }
        body = {"type": "message_delta", "delta": delta, "usage": usage_counts(finish.usage)}
        parts += (_frame("message_delta", body), _MESSAGE_STOP)
        self.ended = True


def _frame(name: str, body: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))
