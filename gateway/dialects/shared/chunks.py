"""The chunks of OpenAI's streams, as chat and text completions write them.

    opening      what a dialect says first, for each choice
    pieces       one chunk a piece of text; what else there is, a dialect writes itself
    end          one chunk with the finish reason for each choice; usage; `[DONE]`
    failure      one error event and no `[DONE]`, which would say that all went well

A chunk is constant bytes, made once an answer, around one JSON string: this runs once a token.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import Batch, Event, Failed, Finish, Ping, TextDelta, Usage
from gateway.dialects.shared.openai import error_frame, finish_word
from gateway.dialects.shared.sse import DONE, END, comment, quote


class ChunkWriter:
    """Turns the batches of one answer into frames.

    `base` is what every chunk begins with, up to its choices; `text_heads` and `text_tail` stand
    around a piece of text, `empties` is the beginning of a chunk that says nothing, for each
    choice.
    """

    prompt_param = ""

    def __init__(
        self,
        envelope: Envelope,
        base: bytes,
        text_heads: Sequence[bytes],
        text_tail: bytes,
        empties: Sequence[bytes],
    ) -> None:
        self._envelope = envelope
        self._choices = envelope.call.request.choices
        self._base = base
        self._usage = b',"usage":null}' if envelope.call.include_usage else b"}"
        self._text_heads = text_heads
        self._tail = b',"logprobs":null,"finish_reason":null}]' + self._usage + END
        self._text_tail = text_tail + self._tail
        self._empties = empties
        self._finished: dict[int, Usage] = {}
        self.over = False

    def feed(self, batch: Batch) -> bytes:
        """Return the frames of one batch, joined; empty when there is nothing to say."""
        choice, events = batch
        parts: list[bytes] = []
        head, tail = self._text_heads[choice], self._text_tail
        for event in events:
            if type(event) is TextDelta and not event.logprobs:  # a match costs twice as much
                text = event.text
                quoted = orjson.dumps(text) if text.isascii() else quote(text)
                parts += (head, quoted, tail)
                continue
            match event:
                case Ping():
                    parts.append(self._ping(event))
                case Finish():
                    parts += self._finish(choice, event)
                case Failed(error):
                    parts.append(error_frame(error, self.prompt_param))
                    self.over = True
                case _:
                    parts += self.other(choice, event)
            if self.over:
                break
        return b"".join(parts)

    def other(self, choice: int, event: Event) -> Sequence[bytes]:
        """Return the chunks of thinking, of a call, or of text with log-probabilities."""
        raise NotImplementedError

    def finish_word(self, choice: int, finish: Finish) -> str:
        """Return the finish reason of a choice."""
        return finish_word(finish)

    def usage_object(self, usages: Sequence[Usage]) -> Json:
        """Return the usage of all choices."""
        raise NotImplementedError

    def _ping(self, ping: Ping) -> bytes:
        match self._envelope.sse_keepalive:
            case "off":
                return b""
            case "comments_and_chunks" if ping.loud:
                # SDKs swallow comments, so those do not reset an application's timer.
                waiting = next(i for i in range(self._choices) if i not in self._finished)
                return self._empties[waiting] + self._tail
            case _:
                return comment(ping)

    def _finish(self, choice: int, finish: Finish) -> list[bytes]:
        """Return the last chunk of a choice and, after the last choice, the end of the stream."""
        self._finished[choice] = finish.usage
        last = len(self._finished) == self._choices
        own_chunk = self._envelope.call.include_usage
        on_last_chunk = last and not own_chunk and self._envelope.usage_on_finish_chunk
        word = self.finish_word(choice, finish).encode()
        parts = [self._empties[choice], b',"logprobs":null,"finish_reason":"%b"}]' % word]
        # Never both: clients would add them up (D34).
        parts.append(b',"usage":' + self._total() + b"}" if on_last_chunk else self._usage)
        parts.append(END)
        if last:
            if own_chunk:
                parts += (self._base, b'],"usage":', self._total(), b"}", END)
            parts.append(DONE)
            self.over = True
        return parts

    def _total(self) -> bytes:
        usages = [self._finished[choice] for choice in range(self._choices)]
        return orjson.dumps(self.usage_object(usages))
