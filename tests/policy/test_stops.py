"""Stop strings and think tags in a text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.stops import StopFilter, ThinkTags


def cut(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    look = StopFilter(stops)
    shown = "".join(look.feed(piece) for piece in pieces) + look.flush()
    return shown, look.matched


STOPS: list[tuple[str, list[str], list[str], str, str | None]] = [
    ("nothing", ["abc"], [], "abc", None),
    ("empty stops", ["abc"], ["", ""], "abc", None),
    ("no match", ["abc"], ["x"], "abc", None),
    ("match", ["abXcd"], ["X"], "ab", "X"),
    ("at the start", ["Xab"], ["X"], "", "X"),
    ("in two pieces", ["abEN", "Dcd"], ["END"], "ab", "END"),
    ("letter by letter", list("abENDcd"), ["END"], "ab", "END"),
    ("nearly", ["abEN", "cd"], ["END"], "abENcd", None),
    ("nearly, then truly", ["aEE", "ND"], ["END"], "aE", "END"),
    ("held back at the end", ["abEN"], ["END"], "abEN", None),
    ("the one that ends first", ["a123456"], ["3456", "23"], "a1", "23"),
    ("an inner one ends first", ["xabcx"], ["abc", "b"], "xa", "b"),
    ("the first in the request of one end", ["xab"], ["b", "ab"], "xa", "b"),
    ("the first in the request, other order", ["xab"], ["ab", "b"], "x", "ab"),
    ("white space", ["a\n\nb"], ["\n\n"], "a", "\n\n"),
    ("repeated", ["aaaa"], ["aa"], "", "aa"),
    ("nothing after a match", ["aX", "b", "c"], ["X"], "a", "X"),
    ("beyond ASCII", ["tä", "gs", "über"], ["gsü"], "tä", "gsü"),
]


@pytest.mark.parametrize(("pieces", "stops", "shown", "matched"), [s[1:] for s in STOPS],
                         ids=[s[0] for s in STOPS])  # fmt: skip
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


def split(pieces: list[str]) -> tuple[str, str]:
    tags = ThinkTags()
    both = [tags.feed(piece) for piece in pieces] + [tags.flush()]
    return "".join(thought for thought, _ in both), "".join(text for _, text in both)


TAGS: list[tuple[str, str, str, str]] = [
    ("none", "Hello", "", "Hello"),
    ("tag", "<think>Hm</think>Yes", "Hm", "Yes"),
    ("white space before", "\n <think>Hm</think>Yes", "Hm", "Yes"),
    ("white space between", "<think>Hm</think>\n\n Yes", "Hm", "Yes"),
    ("never closed", "<think>Hm</thi", "Hm</thi", ""),
    ("not leading", "a<think>b</think>", "", "a<think>b</think>"),
    ("nearly a tag", "<thing>", "", "<thing>"),
    ("the beginning of a tag", " <thi", "", " <thi"),
    ("closed twice", "<think>a</think>b</think>c", "a", "b</think>c"),
    ("opened twice", "<think>a</think><think>b</think>", "a", "<think>b</think>"),
    ("empty", "<think></think>Yes", "", "Yes"),
    ("only thinking", "<think>a</think>", "a", ""),
    ("a tag inside", "<think>a<b></think>c", "a<b>", "c"),
    ("only white space", "  ", "", "  "),
    ("nothing", "", "", ""),
]


@pytest.mark.parametrize(
    ("text", "thought", "rest"), [t[1:] for t in TAGS], ids=[t[0] for t in TAGS]
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_leading_think_tag_is_split_off(text: str, thought: str, rest: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    assert split(pieces) == (thought, rest)


@given(st.lists(st.sampled_from(["<", "think", ">", "</", "a", " ", "\n", "</think>", "<think>"])))
def test_tags_do_not_depend_on_the_pieces(pieces: list[str]) -> None:
    assert split(pieces) == split(["".join(pieces)])


def test_text_is_not_held_back_without_need() -> None:
    tags = ThinkTags()

    assert tags.feed("H") == ("", "H")
    assert tags.feed("<") == ("", "<")
    tags = ThinkTags()
    assert tags.feed("<think>a") == ("a", "")
    assert tags.feed("b<") == ("b", "")
    assert tags.feed("c") == ("<c", "")
    assert tags.feed("</think>d") == ("", "d")
