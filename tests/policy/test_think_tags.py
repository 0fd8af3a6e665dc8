"""Thinking between tags in a text that arrives in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.emulation.think_tags import ThinkTags


def split(pieces: list[str], **how: bool) -> tuple[str, str]:
    tags = ThinkTags(**how)
    found = [one for piece in pieces for one in tags.feed(piece)] + tags.flush()
    assert all(text for _, text in found)
    return (
        "".join(text for is_thinking, text in found if is_thinking),
        "".join(text for is_thinking, text in found if not is_thinking),
    )


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


TAGS = {
    "none": ("Hello", "", "Hello"),
    "tag": ("<think>Hm</think>Yes", "Hm", "Yes"),
    "longer tag": ("<thinking>Hm</thinking>Yes", "Hm", "Yes"),
    "brackets": ("[THINK]Hm[/THINK]Yes", "Hm", "Yes"),
    "the other closing": ("<think>a</thinking>b</think>c", "a</thinking>b", "c"),
    "white space before": ("\n <think>Hm</think>Yes", "Hm", "Yes"),
    "white space between": ("<think>Hm</think>\n\n Yes", "Hm", "Yes"),
    "never closed": ("<think>Hm</thi", "Hm</thi", ""),
    "not at the beginning of a line": ("a<think>b</think>", "", "a<think>b</think>"),
    "nearly a tag": ("<thing>", "", "<thing>"),
    "the beginning of a tag": (" <thi", "", " <thi"),
    "opened twice": ("<think>a</think><think>b</think>", "ab", ""),
    "a second time, later": ("<think>a</think>b\n<think>c</think>\nd", "ac", "b\nd"),
    "empty": ("<think></think>Yes", "", "Yes"),
    "only thinking": ("<think>a</think>", "a", ""),
    "a tag inside": ("<think>a<b></think>c", "a<b>", "c"),
    "only white space": ("  ", "", "  "),
    "nothing": ("", "", ""),
}


@pytest.mark.parametrize(("text", "thought", "rest"), TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("whole", [False, True], ids=["stream", "whole"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_tagged_thinking_is_split_off(
    text: str, thought: str, rest: str, size: int, whole: bool
) -> None:
    assert split(cut(text, size), whole=whole) == (thought, rest)


LONE = [
    ("Okay the user\n</think>\n\nyes", "Okay the user\n", "yes"),
    ("a</thinking>b", "a", "b"),
    ("a[/THINK]b", "a", "b"),
    ("</think>yes", "", "yes"),
    ("a</think>b\n<think>c</think>d", "ac", "b\nd"),
]


@pytest.mark.parametrize(("text", "thought", "rest"), LONE)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_lone_closing_tag_ends_thinking(text: str, thought: str, rest: str, size: int) -> None:
    assert split(cut(text, size), whole=True) == (thought, rest)
    assert split(cut(text, size), opened=True) == (thought, rest)


@pytest.mark.parametrize("text", ["a", " a\n"])
def test_an_answer_without_tags_is_text_unless_it_was_opened(text: str) -> None:
    assert split([text], whole=True) == ("", text)
    assert split([text], opened=True) == (text.lstrip(), "")


@pytest.mark.parametrize("size", [1, 100])
def test_a_tag_that_comes_all_the_same_is_no_thinking(size: int) -> None:
    assert split(cut("<think>a</think>b", size), opened=True) == ("a", "b")


FRAGMENTS = ["<", "think", ">", "</", "a", " ", "\n", "</think>", "<think>", "[THINK]", "[/THINK]"]


@given(st.lists(st.sampled_from(FRAGMENTS)), st.booleans())
def test_tags_do_not_depend_on_the_pieces(pieces: list[str], opened: bool) -> None:
    assert split(pieces, opened=opened) == split(["".join(pieces)], opened=opened)


def test_text_is_not_held_back_without_need() -> None:
    tags = ThinkTags()

    assert tags.feed("H") == [(False, "H")]
    assert tags.feed("<") == [(False, "<")]
    tags = ThinkTags()
    assert tags.feed("<think>a") == [(True, "a")]
    assert tags.feed("b<") == [(True, "b")]
    assert tags.feed("c") == [(True, "<c")]
    assert tags.feed("</think>d") == [(False, "d")]
