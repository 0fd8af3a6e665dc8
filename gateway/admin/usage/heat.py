"""The heat map of the usage page: requests by weekday and hour, in five shades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SHADES = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of a weekday; `shade` is from 1 to SHADES, 0 where nothing was."""

    count: int
    shade: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """`days` begin with Monday and have 24 hours each; `legend` is (shade, least, most) for each
    shade that a count can have."""

    days: tuple[tuple[Cell, ...], ...]
    legend: tuple[tuple[int, int, int], ...]


def of_counts(field: Sequence[Sequence[int]], most: int) -> HeatMap:
    """Return the shades of counts. They go by the square root, so that one peak does not make all
    else look alike."""
    days = tuple(tuple(Cell(count, _shade(count, most)) for count in day) for day in field)
    ends = [0, *(math.floor(most * (shade / SHADES) ** 2) for shade in range(1, SHADES)), most]
    legend = (
        (shade, ends[shade - 1] + 1, ends[shade])
        for shade in range(1, SHADES + 1)
        if ends[shade] > ends[shade - 1]
    )
    return HeatMap(days, tuple(legend))


def _shade(count: int, most: int) -> int:
    """Return the first shade whose end is not below `count`."""
    return next((shade for shade in range(SHADES) if count * SHADES**2 <= most * shade**2), SHADES)
