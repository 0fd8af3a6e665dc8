"""Counting the kinds of characters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import text_kinds
from gateway.core.text_kinds import Kinds, count

TEXTS = {
    "": Kinds(),
    " \t \r": Kinds(),
    "one two": Kinds(words=2, letters=6),
    "camelCase_name": Kinds(words=2, letters=13, marks=1),
    "a\n\nb": Kinds(words=2, letters=2, lines=2),
    "10 000": Kinds(digits=5),
    'f(x) == {"y"}': Kinds(words=3, letters=3, marks=5),
    "低潮在六点": Kinds(han=5),
    "みずうみ、カナ。": Kinds(wide=8),
    "아침": Kinds(wide=2),
    "（１）": Kinds(wide=3),
    "déjà": Kinds(words=1, letters=2, accents=2),
    "Утро": Kinds(others=4),
    "सुबह": Kinds(others=4),
    "“ok” → ✓": Kinds(words=1, letters=2, symbols=4),
    "🌊": Kinds(symbols=2),
    "\ud800": Kinds(symbols=1),
    "用 Docker 部署 v2": Kinds(words=2, letters=7, digits=1, han=3),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items(), ids=map(ascii, TEXTS))
def test_characters_are_counted_by_kind(text: str, expected: Kinds) -> None:
    assert count(text) == expected


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_counted_as_regular_expressions_count_it(text: str) -> None:
    found = count(text)

    assert found == Kinds(
        words=len(re.findall(r"[A-Za-z]+", text)),
        letters=len(re.findall(r"[A-Za-z]", text)),
        digits=len(re.findall(r"[0-9]", text)),
        marks=len(re.findall(r"[!-/:-@\[-`{-~]+", text)),
        lines=text.count("\n"),
    )


@given(st.text())
def test_every_character_beyond_ascii_is_of_one_kind(text: str) -> None:
    found = count(text)

    in_utf16 = len(text.encode("utf-16-le", "surrogatepass")) // 2
    ascii_chars = sum(map(str.isascii, text))
    beyond = found.han + found.wide + found.accents + found.symbols + found.others
    assert beyond == in_utf16 - ascii_chars


def test_a_long_text_is_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "tide 12; 低潮 " * 1_000
    whole = count(text)

    monkeypatch.setattr(text_kinds, "_PIECE", len("tide 12; 低潮 ") * 10)

    assert count(text) == whole
