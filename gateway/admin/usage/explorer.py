"""The usage explorer as the console shows it: charts, tables and their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from gateway.admin.usage.charts import Chart, Line, Unit
from gateway.core.requests import Filter
from gateway.core.usage import GROUP_FIELDS, Group, Sums
from gateway.reports import usage
from gateway.reports.usage import Metric, Question, Series
from gateway.runtime.database import Store
from gateway.web.words import _

_PERCENTILE_COLOURS = {50: 1, 90: 3, 99: 6}


@dataclass(frozen=True, slots=True)
class Top:
    """A line of the table of groups; `value` is the metric's, `share` of the largest one."""

    name: str
    label: str
    sums: Sums
    value: float | None
    share: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the explorer shows."""

    chart: Chart
    tops: tuple[Top, ...]
    total: Sums
    before: Sums | None


def ask(store: Store, question: Question, labels: Mapping[str, str], zone: ZoneInfo) -> Answer:
    """Answer a question. `labels` names keys, models and servers by id."""
    found = usage.ask(store, question, zone)
    is_line = question.is_percentile or question.metric == "error_rate"
    chart = Chart(
        "lines" if is_line else "bars",
        unit(question.metric),
        metric_words(question.metric),
        found.starts,
        tuple(_line(question, index, one, labels) for index, one in enumerate(found.series)),
        _filter_query(question.wanted),
        clock=question.step in {"hour", "minute"},
    )
    valued = [(name, sums, usage.value_of(sums, question.metric)) for name, sums in found.groups]
    most = max((value or 0 for _name, _sums, value in valued), default=0) or 1
    tops = tuple(
        Top(name, label(question.group, name, labels), sums, value, (value or 0) / most)
        for name, sums, value in valued
    )
    return Answer(chart, tops, found.total, found.before)


def unit(metric: Metric) -> Unit:
    """Return how a metric's values are written."""
    units: dict[str, Unit] = {"error_rate": "percent", "speed": "rate"}
    return units.get(metric, "ms" if metric in {"first_token", "duration", "queue"} else "count")


def metric_words(metric: Metric) -> str:
    """Return a metric's name."""
    return {
        "requests": _("Requests"),
        "input": _("Input tokens"),
        "output": _("Output tokens"),
        "reasoning": _("Thinking tokens"),
        "tokens": _("All tokens"),
        "errors": _("Errors"),
        "error_rate": _("Error rate"),
        "first_token": _("Time to first token"),
        "speed": _("Output speed"),
        "duration": _("Duration"),
        "queue": _("Time in queue"),
    }[metric]


def group_words(group: Group) -> str:
    """Return a group's name."""
    return {
        "none": _("Nothing"),
        "key": _("Key"),
        "model": _("Model"),
        "server": _("Server"),
        "endpoint": _("Endpoint"),
        "client": _("Application"),
        "status": _("Status"),
    }[group]


def label(group: Group, name: str, labels: Mapping[str, str]) -> str:
    """Return the words for a group's value."""
    if group in {"key", "model", "server"}:
        if name in {"0", "None"}:
            return str(_("none"))
        return labels.get(name, str(_("deleted (%(id)s)", id=name)))
    return name or str(_("unknown"))


def _line(question: Question, index: int, series: Series, labels: Mapping[str, str]) -> Line:
    if question.group == "none":
        if series.percentile is None:
            return Line(metric_words(question.metric), series.values)
        colour = _PERCENTILE_COLOURS[series.percentile]
        return Line(f"p{series.percentile}", series.values, colour)
    name, colour = str(_("others")), 8
    query: tuple[tuple[str, str], ...] = ()
    if series.group != usage.OTHERS:
        name, colour = label(question.group, series.group, labels), index + 1
        query = ((GROUP_FIELDS[question.group], series.group),)
    if series.percentile is not None:
        name = f"{name} · p{series.percentile}"
    return Line(name, series.values, colour, query)


def _filter_query(wanted: Filter) -> tuple[tuple[str, str], ...]:
    given = ((name, getattr(wanted, name)) for name in GROUP_FIELDS.values())
    return tuple((name, str(value)) for name, value in given if value)
