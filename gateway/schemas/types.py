"""Kinds of fields that several schemas have, and how fields are described."""

from __future__ import annotations

import dataclasses
import ipaddress
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import EllipsisType
from typing import Any, Final, TypeVar, cast

from msgspec import Meta

from gateway.core.periods import YEARS, in_utc, is_zone, parse_instant
from gateway.errors import Message

LINE_LIMIT: Final = 200
NOTES_LIMIT: Final = 10_000
MOST_ENTRIES: Final = 1_000
MOST_INT: Final = 2**31 - 1
MOST_BIG_INT: Final = 2**53 - 1
Check = Callable[[Any], Any]
T = TypeVar("T")


class Problem(ValueError):
    """What is wrong with a value, to follow its name ("must be …"); `path` is where inside it."""

    def __init__(self, message: Message, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def field(
    default: T | EllipsisType,
    title: str,
    description: str = "",
    *,
    check: Check | None = None,
    tab: str = "",
    group: str = "",
    unit: str = "",
    secret: bool = False,
    json_schema: dict[str, Any] | None = None,
    **bounds: Any,
) -> T:
    """Return a dataclass field that can be set from outside: what it is without being set (`...`:
    it must be), what it is called, what it does, its bounds as msgspec names them.

    `check` takes a value of the right type and returns it as it is stored, or raises Problem.
    `tab` and `group` are where the settings page shows it, `unit` is what its number counts (s, ms,
    hours, days, KB, MB, GB); of a `secret` only is told whether there is one.
    """
    described = {
        "meta": Meta(
            title=title,
            description=description or None,
            extra={"check": check, "tab": tab, "group": group, "unit": unit},
            extra_json_schema=json_schema,
            **bounds,
        )
    }
    if default is ...:
        return cast(T, dataclasses.field(metadata=described))
    if isinstance(default, Mapping):  # which Python 3.11 refuses as a default
        return cast(T, dataclasses.field(default_factory=lambda: default, metadata=described))
    return dataclasses.field(default=default, repr=not secret, metadata=described)


def line(value: str) -> str:
    """Return one line in composed form, without spaces around it."""
    text = unicodedata.normalize("NFC", value).strip()
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text):
        raise Problem(Message("must be one line without control characters"))
    return text


def name(value: str) -> str:
    """Return one line that says something."""
    text = line(value)
    if not text:
        raise Problem(Message("must not be empty"))
    return text


def notes(value: str) -> str:
    """Return a text of any number of lines."""
    return value.replace("\0", "").strip()


def zone(value: str) -> str:
    """Return the name of a time zone."""
    text = value.strip()
    if not is_zone(text):
        raise Problem(Message("must be a time zone such as UTC or Europe/Berlin"))
    return text


def network(value: str) -> str:
    """Return an address or network in CIDR form."""
    try:
        return str(ipaddress.ip_network(value.strip(), strict=False))
    except ValueError:
        problem = Message("must be an address or network such as 192.168.0.0/24")
        raise Problem(problem) from None


def instant(value: Any) -> datetime | None:
    """Return a time in UTC, None for nothing."""
    if value is None or value == "":
        return None
    at = parse_instant(value) if isinstance(value, str) else value
    if not isinstance(at, datetime) or at.year not in YEARS:
        raise Problem(Message("must be a time such as 2030-01-31T12:00:00Z"))
    return in_utc(at)


INSTANT: Final = {"type": ["string", "null"], "format": "date-time"}


def each(check: Check) -> Check:
    """Return a check of lists: `check` for every entry; nothing stands twice, nothing is empty."""

    def read(values: Iterable[Any]) -> tuple[Any, ...]:
        found = []
        for number, value in enumerate(values):
            try:
                found.append(check(value))
            except Problem as problem:
                raise Problem(problem.message, f"[{number}]{problem.path}") from None
        return tuple(dict.fromkeys(one for one in found if one != ""))

    return read


def unique(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return a list without what stands twice."""
    return tuple(dict.fromkeys(values))


def limited(limit: int, check: Check = line) -> Check:
    """Return a check of texts of at most `limit` characters, for entries of lists."""

    def read(value: str) -> Any:
        text = check(value)
        if len(text) > limit:
            raise Problem(Message("must be a text of at most %(limit)s characters", limit=limit))
        return text

    return read
