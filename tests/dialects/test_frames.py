"""One loop writes the streams of all dialects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway import dialects
from gateway.core.events import Batch, Finish, Ping, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.dialects.base import Dialect, frames
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.completions.dialect import COMPLETIONS
from gateway.dialects.responses.dialect import RESPONSES
from tests.dialects.making import envelope, reading

PIECES = ["tide", ' "quoted"\n', " ☂ and \x7f", "</script>"]
MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
DIALECTS = {
    "chat": (CHAT, MESSAGES),
    "chat with usage": (CHAT, {**MESSAGES, "stream_options": {"include_usage": True}}),
    "completions": (COMPLETIONS, {"model": "m", "prompt": "Hi"}),
    "responses": (RESPONSES, {"model": "m", "input": "Hi"}),
    "messages": (dialects.MESSAGES, MESSAGES),
    "Ollama's chat": (dialects.API_CHAT, MESSAGES),
    "Ollama's generate": (dialects.API_GENERATE, {"model": "m", "prompt": "Hi"}),
}
START: list[Batch] = [(0, [Ping()]), (0, [ThinkingDelta("hm")]), (0, [TextDelta("Low")])]
END: list[Batch] = [
    (0, [TextDelta("!"), ToolCallDone("c1", "f", "{}")]),
    (0, [Finish("stop", Usage(3, 4))]),
]
TEXT: list[Batch] = [(0, [TextDelta(piece)]) for piece in PIECES]


@pytest.mark.parametrize(("dialect", "body"), DIALECTS.values(), ids=DIALECTS)
def test_batches_taken_together_leave_together(dialect: Dialect, body: dict) -> None:
    around = envelope(dialect.parse(body, reading()))
    batches = [*START, *TEXT, *END]

    apart = list(frames(dialect.writer(around), [[batch] for batch in batches]))
    together = list(frames(dialect.writer(around), [batches]))

    assert len(apart) > 1
    assert together == [b"".join(apart)]


def test_an_opening_leaves_with_the_first_batch() -> None:
    around = envelope(CHAT.parse(MESSAGES, reading()))
    opening = CHAT.writer(around).preamble()

    first = next(frames(CHAT.writer(around), [TEXT[:1]]))

    assert first.startswith(opening)
    assert len(first) > len(opening)


def test_what_breaks_is_the_last_frame() -> None:
    around = envelope(CHAT.parse(MESSAGES, reading()))

    def breaking() -> Iterator[list[Batch]]:
        yield [START[-1]]
        raise LookupError("lost")

    found = list(frames(CHAT.writer(around), breaking(), failed=lambda e: repr(e).encode()))

    assert len(found) == 2
    assert found[-1] == b"LookupError('lost')"


def test_a_writer_that_is_over_ends_the_stream() -> None:
    around = envelope(CHAT.parse(MESSAGES, reading()))
    groups = iter([[batch] for batch in [*START, *END, *TEXT]])
    list(frames(CHAT.writer(around), groups))

    assert list(groups) == [[batch] for batch in TEXT]
