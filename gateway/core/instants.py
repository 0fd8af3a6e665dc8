"""Reads instants as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

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
