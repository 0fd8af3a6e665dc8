"""A chat completion as server-sent events (docs/contract/streaming.md).

The opening is one chunk with the role for each choice, in order, the role never again; a call is
two chunks. The rest is common to OpenAI's streams: `shared/chunks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import (
    Event,
    Finish,
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
from gateway.dialects.shared.chunks import ChunkWriter
from gateway.dialects.shared.openai import (
    CHAT_ID,
    FINGERPRINT,
    answer_id,
    finish_word,
    reasoning_names,
    token_object,
    total_usage,
    usage_object,
)
from gateway.dialects.shared.sse import DATA, END, quote


class Writer(ChunkWriter):
    """Turns the batches of one answer into frames."""

    prompt_param = "messages"

    def __init__(self, envelope: Envelope) -> None:
        base = _head(envelope)
        choices = envelope.call.request.choices
        self._starts = [base + b'{"index":%d,"delta":' % choice for choice in range(choices)]
        text_heads = [start + b'{"content":' for start in self._starts]
        empties = [start + b"{}" for start in self._starts]
        super().__init__(envelope, base, text_heads, b"}", empties)
        self._thinking_names = [orjson.dumps(name) + b":" for name in reasoning_names(envelope)]
        self._ids = CallIds(envelope.seed)
        self._custom = custom_names(envelope)
        self._calls = [0] * choices

    def open(self) -> bytes:
        """Return the chunk with the role of each choice, in order: helpers index by it."""
        delta = b'{"role":"assistant","content":""}'
        return b"".join(start + delta + self._tail for start in self._starts)

    def other(self, choice: int, event: Event) -> Sequence[bytes]:
        """See `ChunkWriter`."""
        match event:
            case TextDelta(text, logprobs):
                return self._text_heads[choice], quote(text), self._tail_with(logprobs)
            case ThinkingDelta(text):
                quoted = quote(text)
                first, *more = self._thinking_names
                again = b"".join([b"," + name + quoted for name in more]) if more else b""
                return self._starts[choice], b"{", first, quoted, again, self._text_tail
            case ToolCallDone():
                return self._call(choice, event)
            case _:
                return ()

    def finish_word(self, choice: int, finish: Finish) -> str:
        """See `ChunkWriter`."""
        return finish_word(finish, call_word(self._envelope) if self._calls[choice] else "")

    def usage_object(self, usages: Sequence[Usage]) -> Json:
        """See `ChunkWriter`."""
        return usage_object(total_usage(usages, self._choices))

    def _tail_with(self, logprobs: Sequence[TokenLogprob]) -> bytes:
        told = {"content": [token_object(token) for token in logprobs], "refusal": None}
        return (
            b'},"logprobs":' + orjson.dumps(told) + b',"finish_reason":null}]' + self._usage + END
        )

    def _call(self, choice: int, call: ToolCallDone) -> list[bytes]:
        """Return two chunks; calls are counted over the whole stream of a choice."""
        index = self._calls[choice]
        self._calls[choice] += 1
        if shown_of(self._envelope).legacy:
            # One `function_call` is all the form has room for.
            deltas = legacy_deltas(call) if index == 0 else ()
        else:
            deltas = call_deltas(call, index, self._custom, self._ids.take(call.id))
        return [self._starts[choice] + orjson.dumps(delta) + self._tail for delta in deltas]


def _head(envelope: Envelope) -> bytes:
    """Return what every chunk begins with, up to its choices."""
    fields: dict[str, Json] = {
        "id": answer_id(CHAT_ID, envelope),
        "object": "chat.completion.chunk",
        "created": envelope.created,
        "model": envelope.call.model,
        "system_fingerprint": FINGERPRINT,
    }
    if shown_of(envelope).service_tier:
        fields["service_tier"] = "default"
    return DATA + orjson.dumps(fields)[:-1] + b',"choices":['


def writer(envelope: Envelope) -> Writer:
    """Return what writes a streamed answer."""
    return Writer(envelope)
