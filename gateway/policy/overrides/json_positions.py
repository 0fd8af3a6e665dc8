"""On which line of a JSON text each value stands, so that a message about it can say so.

    lines = read_lines('{\\n "a": [1, {"b": 2}]\\n}')
    lines[("a", 1, "b")]  # 2

The text must be valid JSON: `json.loads` comes first. Keys written twice are listed, because the
second silently wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson

Path: TypeAlias = tuple[str | int, ...]
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCALAR: Final = re.compile(r"[^\s,\]}]+")


@dataclass(slots=True)
class Lines:
    """Lines by path, counted from 1; `twice` are paths whose key stands twice in its object."""

    of: dict[Path, int] = field(default_factory=dict)
    twice: list[Path] = field(default_factory=list)

    def nearest(self, path: Path) -> int:
        """Return the line of a path, or of what holds it."""
        while path and path not in self.of:
            path = path[:-1]
        return self.of.get(path, 1)


def read_lines(text: str) -> Lines:
    """Return the lines of every value of a valid JSON text."""
    reader = _Reader(text)
    reader.value((), 0)
    return reader.lines


class _Reader:
    """Walks through a text that is known to be valid."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines()
        self._counted = 0
        self._line = 1

    def value(self, path: Path, position: int) -> int:
        """Note the value at `position`; give the position behind it."""
        position = self._skip(position)
        self.lines.of[path] = self._line_at(position)
        match self.text[position]:
            case "{":
                return self._object(path, position + 1)
            case "[":
                return self._array(path, position + 1)
            case '"':
                return self._end_of(_STRING, position)
            case _:
                return self._end_of(_SCALAR, position)

    def _object(self, path: Path, position: int) -> int:
        position = self._skip(position)
        seen: set[str] = set()
        while self.text[position] != "}":
            line = self._line_at(position)
            end = self._end_of(_STRING, position)
            name = orjson.loads(self.text[position:end])
            position = end
            below = (*path, name)
            if name in seen:
                self.lines.twice.append(below)
            seen.add(name)
            position = self.value(below, self._skip(position) + 1)
            self.lines.of[below] = line
            position = self._next(position)
        return position + 1

    def _array(self, path: Path, position: int) -> int:
        position = self._skip(position)
        index = 0
        while self.text[position] != "]":
            position = self._next(self.value((*path, index), position))
            index += 1
        return position + 1

    def _next(self, position: int) -> int:
        """Step over a comma; stay at a closing bracket."""
        position = self._skip(position)
        return self._skip(position + 1) if self.text[position] == "," else position

    def _skip(self, position: int) -> int:
        return self._end_of(_SPACE, position)

    def _end_of(self, token: re.Pattern[str], position: int) -> int:
        found = token.match(self.text, position)
        if found is None:
            raise ValueError("the text is not valid JSON")
        return found.end()

    def _line_at(self, position: int) -> int:
        self._line += self.text.count("\n", self._counted, position)
        self._counted = position
        return self._line
