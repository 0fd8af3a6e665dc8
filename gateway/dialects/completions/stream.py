"""A text completion as server-sent events: as those of chat, without roles."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import Event, TextDelta, Usage
from gateway.dialects.completions.parts import echoed, head, logprob_lists, request_of
from gateway.dialects.shared.chunks import ChunkWriter
from gateway.dialects.shared.openai import short_usage_object, total_usage
from gateway.dialects.shared.sse import DATA, END, quote


class Writer(ChunkWriter):
    """Turns the batches of one answer into frames. Thinking and calls have no place in them."""

    prompt_param = "prompt"

    def __init__(self, envelope: Envelope) -> None:
        base = DATA + orjson.dumps(head(envelope))[:-1] + b',"choices":['
        choices = envelope.call.request.choices
        text_heads = [base + b'{"index":%d,"text":' % choice for choice in range(choices)]
        super().__init__(envelope, base, text_heads, b"", [start + b'""' for start in text_heads])
        self._offsets = [0] * choices

    def open(self) -> bytes:
        """Return the prompts, where they are echoed: there is no other opening."""
        prompts = [echoed(self._envelope, choice) for choice in range(self._choices)]
        return b"".join(
            start + quote(text) + self._tail
            for start, text in zip(self._text_heads, prompts, strict=True)
            if text
        )

    def other(self, choice: int, event: Event) -> Sequence[bytes]:
        """See `ChunkWriter`."""
        if not isinstance(event, TextDelta):
            return ()
        told = orjson.dumps(logprob_lists(event.logprobs, self._offsets[choice]))
        self._offsets[choice] += sum(len(token.token) for token in event.logprobs)
        head = (self._text_heads[choice], quote(event.text), b',"logprobs":', told)
        return (*head, b',"finish_reason":null}]', self._usage, END)

    def usage_object(self, usages: Sequence[Usage]) -> Json:
        """See `ChunkWriter`."""
        return short_usage_object(total_usage(usages, request_of(self._envelope).n))


def writer(envelope: Envelope) -> Writer:
    """Return what writes a streamed answer."""
    return Writer(envelope)
