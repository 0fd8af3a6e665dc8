"""What each setting may be: types and ranges are those of `core.behaviour.Behaviour`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from gateway.core.behaviour import Behaviour
from gateway.core.chat import Json
from gateway.core.periods import is_zone
from gateway.errors import InvalidRequest

RANGES: Mapping[str, tuple[int, int]] = {
    name: kind.__metadata__[0]
    for name, kind in get_type_hints(Behaviour, include_extras=True).items()
    if get_origin(kind) is Annotated
}
"""Lowest and highest value of each whole-number setting."""

TYPES = get_type_hints(Behaviour)
DEFAULTS = {field.name: field.default for field in fields(Behaviour)}
_TEXT_LIMIT = 2_000


def choices(name: str) -> tuple[str, ...]:
    """Return the words a setting chooses from; () for one that is not a choice."""
    kind = TYPES[name]
    return get_args(kind) if get_origin(kind) is Literal else ()


def check(changes: Mapping[str, Json]) -> dict[str, Json]:
    """Return the changes as the types settings have. Raises InvalidRequest naming the wrong one."""
    return {name: _check_one(name, value) for name, value in changes.items()}


def _check_one(name: str, value: Json) -> Json:
    kind = TYPES.get(name)
    if kind is None:
        raise InvalidRequest(f"There is no setting '{name[:64]}'.", param=name[:64])
    if kind is bool:
        if not isinstance(value, bool):
            raise _wrong(name, "must be true or false")
        return value
    if kind is int:
        low, high = RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(name, f"must be a whole number from {low} to {high}")
        return value
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT or "\0" in value:
        raise _wrong(name, "must be a text")
    words = choices(name)
    if words and value not in words:
        raise _wrong(name, f"must be one of {', '.join(words)}")
    problem = _TEXTS[name](value) if name in _TEXTS else ""
    if problem:
        raise _wrong(name, problem)
    return value.strip()


def _origins(text: str) -> str:
    if text.strip() == "*":
        return ""
    for origin in text.replace(",", " ").split():
        if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
            return "must be * or origins such as https://chat.example.org, separated by spaces"
    return ""


def _public_url(text: str) -> str:
    if not text.strip():
        return ""
    try:
        parts = urlsplit(text.strip())
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query
    except ValueError:
        good = False
    if good and not re.search(r"[\x00-\x20\\@]", text.strip()):
        return ""
    return "must be an address such as https://ai.example.org"


def _zone(text: str) -> str:
    return "" if is_zone(text.strip()) else "must be a time zone such as UTC or Europe/Berlin"


def _wrong(name: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"The setting '{name}' {problem}.", param=name)


_TEXTS = {
    "cors_allow_origins": _origins,
    "display_timezone": _zone,
    "public_url": _public_url,
}
