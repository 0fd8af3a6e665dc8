"""Usage: who used what, when, how fast. The explorer's charts and tables, a heatmap, exports."""

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
from gateway.admin.usage.charts import Chart, Line, Unit
from gateway.core.requests import Filter
from gateway.core.usage import GROUP_FIELDS, GROUPS, Group, Sums
from gateway.reports import usage
from gateway.reports.filters import from_page
from gateway.reports.usage import Metric, Question, Series
from gateway.runtime.database import Store
from gateway.store import names
from gateway.web import language
from gateway.web.context import services
from gateway.web.template_filters import utc
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
    "none": _l("Nothing"),
    "key": _l("Key"),
    "model": _l("Model"),
    "server": _l("Server"),
    "endpoint": _l("Endpoint"),
    "client": _l("Application"),
    "status": _l("Status"),
}
_UNITS: Mapping[str, Unit] = {
    "error_rate": "percent",
    "speed": "rate",
    "first_token": "ms",
    "duration": "ms",
    "queue": "ms",
}


@dataclass(frozen=True, slots=True)
class Top:
    """A line of the table of groups; `share` of the metric is that of the largest one."""

    name: str
    label: str
    sums: Sums
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
        _UNITS.get(question.metric, "count"),
        str(METRIC_WORDS[question.metric]),
        found.starts,
        tuple(_line(question, index, one, labels) for index, one in enumerate(found.series)),
        _filter_query(question.wanted),
        clock=question.step in {"hour", "minute"},
    )
    values = [usage.value_of(sums, question.metric) or 0 for _name, sums in found.groups]
    most = max(values, default=0) or 1
    tops = tuple(
        Top(name, label(question.group, name, labels), sums, value / most)
        for (name, sums), value in zip(found.groups, values, strict=True)
    )
    return Answer(chart, tops, found.total, found.before)


def page_filter(now: datetime) -> Filter:
    """Return the filter that a page's address makes; what cannot be read there is left out."""
    return from_page(request.args.to_dict(flat=False), now, language.zone_info())


def filter_choices() -> dict[str, list[tuple[int, str]]]:
    """Return what the filters of a page offer: ids and names of keys, models and servers."""
    parts = services()
    keys = parts.store.read(names.by_id, "key").items()
    return {
        "keys": sorted(((int(id_), name) for id_, name in keys), key=lambda key: key[1].lower()),
        "models": [(model.id, model.display_name) for model in parts.catalog.models()],
        "servers": [(server.id, server.name) for server in parts.catalog.servers()],
    }


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
            return Line(str(METRIC_WORDS[question.metric]), series.values)
        colour = _PERCENTILE_COLOURS[series.percentile]
        return Line(f"p{series.percentile}", series.values, colour)
    name, colour = str(_("others")), 8
    query: Mapping[str, str] = {}
    if series.group != usage.OTHERS:
        name, colour = label(question.group, series.group, labels), index + 1
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
    question, answer = _asked()
    field, most = usage.heat(services().store, question, language.zone_info())
    return render_template(
        "admin/usage/index.html",
        question=question,
        answer=answer,
        heat=field,
        heat_most=most,
        metrics=METRIC_WORDS.items(),
        groups=GROUP_WORDS.items(),
        group_fields=GROUP_FIELDS,
        group_name=str(GROUP_WORDS[question.group]),
        **filter_choices(),
    )


@bp.get("/usage/export.<form>")
def usage_export(form: str) -> Response:
    """Return the table behind the chart, as CSV or JSON."""
    if form not in {"csv", "json"}:
        abort(404)
    question, answer = _asked()
    span = f"{question.since:%Y%m%d}-{question.until:%Y%m%d}"
    headers = {
        "Content-Disposition": f'attachment; filename="usage-{question.metric}-{span}.{form}"'
    }
    if form == "json":
        body = _json(question, answer)
        return Response(body, content_type="application/json", headers=headers)
    return Response(_csv(answer), content_type="text/csv; charset=utf-8", headers=headers)


def _asked() -> tuple[Question, Answer]:
    question = _question()
    labels = services().store.read(names.by_id, question.group)
    return question, ask(services().store, question, labels, language.zone_info())


def _question() -> Question:
    args, now = request.args, datetime.now(UTC)
    # who used most is what is asked first; a metric chosen alone is of everything
    metric, group = args.get("metric", ""), args.get("group", "none" if "metric" in args else "key")
    return usage.question(
        page_filter(now),
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
