"""Reads a `.env` file strictly: what would be passed over in silence is said instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path

from dotenv.parser import Binding, parse_stream

_NEAR = 0.88
"""How much alike two names are when one is taken for a slip of the other, of 1."""


def read_env_file(path: Path, known: Collection[str]) -> dict[str, str]:
    """Return the values of the file by name; nothing inside a value is replaced.

    Names that are not `known` belong to somebody else (Compose reads the same file), unless they
    look like a slip. Raises OSError, UnicodeDecodeError, and ValueError with the line's number.
    """
    values: dict[str, str] = {}
    with path.open(encoding="utf-8-sig") as source:
        for binding in parse_stream(source):
            if binding.error or (binding.key is not None and binding.value is None):
                raise ValueError(f"line {_line(binding)} must read NAME=value")
            if binding.key is None or binding.value is None:
                continue
            if binding.key not in known:
                _refuse_slip(binding.key, _line(binding), known)
            values[binding.key] = binding.value
    return values


def _line(binding: Binding) -> int:
    text = binding.original.string
    return binding.original.line + len(text) - len(text.lstrip("\r\n"))


def _refuse_slip(name: str, line: int, known: Collection[str]) -> None:
    for meant in difflib.get_close_matches(name.upper(), list(known), 1, _NEAR):
        raise ValueError(f"line {line}: '{name}' is not a setting; did you mean {meant}?")
