"""Stop strings and think tags in a text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.emulation.stop_sequences import StopFilter


def cut(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    look = StopFilter(stops)
    shown = "".join(look.feed(piece) for piece in pieces) + look.flush()
    return shown, look.matched


STOPS = {
    "nothing": (["abc"], [], "abc", None),
    "empty stops": (["abc"], ["", ""], "abc", None),
    "no match": (["abc"], ["x"], "abc", None),
    "match": (["abXcd"], ["X"], "ab", "X"),
    "at the start": (["Xab"], ["X"], "", "X"),
    "in two pieces": (["abEN", "Dcd"], ["END"], "ab", "END"),
    "letter by letter": (list("abENDcd"), ["END"], "ab", "END"),
    "nearly": (["abEN", "cd"], ["END"], "abENcd", None),
    "nearly, then truly": (["aEE", "ND"], ["END"], "aE", "END"),
    "held back at the end": (["abEN"], ["END"], "abEN", None),
    "the one that ends first": (["a123456"], ["3456", "23"], "a1", "23"),
    "an inner one ends first": (["xabcx"], ["abc", "b"], "xa", "b"),
    "the first in the request of one end": (["xab"], ["b", "ab"], "xa", "b"),
    "the first in the request, other order": (["xab"], ["ab", "b"], "x", "ab"),
    "white space": (["a\n\nb"], ["\n\n"], "a", "\n\n"),
    "repeated": (["aaaa"], ["aa"], "", "aa"),
    "nothing after a match": (["aX", "b", "c"], ["X"], "a", "X"),
    "beyond ASCII": (["tä", "gs", "über"], ["gsü"], "tä", "gsü"),
}


@pytest.mark.parametrize(("pieces", "stops", "shown", "matched"), STOPS.values(), ids=STOPS)
def test_a_text_is_cut_where_a_stop_begins(
    pieces: list[str], stops: list[str], shown: str, matched: str | None
) -> None:
    assert cut(pieces, stops) == (shown, matched)


def test_only_what_may_become_a_stop_is_held_back() -> None:
    look = StopFilter(["<END>", "stop"])

    assert look.feed("abc") == "abc"
    assert look.feed("de<") == "de"
    assert look.feed("x") == "<x"
    assert look.feed("s") == ""
    assert look.feed("t") == ""
    assert look.feed("ale") == "stale"


texts = st.text("abX", max_size=12)


@given(st.lists(texts, max_size=6), st.lists(st.text("abX", min_size=1, max_size=4), max_size=3))
def test_pieces_do_not_matter(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)

    shown, matched = cut(pieces, stops)

    assert (shown, matched) == cut([whole], stops)
    assert whole.startswith(shown)
    assert (matched is None) == (not any(stop in whole for stop in stops))
    if matched is not None:
        assert whole.startswith(shown + matched)
        ends = [whole.index(stop) + len(stop) for stop in stops if stop in whole]
        assert len(shown + matched) == min(ends)
