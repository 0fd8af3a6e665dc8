"""Finds thinking between tags in a text, for models whose template Ollama does not understand.

    <think>…</think>, <thinking>…</thinking>, [THINK]…[/THINK]

A tag opens thinking at the beginning of a line only: elsewhere it is spoken about. Many templates
open the tag themselves, so that the text holds only the closing one. In a whole answer that can be
seen; in a stream it has to be known beforehand.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.policy.emulation.stop_sequences import Piece, held_back

_CLOSES: Final = {"<think>": "</think>", "<thinking>": "</thinking>", "[THINK]": "[/THINK]"}
_ALL_CLOSES: Final = tuple(_CLOSES.values())
_OPENING: Final = re.compile(r"^(<think>|<thinking>|\[THINK\])", re.MULTILINE)
_FIRST: Final = frozenset("<[")
_LONGEST: Final = max(map(len, _ALL_CLOSES)) - 1


class ThinkTags:
    """Splits a text that arrives in pieces of any size, and holds back only what may still turn out
    to be a tag.

    `opened`: the text begins inside the thinking. `whole`: nothing is given before the end, so that
    a lone closing tag is seen.
    """

    def __init__(self, *, opened: bool = False, whole: bool = False) -> None:
        self._held = ""
        self._unread: list[str] = []
        self._closes: tuple[str, ...] = ()
        self._opened = opened
        self._whole = whole
        self._started = False
        self._gap = False
        self._at_line_start = True

    def feed(self, text: str) -> list[Piece]:
        """Return what is certain of the text so far."""
        self._unread.append(text)
        is_blank = not (self._started or self._held or text.strip())
        return [] if self._whole or is_blank else self._split(at_end=False)

    def flush(self) -> list[Piece]:
        """Return what was held back, when the text has ended."""
        if self._whole:
            self._whole = False
            self._read()
            closing = _first(self._held, _ALL_CLOSES)
            before = self._held[: closing[0]] if closing else self._held
            is_alone = closing is not None and not any(tag in before for tag in _CLOSES)
            self._opened = self._opened or is_alone
        return self._split(at_end=True)

    def _read(self) -> None:
        self._held += "".join(self._unread)
        self._unread = []

    def _split(self, at_end: bool) -> list[Piece]:
        self._read()
        pieces: list[Piece] = []
        while True:
            inside = bool(self._closes)
            text, goes_on = self._thinking(at_end) if inside else self._text(at_end)
            if text:
                pieces.append((inside, text))
            if not goes_on:
                return pieces

    def _thinking(self, at_end: bool) -> tuple[str, bool]:
        """Return thinking up to its end; whether that was found."""
        found = _first(self._held, self._closes)
        if found is None:
            return self._keep(
                0 if at_end else held_back(self._held, self._closes, _FIRST, _LONGEST)
            ), False
        at, tag = found
        text = self._held[:at]
        self._held = self._held[at + len(tag) :]
        self._closes = ()
        self._gap = self._at_line_start = True
        return text, True

    def _text(self, at_end: bool) -> tuple[str, bool]:
        """Return text up to where thinking begins; whether that was found."""
        if self._gap:
            self._held = self._held.lstrip()
            self._gap = not self._held
        if not self._started:
            bare = self._held.lstrip()
            if not at_end and any(tag.startswith(bare) for tag in _CLOSES):
                return "", False
            if _OPENING.match(bare):
                self._held = bare
            elif bare and self._opened:
                self._started = True
                self._closes = _ALL_CLOSES
                self._held = bare
                return "", True
        next_line = self._held.find("\n") + 1 or len(self._held)
        opening = _OPENING.search(self._held, 0 if self._at_line_start else next_line)
        if opening is None:
            text = self._keep(0 if at_end else self._partial_opening())
            if text:
                self._started = True
                self._at_line_start = text.endswith("\n")
            return text, False
        text = self._held[: opening.start()]
        self._held = self._held[opening.end() :]
        self._closes = (_CLOSES[opening[1]],)
        self._started = True
        return text, True

    def _partial_opening(self) -> int:
        """Return the length of the end that may become an opening tag."""
        start = self._held.rfind("\n") + 1
        line = self._held[start:]
        may_begin = bool(start) or self._at_line_start
        return len(line) if may_begin and any(tag.startswith(line) for tag in _CLOSES) else 0

    def _keep(self, length: int) -> str:
        """Return all that is held but the last `length` characters."""
        cut = len(self._held) - length
        text, self._held = self._held[:cut], self._held[cut:]
        return text


def _first(text: str, marks: tuple[str, ...]) -> tuple[int, str] | None:
    """Return where the first of the marks begins, and which it is."""
    found = [(at, mark) for mark in marks if (at := text.find(mark)) >= 0]
    return min(found, default=None)
