"""Tables of two kinds, whose full product only the slow tests go through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def pairs(rows: Iterable[str], columns: Iterable[str], step: int) -> list[Any]:
    """Return every pair of a row and a column as a case. One in `step` is quick, so that each row
    and each column is met several times; the others are slow."""
    columns = list(columns)
    return [
        pytest.param(
            row, column, id=f"{row}-{column}", marks=pytest.mark.slow if (at + to) % step else ()
        )
        for at, row in enumerate(rows)
        for to, column in enumerate(columns)
    ]
