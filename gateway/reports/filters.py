"""Makes filters of calls of what addresses, REST and the command line say, by the same names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from gateway.core.requests import CallRow, Filter
from gateway.errors import InvalidFields, Message
from gateway.reports.time_steps import floor
from gateway.schemas import convert
from gateway.schemas.call_query import CallQuery, Range, RequestQuery
from gateway.store.tables import to_us

T = TypeVar("T", bound=CallQuery)
FIELDS = tuple(one.name for one in fields(RequestQuery))
_CURSOR = re.compile(r"([0-9]{1,17})-([0-9]{1,18})", re.ASCII)
_LENGTHS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


def from_page(
    query: Mapping[str, Sequence[str]], now: datetime, zone: ZoneInfo
) -> tuple[Filter, Mapping[str, Message]]:
    """Return the filter of a page's address, and what is wrong with the fields that are left out
    of it because they cannot be read."""
    values: dict[str, Any] = {}
    problems: dict[str, Message] = {}
    for name in FIELDS:
        try:
            given = {name: query[name]} if name in query else {}
            values |= convert.read_query(given, RequestQuery)
        except InvalidFields as error:
            problems[name] = error.problems[0][1]
    wanted = to_filter(RequestQuery(**values), now, zone)
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        problems["until"] = Message("must be later than the beginning")
        wanted = replace(wanted, until=None)
    return wanted, problems


def utc_filter(query: CallQuery) -> Filter:
    """Return the filter that a query of a program makes now, whose days are those of UTC."""
    return to_filter(query, datetime.now(UTC), ZoneInfo("UTC"))


def to_filter(query: CallQuery, now: datetime, zone: ZoneInfo) -> Filter:
    """Return the filter that a query makes; days are those of `zone`."""
    named = {one.name for one in fields(query)} & {one.name for one in fields(Filter)}
    values = {name: getattr(query, name) or None for name in named - {"since", "until"}}
    if "features" in values:
        values["features"] = frozenset(values["features"] or ())
    kept = {name: value for name, value in values.items() if value is not None}
    if query.range is not None:
        first, last = span(query.range, now, zone)
        return Filter(since=first, until=last, **kept)
    since, until = _instant(query.since, zone), _instant(query.until, zone)
    if until is not None and len(query.until) == len("2030-01-31"):
        until += timedelta(days=1)  # a day as an end includes that day
    return Filter(since=since, until=until, **kept)


def span(chosen: Range, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
    """Return the beginning and end of a range; None is an end that is now. Days are those of
    `zone`."""
    today = floor(now, "day", zone)
    match chosen:
        case "today":
            return today, None
        case "yesterday":
            return floor(today - timedelta(hours=1), "day", zone), today
        case "this_month":
            return floor(now, "month", zone), None
    return now - int(chosen[:-1]) * _LENGTHS[chosen[-1]], None


def cursor(call: CallRow) -> str:
    """Return where a list of calls goes on behind `call`: `microseconds-id`."""
    return f"{to_us(call.at)}-{call.id}"


def read_cursor(text: str) -> tuple[int, int] | None:
    """Return (microseconds, id) of a cursor, None where it is none."""
    found = _CURSOR.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def _instant(text: str, zone: ZoneInfo) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
