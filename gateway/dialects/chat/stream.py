"""A chat completion as server-sent events (docs/contract/streaming.md).

The preamble is one chunk with the role for each choice, in order, the role never again; a call is
two chunks. The rest is common to OpenAI's streams: `shared/chunks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.core.chat import Envelope, Json
from gateway.core.events import Event, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.dialects.chat.calls import (
    CallIds,
    call_deltas,
    call_word,
    custom_names,
    legacy_deltas,
    shown_of,
)
from gateway.dialects.shared.chunks import ChunkWriter
from gateway.dialects.shared.openai import head, reasoning_names, token_object, usage_object
from gateway.dialects.shared.sse import END, quote


class Writer(ChunkWriter):
    """Turns the batches of one answer into frames."""

    prompt_param = "messages"

    def __init__(self, envelope: Envelope) -> None:
        fields = head(envelope, "chatcmpl-", "chat.completion.chunk")
        if shown_of(envelope).service_tier:
            fields["service_tier"] = "default"
        super().__init__(envelope, fields, b'"delta":{"content":', b"}", b'"delta":{}')
        self.call_word = call_word(envelope)
        self._thinking_names = [orjson.dumps(name) + b":" for name in reasoning_names(envelope)]
        self._ids = CallIds(envelope.seed)
        self._custom = custom_names(envelope)

    def preamble(self) -> bytes:
        """Return the chunk with the role of each choice, in order: helpers index by it."""
        delta = b'"delta":{"role":"assistant","content":""}'
        return b"".join(start + delta + self._tail for start in self._starts)

    def other(self, choice: int, event: Event) -> Sequence[bytes]:
        match event:
            case TextDelta(text, logprobs):
                told = {"content": [token_object(token) for token in logprobs], "refusal": None}
                tail = b'},"logprobs":' + orjson.dumps(told) + b',"finish_reason":null}]'
                return self._text_heads[choice], quote(text), tail, self._usage, END
            case ThinkingDelta(text):
                quoted = quote(text)
                thoughts = b",".join(name + quoted for name in self._thinking_names)
                return self._starts[choice], b'"delta":{', thoughts, self._text_tail
            case ToolCallDone():
                return self._call(choice, event)
            case _:
                return ()

    def usage_object(self, usage: Usage) -> Json:
        return usage_object(usage)

    def _call(self, choice: int, call: ToolCallDone) -> list[bytes]:
        """Return two chunks; calls are counted over the whole stream of a choice."""
        index = self._calls[choice]
        self._calls[choice] += 1
        if shown_of(self._envelope).legacy:
            # One `function_call` is all the form has room for.
            deltas = legacy_deltas(call) if index == 0 else ()
        else:
            deltas = call_deltas(call, index, self._custom, self._ids.take(call.id))
        start = self._starts[choice] + b'"delta":'
        return [start + orjson.dumps(delta) + self._tail for delta in deltas]
