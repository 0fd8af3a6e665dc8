"""Budget periods begin at midnight of the key's zone, on Mondays and firsts, clocks changed or
not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.periods import EPOCH, PERIODS, Period, is_zone, period_end, period_start


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


CASES = [
    ("day", "UTC", "2030-05-15T12:00:00+00:00", "2030-05-15T00:00Z", "2030-05-16T00:00Z"),
    ("day", "Asia/Shanghai", "2030-05-15T16:00:00+00:00", "2030-05-15T16:00Z", "2030-05-16T16:00Z"),
    ("day", "Asia/Shanghai", "2030-05-15T15:59:59+00:00", "2030-05-14T16:00Z", "2030-05-15T16:00Z"),
    ("week", "UTC", "2030-05-15T12:00:00+00:00", "2030-05-13T00:00Z", "2030-05-20T00:00Z"),
    ("week", "UTC", "2030-05-13T00:00:00+00:00", "2030-05-13T00:00Z", "2030-05-20T00:00Z"),
    ("month", "UTC", "2028-02-29T23:59:59+00:00", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
    ("month", "UTC", "2030-12-31T23:59:59+00:00", "2030-12-01T00:00Z", "2031-01-01T00:00Z"),
    # clocks go forward in Berlin: a day of 23 hours; and back: one of 25
    ("day", "Europe/Berlin", "2030-03-31T12:00:00+00:00", "2030-03-30T23:00Z", "2030-03-31T22:00Z"),
    ("day", "Europe/Berlin", "2030-10-27T12:00:00+00:00", "2030-10-26T22:00Z", "2030-10-27T23:00Z"),
    (
        "week",
        "Europe/Berlin",
        "2030-03-31T22:30:00+00:00",
        "2030-03-31T22:00Z",
        "2030-04-07T22:00Z",
    ),
    ("day", "Nowhere/Land", "2030-05-15T12:00:00+00:00", "2030-05-15T00:00Z", "2030-05-16T00:00Z"),
]


@pytest.mark.parametrize(("period", "zone", "moment", "start", "end"), CASES)
def test_a_period_begins_and_ends(
    period: Period, zone: str, moment: str, start: str, end: str
) -> None:
    assert period_start(period, at(moment), zone) == at(start)
    assert period_end(period, at(moment), zone) == at(end)


def test_the_whole_time_has_one_period() -> None:
    assert period_start("total", at("2030-05-15T12:00:00+00:00"), "UTC") == EPOCH
    assert period_end("total", at("2030-05-15T12:00:00+00:00"), "UTC") is None


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
    period=st.sampled_from(PERIODS[:3]),
)
def test_every_moment_lies_in_exactly_one_period(
    moment: datetime, zone: str, period: Period
) -> None:
    start, end = period_start(period, moment, zone), period_end(period, moment, zone)

    assert end is not None
    assert start <= moment < end
    assert period_start(period, end, zone) == end
    assert period_start(period, end - timedelta(microseconds=1), zone) == start


@pytest.mark.parametrize(
    ("name", "known"),
    [("UTC", True), ("Europe/Berlin", True), ("Mars/Olympus", False), ("", False),
     ("../../etc/passwd", False), ("/etc/localtime", False)],
)  # fmt: skip
def test_zones_are_iana_names(name: str, known: bool) -> None:
    assert is_zone(name) is known
