"""An answer as a stream of small events, and a whole answer as their fold.

A stream is any number of deltas and pings, then exactly one `Finish` or `Failed`. Streamed and
whole answers share this one path: what a dialect streams and what it renders whole come from the
same events.

Events that arrived from Ollama together travel together as a `Batch`: `(choice, events)`. `choice`
is 0 unless the caller asked for several answers (`n`, a list of prompts).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with its log-probability; `utf8` are its bytes, `top` the alternatives."""

    token: str
    logprob: float
    utf8: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Visible text, never empty; `logprobs` are of its tokens, when asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """Reasoning text, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDone:
    """One whole tool call: `arguments` is compact JSON of an object, `id` may be ""."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing new for a while. `loud` asks for more than a comment (D33: the 60-second chunk)."""

    loud: bool = False
    note: str = "keep-alive"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts, and Ollama's own durations in nanoseconds.

    `completion_tokens` includes `reasoning_tokens`, which is an estimate; `prompt_tokens` includes
    `cached_tokens`. `estimated` says that Ollama's counts never arrived and ours stand in.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    total_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    eval_ns: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Sum two passes of one answer."""
        sums = (getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage))
        return replace(Usage(*sums), estimated=self.estimated or other.estimated)


@dataclass(frozen=True, slots=True)
class Finish:
    """The regular end.

    `reason` is `stop` (natural end), `length` (token limit), `stop_sequence` (the gateway matched
    one, named in `stop_sequence`), or `tool_calls` (the gateway ended the answer after a call, or
    made the call itself). Whether calls were made is for the dialect to see. `context` is the JSON
    of the tokens that `/api/generate` gives back, b"" where there are none.
    """

    reason: str
    usage: Usage = Usage()
    stop_sequence: str | None = None
    context: bytes = b""


@dataclass(frozen=True, slots=True)
class Failed:
    """The irregular end: what would have been a status, had nothing been sent yet."""

    error: GatewayError


Event: TypeAlias = TextDelta | ThinkingDelta | ToolCallDone | Ping | Finish | Failed
Batch: TypeAlias = tuple[int, Sequence[Event]]


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer (one choice)."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCallDone, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish = field(default_factory=lambda: Finish("stop"))


def fold(batches: Iterable[Batch], choices: int = 1) -> tuple[Reply, ...]:
    """Return whole answers, one a choice. Raises the error of the first `Failed` event."""
    found: list[list[Event]] = [[] for _ in range(choices)]
    for choice, events in batches:
        for event in events:
            if isinstance(event, Failed):
                raise event.error
        found[choice] += events
    return tuple(_reply(events) for events in found)


def flatten(batches: Iterable[Batch]) -> Iterator[Event]:
    """Yield the events of a one-choice stream one by one."""
    for _, events in batches:
        yield from events


def _reply(events: Sequence[Event]) -> Reply:
    texts = [event for event in events if isinstance(event, TextDelta)]
    ends = [event for event in events if isinstance(event, Finish)]
    return Reply(
        "".join(event.text for event in texts),
        "".join(event.text for event in events if isinstance(event, ThinkingDelta)),
        tuple(event for event in events if isinstance(event, ToolCallDone)),
        tuple(token for event in texts for token in event.logprobs),
        ends[-1] if ends else Finish("stop"),
    )
