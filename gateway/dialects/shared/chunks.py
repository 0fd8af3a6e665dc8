"""The chunks of OpenAI's streams, as chat and text completions write them.

    preamble     what a dialect says first, for each choice
    pieces       one chunk a piece of text; what else there is, a dialect writes itself
    end          one chunk with the finish reason for each choice; usage; `[DONE]`
    failure      one error event and no `[DONE]`, which would say that all went well

A chunk is constant bytes, made once an answer, around one JSON string: this runs once a token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import Batch, Event, Failed, Finish, Ping, TextDelta, Usage
from gateway.dialects.shared.openai import error_frame, finish_word, total_usage
from gateway.dialects.shared.sse import DATA, DONE, END, comment, quote


class ChunkWriter(ABC):
    """Turns the batches of one answer into frames.

    `head` is what every chunk begins with; in a choice, `text_start` and `text_end` stand around a
    piece of text, and `empty` says nothing.
    """

    prompt_param = ""
    call_word = ""
    """The finish reason of an answer that ended in calls."""

    def __init__(
        self,
        envelope: Envelope,
        head: Mapping[str, Json],
        text_start: bytes,
        text_end: bytes,
        empty: bytes,
    ) -> None:
        self._envelope = envelope
        self._choices = envelope.call.request.choices
        self._base = DATA + orjson.dumps(head)[:-1] + b',"choices":['
        self._starts = [self._base + b'{"index":%d,' % choice for choice in range(self._choices)]
        self._text_heads = [start + text_start for start in self._starts]
        self._empties = [start + empty for start in self._starts]
        self._usage = b',"usage":null}' if envelope.call.include_usage else b"}"
        self._tail = b',"logprobs":null,"finish_reason":null}]' + self._usage + END
        self._text_tail = text_end + self._tail
        self._finished: dict[int, Usage] = {}
        self._calls = [0] * self._choices
        self.ended = False

    def write(self, batch: Batch) -> bytes:
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
                    self.ended = True
                case _:
                    parts += self.other(choice, event)
            if self.ended:
                break
        return b"".join(parts)

    @abstractmethod
    def other(self, choice: int, event: Event) -> Sequence[bytes]:
        """Return the chunks of thinking, of a call, or of text with log-probabilities."""

    @abstractmethod
    def usage_object(self, usage: Usage) -> Json:
        """Return the usage of all choices as the dialect shows it."""

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
        self.ended = len(self._finished) == self._choices
        word = finish_word(finish, self.call_word if self._calls[choice] else "")
        end = b',"logprobs":null,"finish_reason":"%b"}]' % word.encode()
        usage, more = self._usage, b""
        if self.ended:
            usages = [self._finished[each] for each in range(self._choices)]
            counts = self.usage_object(total_usage(usages, self._envelope.call.request.n))
            total = b',"usage":' + orjson.dumps(counts) + b"}"
            # Never both: clients would add them up (D34).
            if self._envelope.call.include_usage:
                more = self._base + b"]" + total + END
            elif self._envelope.usage_on_finish_chunk:
                usage = total
            more += DONE
        return [self._empties[choice], end, usage, END, more]
