"""Where an answer leaves: when the short way is open, and what is counted on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.calls.outlet import Outlet
from gateway.calls.stats import Tally
from gateway.core.events import Event, Finish, Ping, TextDelta, ThinkingDelta, TokenLogprob
from gateway.ollama.wire import Decoder
from tests.services.test_usage_writer import admission

ENDED = b'{"message":{"content":""},"done":true}'


def line(text: str) -> bytes:
    return b'{"message":{"content":"%b"},"done":false}' % text.encode()


class Source:
    """Stands for an upstream call: gives lines, and remembers what was put back."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)
        self.back: list[bytes] = []
        self._last = b""

    def quick_lines(self) -> tuple[Callable[[], bytes | None], Callable[[], None]]:
        return self._next, lambda: self.back.append(self._last)

    def _next(self) -> bytes | None:
        if not self._lines:
            return None
        self._last = self._lines.pop(0)
        return self._last


@pytest.fixture
def tally() -> Tally:
    return Tally(admission())


def offered(tally: Tally, source: Any, events: Sequence[Event]) -> Outlet:
    outlet = Outlet(tally)
    outlet.offer(events, source, Decoder())
    return outlet


def test_text_that_left_as_it_came_opens_the_short_way(tally: Tally) -> None:
    events = [TextDelta("one")]
    outlet = offered(tally, Source(line(" two"), line(" three")), events)
    outlet.give((0, events))

    assert [outlet.words(), outlet.words(), outlet.words()] == [" two", " three", None]
    assert tally.records == 3


def test_text_that_a_layer_changed_does_not(tally: Tally) -> None:
    outlet = offered(tally, Source(line(" two")), [TextDelta("one")])
    outlet.give((0, [TextDelta("one")]))

    assert outlet.words() is None


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([ThinkingDelta("hm")], id="thinking"),
        pytest.param([TextDelta("a"), TextDelta("b")], id="two pieces"),
        pytest.param([TextDelta("a", (TokenLogprob("a", -0.1),))], id="log-probabilities"),
        pytest.param([Finish("stop")], id="an end"),
        pytest.param((), id="a tick"),
    ],
)
def test_what_is_not_a_piece_of_plain_text_does_not(tally: Tally, events: Sequence[Event]) -> None:
    outlet = offered(tally, Source(line(" two")), events)
    if events:
        outlet.give((0, events))

    assert outlet.words() is None


def test_texts_that_are_kept_do_not_go_past_who_keeps_them(tally: Tally) -> None:
    tally.keep_bodies({}, 100)
    events = [TextDelta("one")]
    outlet = offered(tally, Source(line(" two")), events)
    outlet.give((0, events))

    assert outlet.words() is None


def test_a_line_with_more_to_say_is_put_back_and_closes_the_short_way(tally: Tally) -> None:
    events = [TextDelta("one")]
    source = Source(ENDED, line(" late"))
    outlet = offered(tally, source, events)
    outlet.give((0, events))

    assert [outlet.words(), outlet.words()] == [None, None]
    assert source.back == [ENDED]
    assert tally.records == 1


def test_a_caller_who_takes_nothing_is_stuck(tally: Tally) -> None:
    outlet = Outlet(tally)
    outlet.give((0, [Ping()]))

    looks = [outlet.is_stuck(60), outlet.is_stuck(60), outlet.is_stuck(-1)]

    assert looks == [False, False, True]


def test_a_caller_who_took_something_between_two_looks_is_not(tally: Tally) -> None:
    events = [TextDelta("one")]
    outlet = offered(tally, Source(line(" two")), events)
    outlet.give((0, events))
    looks = [outlet.is_stuck(-1)]
    outlet.words()
    looks.append(outlet.is_stuck(-1))
    outlet.words()
    looks.append(outlet.is_stuck(-1))
    outlet.give((0, [Ping()]))
    looks.append(outlet.is_stuck(-1))
    outlet.taken()
    looks.append(outlet.is_stuck(-1))

    assert looks == [False] * 5
