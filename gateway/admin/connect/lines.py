"""What a test says: a line for each step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. `works` is None where it was not tried, `place` the name and
    address of a page that helps."""

    what: str
    words: str
    works: bool | None
    place: tuple[str, str] | None = None
