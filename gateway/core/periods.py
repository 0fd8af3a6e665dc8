"""Budget periods: when each begins and ends, in a key's own time zone.

Days begin at 00:00 of the zone, weeks on Monday, months on the 1st. `total` has one period that
began in 1970 and never ends. A change of clocks makes a day 23 or 25 hours long.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Period: TypeAlias = Literal["day", "week", "month", "total"]
PERIODS: tuple[Period, ...] = ("day", "week", "month", "total")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def period_start(period: Period, at: datetime, zone: str) -> datetime:
    """Return the first instant (UTC) of the period that `at` lies in."""
    if period == "total":
        return EPOCH
    return _first(period, at.astimezone(zone_of(zone)))


def period_end(period: Period, at: datetime, zone: str) -> datetime | None:
    """Return the first instant after the period that `at` lies in; None for `total`."""
    if period == "total":
        return None
    local = at.astimezone(zone_of(zone))
    day = datetime(local.year, local.month, local.day, 12, tzinfo=local.tzinfo)
    match period:
        case "day":
            later = day + timedelta(days=1)
        case "week":
            later = day + timedelta(days=7 - day.weekday())
        case _:
            later = day.replace(day=28) + timedelta(days=4)
    return _first(period, later)


def _first(period: Period, local: datetime) -> datetime:
    day = datetime(local.year, local.month, local.day, tzinfo=local.tzinfo)
    match period:
        case "week":
            day -= timedelta(days=day.weekday())  # wall-clock arithmetic: stays at 00:00
        case "month":
            day = day.replace(day=1)
        case _:
            pass
    return day.astimezone(UTC)


@lru_cache(maxsize=512)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name; UTC for one this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def is_zone(name: str) -> bool:
    """Whether this machine knows the time zone."""
    return name == "UTC" or zone_of(name).key == name


YEARS: Final = range(1970, 9000)
"""Outside of them a change of the time zone may leave what a date can hold."""


def parse_instant(text: str) -> datetime | None:
    """Return the instant (UTC) that an ISO 8601 text names, a day's first one for a day; UTC where
    no zone is named. None for anything else, and for years no record could have."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return in_utc(at) if at.year in YEARS else None


def in_utc(at: datetime) -> datetime:
    """Return a time in UTC; one without a zone is taken for UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
