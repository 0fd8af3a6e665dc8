"""What a test says: a line for each step."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.web.words import _


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. `works` is None where it was not tried, `place` the name and
    address of a page that helps."""

    what: str
    words: str
    works: bool | None
    place: tuple[str, str] | None = None

    @property
    def state(self) -> tuple[str, str]:
        """How it went: a kind of Bootstrap's and a word."""
        if self.works is None:
            return "secondary", _("Not tried")
        return ("success", _("Works")) if self.works else ("danger", _("Does not work"))
