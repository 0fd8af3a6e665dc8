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
from gateway.admin.usage.explorer import GROUP_WORDS, METRIC_WORDS, filter_choices, page_filter
from gateway.core.usage import GROUP_FIELDS, GROUPS
from gateway.reports import usage
from gateway.reports.usage import Question
from gateway.store import names
from gateway.web import language
from gateway.web.context import services
from gateway.web.template_filters import utc


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


def _csv(answer: explorer.Answer) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    lines = answer.chart.lines
    writer.writerow(["time_utc", *(safe_cell(line.name) for line in lines)])
    for index, start in enumerate(answer.chart.starts[:-1]):
        values = ["" if line.values[index] is None else line.values[index] for line in lines]
        writer.writerow([utc(start), *values])
    yield out.getvalue()


def _json(question: Question, answer: explorer.Answer) -> bytes:
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
