"""Charts as values: what the browser draws, and the same as a table for whoever cannot see it.

A chart has equal steps in time. Each step knows the address of the requests behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from gateway.core.chat import EMPTY
from gateway.core.requests import Filter
from gateway.core.usage import Sums
from gateway.reports.time_steps import by_step, steps
from gateway.store.usage import usage_queries
from gateway.web import language
from gateway.web.context import services
from gateway.web.template_filters import duration, linked, num, percent, rate, utc
from gateway.web.words import _

Unit: TypeAlias = Literal["count", "ms", "rate", "percent"]
_FIGURES: Mapping[Unit, Callable[[float | None], str]] = {
    "ms": duration,
    "rate": rate,
    "percent": percent,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, a value a step, the colour's number, and its part of the address. A
    dashed one is of another time and leads to no requests."""

    name: str
    values: tuple[float | None, ...]
    colour: int = 1
    query: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over time. `starts` are the steps' first instants and the end of the last one."""

    kind: Literal["bars", "lines"]
    unit: Unit
    title: str
    starts: tuple[datetime, ...]
    lines: tuple[Line, ...]
    query: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    clock: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(value for line in self.lines for value in line.values)

    def link(self, index: int, line: Line | None = None) -> str:
        """Return the address of the requests behind a step (and a series)."""
        query = {**self.query, **(line.query if line else {})}
        since, until = utc(self.starts[index]), utc(self.starts[index + 1])
        return linked("admin.requests", {**query, "since": since, "until": until})

    def data(self) -> dict[str, Any]:
        """Return the chart as the browser draws it, with the address of the requests that all its
        lines have in common; times are unix seconds."""
        queries = [line.query.items() for line in self.lines if not line.dashed]
        common = dict(set.intersection(*map(set, queries)))
        return {
            "kind": self.kind,
            "unit": self.unit,
            "clock": self.clock,
            "x": [int(start.timestamp()) for start in self.starts],
            "lines": [
                {
                    "name": line.name,
                    "colour": line.colour,
                    "values": line.values,
                    "dashed": line.dashed,
                }
                for line in self.lines
            ],
            "requests": linked("admin.requests", {**self.query, **common}),
        }

    def heads(self) -> list[tuple[str, str]]:
        """Return the heads of the table behind the time, each with its classes."""
        return [(line.name, "text-end") for line in self.lines]

    def rows(self) -> list[tuple[datetime, str, list[str]]]:
        """Return the table: step, address, figures; steps without anything are left out."""
        figure = _FIGURES.get(self.unit, num)
        found = []
        for index, start in enumerate(self.starts[:-1]):
            values = [line.values[index] for line in self.lines]
            if any(values):
                found.append((start, self.link(index), [figure(value) for value in values]))
        return found


def per_day(days: int, **ids: int) -> Chart:
    """Return input and output tokens of the last days, stacked; `ids` say of which key or model."""
    zone, now = language.zone_info(), datetime.now(UTC)
    starts = steps(now - timedelta(days=days - 1), now, "day", zone)
    wanted = Filter(since=starts[0], **ids)  # type: ignore[arg-type]  # key_id or model_id
    cells = services().store.read_slow(usage_queries.series, wanted, "none")
    sums = by_step(cells, starts, "day", zone).get(usage_queries.ALL, [Sums()] * (len(starts) - 1))
    return Chart(
        "bars",
        "count",
        _("Tokens per day"),
        starts,
        (
            Line(_("Input"), tuple(one.prompt_tokens for one in sums), 1),
            Line(_("Output"), tuple(one.completion_tokens for one in sums), 2),
        ),
        {name: str(value) for name, value in ids.items()},
        clock=False,
    )
