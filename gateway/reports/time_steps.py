"""Equal steps in time, as charts have them: days, weeks and months begin where the viewer's do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from gateway.core.usage import Cell, Sums

Step: TypeAlias = Literal["minute", "hour", "day", "week", "month"]


def steps(since: datetime, until: datetime, step: Step, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return the first instants of the steps that cover a range, and the end of the last."""
    at = floor(since, step, zone)
    found = [at]
    while at < until:
        at = following(at, step, zone)
        found.append(at)
    return tuple(found)


def floor(at: datetime, step: Step, zone: ZoneInfo) -> datetime:
    """Return the first instant of the step that `at` lies in."""
    local = at.astimezone(zone)
    match step:
        case "minute":
            return at.astimezone(UTC).replace(second=0, microsecond=0)
        case "hour":
            return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        case "day":
            back = 0
        case "week":
            back = local.weekday()
        case "month":
            back = local.day - 1
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back)
    return midnight.astimezone(UTC)


def following(at: datetime, step: Step, zone: ZoneInfo) -> datetime:
    """Return the first instant of the next step."""
    if step == "minute":
        return at + timedelta(minutes=1)
    if step == "hour":
        return at + timedelta(hours=1)
    days = {"day": 1, "week": 7, "month": 32}[step]
    local = at.astimezone(zone) + timedelta(days=days)
    return floor(local.replace(hour=12), step, zone)


def by_step(
    cells: Iterable[Cell], starts: Sequence[datetime], step: Step, zone: ZoneInfo
) -> Mapping[str, list[Sums]]:
    """Sort cells into steps: group to one sum a step."""
    place = {start: index for index, start in enumerate(starts[:-1])}
    found: dict[str, list[Sums]] = defaultdict(lambda: [Sums()] * (len(starts) - 1))
    for cell in cells:
        index = place.get(floor(cell.start, step, zone))
        if index is not None:
            found[cell.name][index] += cell.sums
    return found
