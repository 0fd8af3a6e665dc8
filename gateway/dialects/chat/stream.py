"""A chat completion as server-sent events (docs/contract/streaming.md).

    opening      one chunk with the role for each choice, in order, the role never again
    pieces       one chunk a piece of text or thinking, two chunks a call
    end          one chunk with the finish reason for each choice; usage; `[DONE]`
    failure      one error event and no `[DONE]`, which would say that all went well

A chunk is constant bytes, made once an answer, around one JSON string: this runs once a token.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import (
    Batch,
    Failed,
    Finish,
    Ping,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDone,
    Usage,
)
from gateway.dialects.chat.calls import (
    CallIds,
    call_deltas,
    call_word,
    custom_names,
    legacy_deltas,
    shown_of,
)
from gateway.dialects.shared.openai import (
    CHAT_ID,
    FINGERPRINT,
    answer_id,
    error_frame,
    finish_word,
    reasoning_names,
    token_object,
    total_usage,
    usage_object,
)
from gateway.dialects.shared.sse import DATA, DONE, END, comment, quote


class Writer:
    """Turns the batches of one answer into frames."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._choices = envelope.call.request.choices
        self._base = self._head()
        starts = [self._start(choice) for choice in range(self._choices)]
        self._starts = starts
        self._usage = b',"usage":null}' if envelope.call.include_usage else b"}"
        self._text_heads = [start + b'{"content":' for start in starts]
        self._tail = b'},"logprobs":null,"finish_reason":null}]' + self._usage + END
        self.over = False
        names = [orjson.dumps(name) + b":" for name in reasoning_names(envelope)]
        self._thinking_names = names
        self._ids = CallIds(envelope.seed)
        self._custom = custom_names(envelope)
        self._calls = [0] * self._choices
        self._finished: dict[int, Usage] = {}

    def open(self) -> bytes:
        """Return the chunk with the role of each choice, in order: helpers index by it."""
        delta = b'{"role":"assistant","content":""'
        return b"".join(start + delta + self._tail for start in self._starts)

    def feed(self, batch: Batch) -> bytes:
        """Return the frames of one batch, joined; empty when there is nothing to say."""
        choice, events = batch
        parts: list[bytes] = []
        head, tail = self._text_heads[choice], self._tail
        for event in events:
            if type(event) is TextDelta and not event.logprobs:  # a match costs twice as much
                text = event.text
                quoted = orjson.dumps(text) if text.isascii() else quote(text)
                parts += (head, quoted, tail)
                continue
            match event:
                case TextDelta(text, logprobs):
                    parts += (self._text_heads[choice], quote(text), self._tail_with(logprobs))
                case ThinkingDelta(text):
                    parts += self._thinking(choice, text)
                case ToolCallDone():
                    parts += self._call(choice, event)
                case Ping():
                    parts.append(self._ping(event))
                case Finish():
                    parts += self._finish(choice, event)
                case Failed(error):
                    parts.append(error_frame(error, "messages"))
                    self.over = True
            if self.over:
                break
        return b"".join(parts)

    def _head(self) -> bytes:
        """Return what every chunk begins with, up to its choices."""
        fields: dict[str, Json] = {
            "id": answer_id(CHAT_ID, self._envelope),
            "object": "chat.completion.chunk",
            "created": self._envelope.created,
            "model": self._envelope.call.model,
            "system_fingerprint": FINGERPRINT,
        }
        if shown_of(self._envelope).service_tier:
            fields["service_tier"] = "default"
        return DATA + orjson.dumps(fields)[:-1] + b',"choices":['

    def _start(self, choice: int) -> bytes:
        return self._base + b'{"index":%d,"delta":' % choice

    def _tail_with(self, logprobs: Sequence[TokenLogprob]) -> bytes:
        told = {"content": [token_object(token) for token in logprobs], "refusal": None}
        return (
            b'},"logprobs":' + orjson.dumps(told) + b',"finish_reason":null}]' + self._usage + END
        )

    def _thinking(self, choice: int, text: str) -> tuple[bytes, ...]:
        quoted = quote(text)
        first, *more = self._thinking_names
        again = b"".join([b"," + name + quoted for name in more]) if more else b""
        return (self._starts[choice], b"{", first, quoted, again, self._tail)

    def _call(self, choice: int, call: ToolCallDone) -> list[bytes]:
        """Return two chunks; calls are counted over the whole stream of a choice."""
        index = self._calls[choice]
        self._calls[choice] += 1
        if shown_of(self._envelope).legacy:
            # One `function_call` is all the form has room for.
            deltas = legacy_deltas(call) if index == 0 else ()
        else:
            deltas = call_deltas(call, index, self._custom, self._ids.take(call.id))
        return [self._starts[choice] + orjson.dumps(delta)[:-1] + self._tail for delta in deltas]

    def _ping(self, ping: Ping) -> bytes:
        match self._envelope.sse_keepalive:
            case "off":
                return b""
            case "comments_and_chunks" if ping.loud:
                # SDKs swallow comments, so those do not reset an application's timer.
                return self._starts[self._waiting()] + b"{" + self._tail
            case _:
                return comment(ping)

    def _waiting(self) -> int:
        """Return the first choice that has not ended."""
        return next(i for i in range(self._choices) if i not in self._finished)

    def _finish(self, choice: int, finish: Finish) -> list[bytes]:
        """Return the last chunk of a choice and, after the last choice, the end of the stream."""
        self._finished[choice] = finish.usage
        called = call_word(self._envelope) if self._calls[choice] else ""
        word = finish_word(finish, called)
        last = len(self._finished) == self._choices
        own_chunk = self._envelope.call.include_usage
        riding = last and not own_chunk and self._envelope.usage_on_finish_chunk
        chunk = b'{},"logprobs":null,"finish_reason":"%b"}]' % word.encode()
        parts = [self._starts[choice], chunk]
        # Never both: clients would add them up (D34).
        parts.append(b',"usage":' + self._total() + b"}" if riding else self._usage)
        parts.append(END)
        if last:
            if own_chunk:
                parts += (self._base, b'],"usage":', self._total(), b"}", END)
            parts.append(DONE)
            self.over = True
        return parts

    def _total(self) -> bytes:
        n = self._choices
        return orjson.dumps(usage_object(total_usage([self._finished[i] for i in range(n)], n)))


def writer(envelope: Envelope) -> Writer:
    """Return what writes a streamed answer."""
    return Writer(envelope)
