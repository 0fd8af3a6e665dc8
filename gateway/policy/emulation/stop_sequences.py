"""Cuts a text where the gateway, not Ollama, must see the place: stop strings, and the turn that
an answer continues (D20).

Everything works on text that arrives in pieces of any size, and holds back only what may still turn
out to be the beginning of what is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Piece: TypeAlias = tuple[bool, str]
"""A text, and whether it is thinking."""


class StopFilter:
    """Looks for stop strings in a text that arrives in pieces.

    The match that ends first wins; of several that end at the same place, the first in `stops`.
    `matched` is the string that was hit, None while none was.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._first = frozenset(stop[0] for stop in self._stops)
        self._hold = max((len(stop) for stop in self._stops), default=1) - 1
        self._held = ""
        self.matched: str | None = None

    def feed(self, text: str) -> str:
        """Return what of the text may be shown now. After a match: nothing more."""
        if self.matched is not None:
            return ""
        text = self._held + text
        end = len(text) + 1
        for stop in self._stops:
            at = text.find(stop)
            if at >= 0 and at + len(stop) < end:
                end = at + len(stop)
                self.matched = stop
        if self.matched is not None:
            self._held = ""
            return text[: end - len(self.matched)]
        kept = len(text) - held_back(text, self._stops, self._first, self._hold)
        self._held = text[kept:]
        return text[:kept]

    def flush(self) -> str:
        """Return what was held back, when the text has ended."""
        text, self._held = self._held, ""
        return text


def held_back(text: str, marks: Sequence[str], first: frozenset[str], most: int) -> int:
    """Return the length of the longest end of `text` that begins one of `marks`."""
    start = max(len(text) - most, 0)
    for at in range(start, len(text)):
        if text[at] in first and any(mark.startswith(text[at:]) for mark in marks):
            return len(text) - at
    return 0


class PrefillFilter:
    """Leaves out a repetition of the turn to continue at the beginning of an answer.

    Ollama's native template path gives the whole turn again, others only what is new. White space
    before the turn may get lost on the way.
    """

    def __init__(self, prefill: str) -> None:
        self._repeated = prefill.lstrip()
        self._seen = 0
        self._held: list[str] = []
        self._is_over = False

    def feed(self, text: str) -> list[Piece]:
        """Return what of the text may be shown now."""
        if self._is_over:
            return [(False, text)]
        self._held.append(text)
        begun = text if self._seen else text.lstrip()
        if self._repeated.startswith(begun, self._seen):
            self._seen += len(begun)
            return []
        rest = self._repeated[self._seen :]
        return self._release(begun[len(rest) :] if begun.startswith(rest) else self._all())

    def flush(self) -> list[Piece]:
        """Return what was held back, when the text has ended."""
        is_repetition = self._all().strip() == self._repeated.rstrip()
        return self._release("" if is_repetition else self._all())

    def _all(self) -> str:
        return "".join(self._held)

    def _release(self, text: str) -> list[Piece]:
        self._held = []
        self._is_over = True
        return [(False, text)] if text else []
