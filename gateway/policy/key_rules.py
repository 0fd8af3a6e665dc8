"""What an API key may be told to be: every field checked, nothing half-applied.

`read` takes plain values as a form, the REST API or an import gives them, and returns a changed
copy of a key. Fields that are absent stay as they are; unknown ones are refused, so that a typing
error is not taken for a limit.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, get_args

from gateway.core.chat import Json
from gateway.core.keys import PERIODS, Budget, Key, Limits, Priority
from gateway.core.periods import YEARS, in_utc, is_zone, parse_instant
from gateway.errors import InvalidRequest

NAME_LIMIT = 200
NOTES_LIMIT = 10_000
_PATTERN_LIMIT = 256
_ENTRIES = 1_000
_NUMBER_LIMIT = 2**53


def read(raw: Mapping[str, Json], key: Key, now: datetime, scopes: Sequence[str]) -> Key:
    """Return `key` with the fields of `raw`. Raises InvalidRequest with the field in `param`."""
    limits: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for name, value in raw.items():
        if name in _LIMITS:
            limits[name] = _number(name, value)
        elif name == "budgets":
            limits["budgets"] = _budgets(value)
        elif name == "expires_at":
            changes[name] = _expiry(value, key, now)
        elif name == "scopes":
            changes[name] = _scopes(value, scopes)
        elif name in _READERS:
            changes[name] = _READERS[name](name, value)
        else:
            raise InvalidRequest(f"A key has no field '{name[:64]}'.", param=name[:64])
    changed = replace(key, **changes, limits=replace(key.limits, **limits))
    if not changed.name:
        raise InvalidRequest("A key needs a name.", param="name", code="missing_required_parameter")
    return changed


def blank(now: datetime) -> Key:
    """Return a key as it is before anybody said anything: all models, no limits."""
    return Key(id=0, name="", prefix="", created_at=now)


def _name(field: str, value: Json) -> str:
    text = _line(field, value, NAME_LIMIT)
    if not text:
        raise _wrong(field, "must not be empty")
    return text


def _line(field: str, value: Json, limit: int = NAME_LIMIT) -> str:
    if not isinstance(value, str):
        raise _wrong(field, "must be a text")
    text = unicodedata.normalize("NFC", value).strip()
    if len(text) > limit:
        raise _wrong(field, f"must have at most {limit} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text):
        raise _wrong(field, "must be one line without control characters")
    return text


def _number(field: str, value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUMBER_LIMIT:
        raise _wrong(field, "must be a whole number, 0 for no limit")
    if value > 2**31 - 1:
        raise _wrong(field, f"must be at most {2**31 - 1}")
    return value


def _each(field: str, value: Json) -> Iterator[tuple[str, Json]]:
    """Yield the entries of a list, each with its place."""
    if not isinstance(value, list | tuple):
        raise _wrong(field, "must be a list")
    if len(value) > _ENTRIES:
        raise _wrong(field, f"must have at most {_ENTRIES} entries")
    for i, entry in enumerate(value):
        yield f"{field}[{i}]", entry


def _patterns(field: str, value: Json) -> tuple[str, ...]:
    found = [_line(place, entry, _PATTERN_LIMIT) for place, entry in _each(field, value)]
    if "" in found:
        raise _wrong(field, "must not hold an empty entry")
    return tuple(dict.fromkeys(found))


def _tags(field: str, value: Json) -> tuple[str, ...]:
    found = (_line(place, entry, 64) for place, entry in _each(field, value))
    return tuple(dict.fromkeys(tag for tag in found if tag))


def _ids(field: str, value: Json) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_number(place, entry) for place, entry in _each(field, value)))


def _networks(field: str, value: Json) -> tuple[str, ...]:
    found = []
    for place, entry in _each(field, value):
        try:
            if not isinstance(entry, str):
                raise ValueError
            network = ipaddress.ip_network(entry.strip(), strict=False)
        except ValueError:
            raise _wrong(place, "must be an address or network such as 192.168.0.0/24") from None
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def _scopes(value: Json, known: Sequence[str]) -> tuple[str, ...]:
    for place, entry in _each("scopes", value):
        if entry not in known:
            raise _wrong(place, f"must be one of {', '.join(known)}")
    return tuple(scope for scope in known if scope in value)


def _budgets(value: Json) -> tuple[Budget, ...]:
    found: dict[tuple[str, str], Budget] = {}
    for param, entry in _each("budgets", value):
        if not isinstance(entry, Mapping) or set(entry) != {"metric", "period", "limit"}:
            raise _wrong(param, "must be an object with metric, period and limit")
        metric, period = entry["metric"], entry["period"]
        if metric not in ("requests", "tokens"):
            raise _wrong(f"{param}.metric", "must be requests or tokens")
        if period not in PERIODS:
            raise _wrong(f"{param}.period", f"must be one of {', '.join(PERIODS)}")
        limit = entry["limit"]
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit < _NUMBER_LIMIT:
            raise _wrong(f"{param}.limit", "must be a whole number above 0")
        if (metric, period) in found:
            raise _wrong(param, f"is a second budget of {metric} per {period}")
        found[metric, period] = Budget(metric, period, limit)
    return tuple(found.values())


def _expiry(value: Json, key: Key, now: datetime) -> datetime | None:
    if value is None or value == "":
        return None
    at = parse_instant(value) if isinstance(value, str) else value
    if not isinstance(at, datetime) or at.year not in YEARS:
        raise _wrong("expires_at", "must be a time such as 2030-01-31T12:00:00Z")
    at = in_utc(at)
    if at <= now and at != key.expires_at:
        raise _wrong("expires_at", "lies in the past")
    return at


def _must(
    problem: str,
    is_good: Callable[[Json], bool],
    made: Callable[[Json], Any] = lambda value: value,
) -> Callable[[str, Json], Any]:
    """Return a reader of values that are good as they are, or as `made` makes them."""

    def read_one(field: str, value: Json) -> Any:
        if not is_good(value):
            raise _wrong(field, problem)
        return made(value)

    return read_one


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"'{field}' {problem}.", param=field)


_LIMITS = frozenset(field.name for field in fields(Limits)) - {"budgets"}
_FLAG = "must be true or false"
_PARAMETERS = _must("must be an object of parameters", lambda v: isinstance(v, Mapping), dict)
_READERS: Mapping[str, Callable[[str, Json], Any]] = {
    "name": _name,
    "enabled": _must(_FLAG, lambda v: isinstance(v, bool)),
    "allow": _patterns,
    "deny": _patterns,
    "model_ids": _ids,
    "cidrs": _networks,
    "zone": _must(
        "must be a time zone such as UTC or Europe/Berlin",
        lambda v: isinstance(v, str) and is_zone(v.strip()),
        str.strip,
    ),
    "priority": _must(
        f"must be one of {', '.join(get_args(Priority))}", lambda v: v in get_args(Priority)
    ),
    "default_params": _PARAMETERS,
    "forced_params": _PARAMETERS,
    "owner": _line,
    "notes": _must(
        f"must be a text of at most {NOTES_LIMIT} characters",
        lambda v: isinstance(v, str) and len(v) <= NOTES_LIMIT,
        lambda v: v.replace("\0", "").strip(),
    ),
    "tags": _tags,
    "log_bodies": _must(_FLAG, lambda v: v is None or isinstance(v, bool)),
}
