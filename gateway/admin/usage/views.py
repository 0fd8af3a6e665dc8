"""Usage: who used what, when, how fast. One explorer, a heatmap, top lists, exports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from flask import Response, render_template, request

from gateway.accounting.export import safe_cell
from gateway.admin import bp
from gateway.admin.usage import explorer
from gateway.admin.usage.charts import stamp
from gateway.admin.usage.query import filter_choices, page_filter
from gateway.core.usage import GROUP_FIELDS, GROUPS
from gateway.reports import usage
from gateway.reports.usage import Question
from gateway.store import names
from gateway.web import language
from gateway.web.context import services


@bp.get("/usage", endpoint="usage")
def usage_page() -> str:
    """Show the explorer as the address says."""
    question = _question()
    zone = language.zone_info()
    labels = services().store.read(names.by_id, question.group)
    answer = explorer.ask(services().store, question, labels, zone)
    field, most = usage.heat(services().store, question, zone)
    return render_template(
        "admin/usage/index.html",
        question=question,
        answer=answer,
        unit=explorer.unit(question.metric),
        heat=field,
        heat_most=most,
        metrics=[(name, explorer.metric_words(name)) for name in usage.METRICS],
        groups=[(name, explorer.group_words(name)) for name in GROUPS],
        group_fields=GROUP_FIELDS,
        group_name=explorer.group_words(question.group),
        **filter_choices(),
    )


@bp.get("/usage/export.csv")
def usage_export_csv() -> Response:
    """Return the table behind the chart as CSV."""
    question, answer = _asked()
    return _attached(_csv(answer), question, "csv", "text/csv; charset=utf-8")


@bp.get("/usage/export.json")
def usage_export_json() -> Response:
    """Return the table behind the chart as JSON."""
    question, answer = _asked()
    return _attached(_json(question, answer), question, "json", "application/json")


def _asked() -> tuple[Question, explorer.Answer]:
    question = _question()
    labels = services().store.read(names.by_id, question.group)
    return question, explorer.ask(services().store, question, labels, language.zone_info())


def _attached(
    body: bytes | Iterator[str], question: Question, kind: str, content_type: str
) -> Response:
    span = f"{question.since:%Y%m%d}-{question.until:%Y%m%d}"
    disposition = f'attachment; filename="usage-{question.metric}-{span}.{kind}"'
    return Response(body, content_type=content_type, headers={"Content-Disposition": disposition})


def _default_group() -> str:
    """Who used most is what is asked first; a metric chosen alone is of everything."""
    return "none" if "metric" in request.args else "key"


def _question() -> Question:
    args, now = request.args, datetime.now(UTC)
    metric, group = args.get("metric", ""), args.get("group", _default_group())
    return usage.question(
        page_filter(now),
        now,
        metric=metric if metric in usage.METRICS else "requests",
        group=group if group in GROUPS else "none",
        step=args.get("step", ""),
        compare=args.get("compare") == "1",
    )


def _csv(answer: explorer.Answer) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    lines = answer.chart.lines
    writer.writerow(["time_utc", *(safe_cell(line.name) for line in lines)])
    for index, start in enumerate(answer.chart.starts[:-1]):
        values = ["" if line.values[index] is None else line.values[index] for line in lines]
        writer.writerow([stamp(start), *values])
    yield out.getvalue()


def _json(question: Question, answer: explorer.Answer) -> bytes:
    return orjson.dumps(
        {
            "metric": question.metric,
            "group": question.group,
            "step": question.step,
            "since": stamp(question.since),
            "until": stamp(question.until),
            "times": [stamp(start) for start in answer.chart.starts[:-1]],
            "series": {line.name: line.values for line in answer.chart.lines},
        }
    )
