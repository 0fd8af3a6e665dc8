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
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+')


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


@dataclass(slots=True)
class _Opened:
    """An object or array around what comes next; `step` leads to that, None before a key."""

    path: Path
    step: str | int | None
    names: set[str] | None
    """The keys so far; None for an array."""


def read_lines(text: str) -> Lines:
    """Return the lines of every value of a valid JSON text; those of an object begin at their
    keys."""
    lines = Lines()
    opened: list[_Opened] = []
    line, counted = 1, 0
    for found in _TOKEN.finditer(text):
        token, at = found[0], found.start()
        line += text.count("\n", counted, at)
        counted = at
        around = opened[-1] if opened else _Opened((), 0, None)
        path = (*around.path, 0 if around.step is None else around.step) if opened else ()
        if token in ("}", "]"):
            opened.pop()
        elif token == ",":
            around.step = around.step + 1 if isinstance(around.step, int) else None
        elif around.names is not None and around.step is None:
            around.step = orjson.loads(token)
            path = (*around.path, str(around.step))
            if around.step in around.names:
                lines.twice.append(path)
            around.names.add(str(around.step))
            lines.of[path] = line
        elif token != ":":
            if around.names is None:
                lines.of[path] = line
            if token in ("{", "["):
                is_object = token == "{"
                step, names = (None, set[str]()) if is_object else (0, None)
                opened.append(_Opened(path, step, names))
    return lines
