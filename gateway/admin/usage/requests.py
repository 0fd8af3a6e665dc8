"""Requests: every call, newest first, as a list, as a live tail and as a file."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, abort, render_template, request, stream_with_context

from gateway import dialects
from gateway.accounting import export
from gateway.admin import bp
from gateway.admin.usage.filters import (
    FEATURE_WORDS,
    MOST_KEYS,
    RANGE_WORDS,
    SLOW_DAYS,
    STATUS_WORDS,
    bounded,
    chips,
    filter_choices,
    list_query,
    page_filter,
    time_chip,
)
from gateway.dialects.models import MODELS
from gateway.reports.filters import cursor, read_cursor
from gateway.store.usage import request_queries
from gateway.web.context import services

LIMIT = 30
EXPORT_ROWS = 100_000
ENDPOINTS = tuple(one.name for one in dialects.ENDPOINTS if one.scope != MODELS.name)
_FINISHES = (
    "stop",
    "length",
    "tool_calls",
    "stop_sequence",
    "error",
    "client_closed",
    "cancelled",
    "worker_lost",
)
_RANGES = ("1h", "today", "yesterday", "24h", "7d", "30d", "this_month")
_MORE = ("server_id", "finish", "min_ms", "client_app", "request_id", "features")
"""The filters of the fold."""
_FIELDS = ("key_id", "model_id", "status", "endpoint", *_MORE)


@bp.get("/requests")
def requests() -> str:
    """List calls by the filter in the address; none where a part of it cannot be read."""
    now = datetime.now(UTC)
    found = page_filter(now)
    choices = filter_choices(found.wanted)
    wanted, is_bounded = bounded(found.wanted, now)
    place = read_cursor(request.args.get("after", ""))
    calls = (
        []
        if found.problems
        else services().store.read_slow(
            request_queries.page, wanted, older_than=place, limit=LIMIT + 1
        )
    )
    shown = calls[:LIMIT]
    return render_template(
        "admin/requests/list.html",
        calls=shown,
        found=found,
        wanted=found.wanted,
        chips=[*time_chip(found), *chips(found, choices, _FIELDS)],
        older=cursor(shown[-1]) if len(calls) > LIMIT else None,
        is_first=place is None,
        is_bounded=is_bounded,
        slow_days=SLOW_DAYS,
        has_more=any(getattr(found.wanted, name) or name in found.problems for name in _MORE),
        list_query=list_query(),
        export_rows=EXPORT_ROWS,
        most_keys=MOST_KEYS,
        ranges={name: RANGE_WORDS[name] for name in _RANGES},
        statuses=STATUS_WORDS.items(),
        features=FEATURE_WORDS.items(),
        finishes=[(name, name) for name in _FINISHES],
        fields=_FIELDS,
        endpoints=[(name, name) for name in ENDPOINTS],
        **choices,
    )


@bp.get("/requests/export.csv")
def requests_export() -> Response:
    """Return the calls of the filter as CSV, newest first, at most EXPORT_ROWS: without prompts and
    answers. 400 where a part of the filter cannot be read."""
    now = datetime.now(UTC)
    found = page_filter(now)
    if found.problems:
        abort(400)
    wanted, _is_bounded = bounded(found.wanted, now)
    rows = export.as_csv(services().store, wanted, limit=EXPORT_ROWS)
    headers = {"Content-Disposition": f'attachment; filename="requests-{now:%Y%m%d-%H%M}.csv"'}
    return Response(
        stream_with_context(rows), content_type="text/csv; charset=utf-8", headers=headers
    )
