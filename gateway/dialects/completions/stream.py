"""A text completion as server-sent events: as those of chat, without roles."""

from __future__ import annotations

import orjson

from gateway.core.chat import Envelope
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
from gateway.dialects.completions.parts import echoed, head, logprob_lists, request_of
from gateway.dialects.shared.openai import error_frame, finish_word, short_usage_object, total_usage
from gateway.dialects.shared.sse import DATA, DONE, END, comment, quote


class Writer:
    """Turns the batches of one answer into frames, as the writer of chat completions does."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._choices = envelope.call.request.choices
        self._base = DATA + orjson.dumps(head(envelope))[:-1] + b',"choices":['
        self._usage = b',"usage":null}' if envelope.call.include_usage else b"}"
        self._text_heads = [
            self._base + b'{"index":%d,"text":' % choice for choice in range(self._choices)
        ]
        self._tail = b',"logprobs":null,"finish_reason":null}]' + self._usage + END
        self.over = False
        self._offsets = [0] * self._choices
        self._finished: dict[int, Usage] = {}

    def open(self) -> bytes:
        """Return the prompts, where they are echoed: there is no other opening."""
        prompts = [echoed(self._envelope, choice) for choice in range(self._choices)]
        return b"".join(
            start + quote(text) + self._tail
            for start, text in zip(self._text_heads, prompts, strict=True)
            if text
        )

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
                    told = orjson.dumps(logprob_lists(logprobs, self._offsets[choice]))
                    self._offsets[choice] += sum(len(token.token) for token in logprobs)
                    parts += (self._text_heads[choice], quote(text), b',"logprobs":', told)
                    parts += (b',"finish_reason":null}]', self._usage, END)
                case Ping():
                    parts.append(self._ping(event))
                case Finish():
                    parts += self._finish(choice, event)
                case Failed(error):
                    parts.append(error_frame(error, "prompt"))
                    self.over = True
                case ThinkingDelta() | ToolCallDone():
                    pass
            if self.over:
                break
        return b"".join(parts)

    def _ping(self, ping: Ping) -> bytes:
        match self._envelope.sse_keepalive:
            case "off":
                return b""
            case "comments_and_chunks" if ping.loud:
                waiting = next(i for i in range(self._choices) if i not in self._finished)
                return self._text_heads[waiting] + b'""' + self._tail
            case _:
                return comment(ping)

    def _finish(self, choice: int, finish: Finish) -> list[bytes]:
        self._finished[choice] = finish.usage
        last = len(self._finished) == self._choices
        own_chunk = self._envelope.call.include_usage
        riding = last and not own_chunk and self._envelope.usage_on_finish_chunk
        word = finish_word(finish).encode()
        parts = [
            self._text_heads[choice],
            b'"","logprobs":null,"finish_reason":"%b"}]' % word,
            b',"usage":' + self._total() + b"}" if riding else self._usage,
            END,
        ]
        if last:
            if own_chunk:
                parts += (self._base, b'],"usage":', self._total(), b"}", END)
            parts.append(DONE)
            self.over = True
        return parts

    def _total(self) -> bytes:
        usages = [self._finished[choice] for choice in range(self._choices)]
        return orjson.dumps(short_usage_object(total_usage(usages, request_of(self._envelope).n)))


def writer(envelope: Envelope) -> Writer:
    """Return what writes a streamed answer."""
    return Writer(envelope)
