"""Usage: who used what, when, how fast. The explorer's charts and tables, a heat map, exports."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
from flask import Response, abort, render_template, request

from gateway.accounting.export import safe_cell
from gateway.admin import bp
from gateway.admin.usage import colours, heat
from gateway.admin.usage.charts import Chart, Line, Unit
from gateway.admin.usage.filters import (
    MOST_KEYS,
    RANGE_WORDS,
    PageFilter,
    chips,
    filter_choices,
    page_filter,
)
from gateway.core.requests import Filter
from gateway.core.usage import GROUP_FIELDS, GROUPS, Group, Sums
from gateway.reports import usage
from gateway.reports.time_steps import Step
from gateway.reports.usage import Metric, Question, Series
from gateway.runtime.database import Store
from gateway.store import names
from gateway.web import language
from gateway.web.context import services
from gateway.web.template_filters import here_with, utc
from gateway.web.words import _, _l

_PERCENTILE_COLOURS = {50: 1, 90: 3, 99: 6}
METRIC_WORDS: Mapping[Metric, str] = {
    "requests": _l("Requests"),
    "input": _l("Input tokens"),
    "output": _l("Output tokens"),
    "reasoning": _l("Thinking tokens"),
    "tokens": _l("All tokens"),
    "errors": _l("Errors"),
    "error_rate": _l("Error rate"),
    "first_token": _l("Time to first token"),
    "speed": _l("Output speed"),
    "duration": _l("Duration"),
    "queue": _l("Time in queue"),
}
GROUP_WORDS: Mapping[Group, str] = {
    "none": _l("None"),
    "key": _l("Key"),
    "model": _l("Model"),
    "server": _l("Server"),
    "endpoint": _l("Endpoint"),
    "client": _l("Application"),
    "status": _l("Status"),
}
TOP_WORDS: Mapping[Group, str] = {
    "none": _l("Total"),
    "key": _l("Top keys"),
    "model": _l("Top models"),
    "server": _l("Top servers"),
    "endpoint": _l("Top endpoints"),
    "client": _l("Top applications"),
    "status": _l("Status codes"),
}
STEP_WORDS: Mapping[Step, str] = {
    "hour": _l("Hour"),
    "day": _l("Day"),
    "week": _l("Week"),
    "month": _l("Month"),
}
_RANGES = ("today", "yesterday", "24h", "7d", "30d", "this_month", "90d", "365d")
_CHIPS = ("endpoint", "client_app", "status")
"""What has no field on this page: charts of groups lead to them."""
_UNITS: Mapping[str, Unit] = {
    "error_rate": "percent",
    "speed": "rate",
    "first_token": "ms",
    "duration": "ms",
    "queue": "ms",
}


@dataclass(frozen=True, slots=True)
class Top:
    """A line of the table of groups; `share` of the metric is that of the largest one, `colour`
    that of its line in the chart."""

    name: str
    label: str
    sums: Sums
    share: float
    colour: int


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
    shown = [one.group for one in found.series if one.group != usage.OTHERS]
    coloured = colours.of_names(shown if question.group != "none" else ())
    lines = [_line(question, one, labels, coloured) for one in found.series]
    if found.earlier:
        lines.append(Line(_("Previous period"), found.earlier, colours.OTHERS, dashed=True))
    chart = Chart(
        "lines" if is_line else "bars",
        _UNITS.get(question.metric, "count"),
        str(METRIC_WORDS[question.metric]),
        found.starts,
        tuple(lines),
        _filter_query(question.wanted),
        clock=question.step in {"hour", "minute"},
    )
    values = [usage.value_of(sums, question.metric) or 0 for _name, sums in found.groups]
    most = max(values, default=0) or 1
    tops = tuple(
        Top(name, label(question.group, name, labels), sums, value / most, coloured.get(name, 0))
        for (name, sums), value in zip(found.groups, values, strict=True)
    )
    return Answer(chart, tops, found.total, found.before)


def label(group: Group, name: str, labels: Mapping[str, str]) -> str:
    """Return the words for a group's value."""
    if group in {"key", "model", "server"}:
        if name in {"0", "None"}:
            return str(_("none"))
        return labels.get(name, str(_("deleted (%(id)s)", id=name)))
    return name or str(_("unknown"))


def _line(
    question: Question, series: Series, labels: Mapping[str, str], coloured: Mapping[str, int]
) -> Line:
    if question.group == "none":
        if series.percentile is None:
            return Line(str(METRIC_WORDS[question.metric]), series.values)
        colour = _PERCENTILE_COLOURS[series.percentile]
        return Line(f"p{series.percentile}", series.values, colour)
    name, colour = str(_("others")), colours.OTHERS
    query: Mapping[str, str] = {}
    if series.group != usage.OTHERS:
        name, colour = label(question.group, series.group, labels), coloured[series.group]
        query = {GROUP_FIELDS[question.group]: series.group}
    if series.percentile is not None:
        name = f"{name} · p{series.percentile}"
    return Line(name, series.values, colour, query)


def _filter_query(wanted: Filter) -> Mapping[str, str]:
    given = {name: getattr(wanted, name) for name in GROUP_FIELDS.values()}
    return {name: str(value) for name, value in given.items() if value}


@bp.get("/usage", endpoint="usage")
def usage_page() -> str:
    """Show the explorer as the address says."""
    now = datetime.now(UTC)
    found = page_filter(now)
    choices = filter_choices(found.wanted)
    question = _question(found, now)
    answer = _answer(question)
    return render_template(
        "admin/usage/index.html",
        found=found,
        question=question,
        answer=answer,
        heat_map=heat.of_counts(*usage.heat(services().store, question, language.zone_info())),
        chips=chips(found, choices, _CHIPS),
        most_keys=MOST_KEYS,
        ranges={name: RANGE_WORDS[name] for name in _RANGES},
        chosen_range=found.range or ("" if found.has_own_time else "7d"),
        wider=_wider(question, now) if found.has_own_time else "",
        metrics=METRIC_WORDS.items(),
        groups=GROUP_WORDS.items(),
        steps=STEP_WORDS.items(),
        group_fields=GROUP_FIELDS,
        group_name=str(GROUP_WORDS[question.group]),
        top_words=str(TOP_WORDS[question.group]),
        **choices,
    )


@bp.get("/usage/export.<form>")
def usage_export(form: str) -> Response:
    """Return the table behind the chart, as CSV or JSON."""
    if form not in {"csv", "json"}:
        abort(404)
    now = datetime.now(UTC)
    question = _question(page_filter(now), now)
    answer = _answer(question)
    span = f"{question.since:%Y%m%d}-{question.until:%Y%m%d}"
    headers = {
        "Content-Disposition": f'attachment; filename="usage-{question.metric}-{span}.{form}"'
    }
    if form == "json":
        body = _json(question, answer)
        return Response(body, content_type="application/json", headers=headers)
    return Response(_csv(answer), content_type="text/csv; charset=utf-8", headers=headers)


def _wider(question: Question, now: datetime) -> str:
    """Return the address of the page with three times its time, the present one in the middle."""
    length = question.until - question.since
    until = min(question.until + length, now)
    return here_with(since=utc(question.since - length), until=utc(until))


def _answer(question: Question) -> Answer:
    labels = services().store.read(names.by_id, question.group)
    return ask(services().store, question, labels, language.zone_info())


def _question(found: PageFilter, now: datetime) -> Question:
    args = request.args
    # who used most is what is asked first; a metric chosen alone is of everything
    metric, group = args.get("metric", ""), args.get("group", "none" if "metric" in args else "key")
    return usage.question(
        found.wanted,
        now,
        metric=metric if metric in usage.METRICS else "requests",
        group=group if group in GROUPS else "none",
        step=args.get("step", ""),
        compare=args.get("compare") == "1",
    )


def _csv(answer: Answer) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    lines = answer.chart.lines
    writer.writerow(["time_utc", *(safe_cell(line.name) for line in lines)])
    for index, start in enumerate(answer.chart.starts[:-1]):
        values = ["" if line.values[index] is None else line.values[index] for line in lines]
        writer.writerow([utc(start), *values])
    return out.getvalue()


def _json(question: Question, answer: Answer) -> bytes:
    return orjson.dumps(
        {
            "metric": question.metric,
            "group": question.group,
            "step": question.step,
            "since": utc(question.since),
            "until": utc(question.until),
            "times": [utc(start) for start in answer.chart.starts[:-1]],
            "series": {line.name: line.values for line in answer.chart.lines},
        }
    )
