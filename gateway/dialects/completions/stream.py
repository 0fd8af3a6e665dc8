"""A text completion as server-sent events, as those of chat without roles; and what a whole one has
in common with it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import CompletionRequest, Envelope, Json
from gateway.core.events import Event, TextDelta, TokenLogprob, Usage
from gateway.dialects.shared.chunks import ChunkWriter
from gateway.dialects.shared.openai import head, short_usage_object
from gateway.dialects.shared.sse import END, quote

ECHO = "echo"
"""`Call.extra` where the prompt is put before the text."""


def completion_head(envelope: Envelope) -> dict[str, Json]:
    """Return what the answer and each of its chunks begin with."""
    return head(envelope, "cmpl-", "text_completion")


def echoed(envelope: Envelope, choice: int) -> str:
    """Return the prompt of a choice where the caller wants it back, else nothing."""
    request = envelope.call.request
    if envelope.call.extra is not ECHO or not isinstance(request, CompletionRequest):
        return ""
    return request.prompts[choice // request.n]


def logprob_lists(tokens: Sequence[TokenLogprob], offset: int) -> Json:
    """Return the four parallel lists; `offset` is where the first token stands in the text."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{top.token: top.logprob for top in token.top} for token in tokens],
        "text_offset": offsets,
    }


class Writer(ChunkWriter):
    """Turns the batches of one answer into frames. Thinking and calls have no place in them."""

    prompt_param = "prompt"

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope, completion_head(envelope), b'"text":', b"", b'"text":""')
        self._offsets = [0] * self._choices

    def preamble(self) -> bytes:
        """Return the prompts, where they are echoed."""
        prompts = [echoed(self._envelope, choice) for choice in range(self._choices)]
        return b"".join(
            start + quote(text) + self._tail
            for start, text in zip(self._text_heads, prompts, strict=True)
            if text
        )

    def other(self, choice: int, event: Event) -> Sequence[bytes]:
        if not isinstance(event, TextDelta):
            return ()
        told = orjson.dumps(logprob_lists(event.logprobs, self._offsets[choice]))
        self._offsets[choice] += sum(len(token.token) for token in event.logprobs)
        head = (self._text_heads[choice], quote(event.text), b',"logprobs":', told)
        return (*head, b',"finish_reason":null}]', self._usage, END)

    def usage_object(self, usage: Usage) -> Json:
        return short_usage_object(usage)
