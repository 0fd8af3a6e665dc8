"""One loop writes the streams of all dialects; text on the short way looks like any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway import dialects
from gateway.core.events import Batch, Finish, Ping, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.dialects.base import Dialect, Words, frames
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
}
START: list[Batch] = [(0, [Ping()]), (0, [ThinkingDelta("hm")]), (0, [TextDelta("Low")])]
END: list[Batch] = [
    (0, [TextDelta("!"), ToolCallDone("c1", "f", "{}")]),
    (0, [Finish("stop", Usage(3, 4))]),
]
TEXT: list[Batch] = [(0, [TextDelta(piece)]) for piece in PIECES]


def after(batch: Batch, batches: list[Batch], pieces: list[str]) -> tuple[Iterator[Batch], Words]:
    """Give the batches, and the pieces that may be asked for after one of them."""
    left = iter(pieces)
    last: list[Batch] = []

    def given() -> Iterator[Batch]:
        for found in batches:
            last[:] = [found]
            yield found

    return given(), lambda: next(left, None) if last == [batch] else None


@pytest.mark.parametrize(("dialect", "body"), DIALECTS.values(), ids=DIALECTS)
def test_text_on_the_short_way_is_written_as_in_batches(dialect: Dialect, body: dict) -> None:
    around = envelope(dialect.parse(body, reading()))
    expected = list(frames(dialect.writer(around), [*START, *TEXT, *END]))
    batches, words = after(START[-1], [*START, *END], PIECES)

    assert list(frames(dialect.writer(around), batches, words)) == expected


@pytest.mark.parametrize(("dialect", "body"), DIALECTS.values(), ids=DIALECTS)
def test_an_opening_leaves_with_the_first_words_that_are_there(
    dialect: Dialect, body: dict
) -> None:
    around = envelope(dialect.parse(body, reading()))
    apart = list(frames(dialect.writer(around), TEXT[:1]))
    together = list(frames(dialect.writer(around), TEXT[:1], has_begun=True))

    assert together == [b"".join(apart)]


def test_what_breaks_is_the_last_frame() -> None:
    around = envelope(CHAT.parse(MESSAGES, reading()))

    def breaking() -> Iterator[Batch]:
        yield START[-1]
        raise LookupError("lost")

    found = list(frames(CHAT.writer(around), breaking(), broken=lambda e: repr(e).encode()))

    assert len(found) == 3
    assert found[-1] == b"LookupError('lost')"


def test_a_writer_that_is_over_ends_the_stream() -> None:
    around = envelope(CHAT.parse(MESSAGES, reading()))
    batches = iter([*START, *END, *TEXT])
    list(frames(CHAT.writer(around), batches))

    assert list(batches) == TEXT
