"""Usage: who used what, when, how fast. One explorer, a heatmap, top lists, exports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson
from flask import Response, render_template, request

from gateway.admin import bp
from gateway.admin.usage import explorer
from gateway.admin.usage.charts import STEPS, Step, stamp
from gateway.admin.usage.query import filter_choices, page_filter
from gateway.core.usage import GROUP_FIELDS, GROUPS
from gateway.store import names
from gateway.web import language
from gateway.web.context import services
from gateway.web.words import _

DEFAULT = timedelta(days=7)
_MOST_STEPS = 400
_LENGTHS: Mapping[str, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@bp.get("/usage")
def usage() -> str:
    """Show the explorer as the address says."""
    question = _question()
    zone = language.zone_info()
    labels = services().store.read(names.by_id, question.group)
    answer = explorer.ask(services().store, question, labels, zone)
    field, most = explorer.heat(services().store, question, zone)
    return render_template(
        "admin/usage/index.html",
        question=question,
        answer=answer,
        unit=explorer.unit(question.metric),
        heat=field,
        heat_most=most,
        weekdays=_weekdays(),
        metrics=[(name, explorer.metric_words(name)) for name in explorer.METRICS],
        groups=[(name, explorer.group_words(name)) for name in GROUPS],
        steps=_step_words(),
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


def plain_cell(value: object) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value).replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _asked() -> tuple[explorer.Question, explorer.Answer]:
    question = _question()
    labels = services().store.read(names.by_id, question.group)
    return question, explorer.ask(services().store, question, labels, language.zone_info())


def _attached(
    body: bytes | Iterator[str], question: explorer.Question, kind: str, content_type: str
) -> Response:
    span = f"{question.since:%Y%m%d}-{question.until:%Y%m%d}"
    disposition = f'attachment; filename="usage-{question.metric}-{span}.{kind}"'
    return Response(body, content_type=content_type, headers={"Content-Disposition": disposition})


def _default_group() -> str:
    """Who used most is what is asked first; a metric chosen alone is of everything."""
    return "none" if "metric" in request.args else "key"


def _question() -> explorer.Question:
    now = datetime.now(UTC)
    wanted = page_filter(now)
    until = min(wanted.until or now, now + timedelta(days=1))
    since = min(wanted.since or until - DEFAULT, until - timedelta(minutes=1))
    return explorer.Question(
        metric=explorer.read_metric(request.args.get("metric", "")),
        group=explorer.read_group(request.args.get("group", _default_group())),
        step=_step(request.args.get("step", ""), until - since),
        wanted=replace(wanted, since=None, until=None),
        since=since,
        until=until,
        compare=request.args.get("compare") == "1",
    )


def _step(text: str, length: timedelta) -> Step:
    """Read the time step; one that fits the range where none, or far too fine a one, is given."""
    if text in STEPS and text != "minute" and length / _LENGTHS[text] <= _MOST_STEPS:
        return cast(Step, text)
    if length <= timedelta(days=3):
        return "hour"
    return "day" if length <= timedelta(days=120) else "week"


def _csv(answer: explorer.Answer) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    lines = answer.chart.lines
    writer.writerow(["time_utc", *(plain_cell(line.name) for line in lines)])
    for index, start in enumerate(answer.chart.starts[:-1]):
        values = ["" if line.values[index] is None else line.values[index] for line in lines]
        writer.writerow([stamp(start), *values])
    yield out.getvalue()


def _json(question: explorer.Question, answer: explorer.Answer) -> bytes:
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


def _weekdays() -> list[str]:
    return [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")]


def _step_words() -> list[tuple[str, str]]:
    words = {"hour": _("Hour"), "day": _("Day"), "week": _("Week"), "month": _("Month")}
    return list(words.items())
