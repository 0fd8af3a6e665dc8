"""Requests: every call, newest first, and one call explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flask import Response, jsonify, render_template, request

from gateway.admin import bp
from gateway.admin.usage.explorer import filter_choices, page_filter
from gateway.admin.usage.request_trace import advice, parts_of, timeline
from gateway.core.requests import Filter
from gateway.dialects import SCOPES
from gateway.dialects.models import MODELS
from gateway.reports.filters import cursor, read_cursor
from gateway.store.usage import request_queries
from gateway.web.context import services

LIMIT = 50
SLOW_DAYS = 30
"""How far back is looked for what no index knows, unless a time is chosen."""
_LIVE_LIMIT = 100
ENDPOINTS = tuple(name for name in SCOPES if name != MODELS.name)


@bp.get("/requests")
def requests() -> str:
    """List calls by the filter in the address."""
    wanted, is_bounded = _bounded(datetime.now(UTC))
    place = read_cursor(request.args.get("after", ""))
    store = services().store
    calls = store.read_slow(request_queries.page, wanted, older_than=place, limit=LIMIT + 1)
    shown = calls[:LIMIT]
    return render_template(
        "admin/requests/list.html",
        calls=shown,
        wanted=wanted,
        older=cursor(shown[-1]) if len(calls) > LIMIT else None,
        is_first=place is None,
        is_bounded=is_bounded,
        slow_days=SLOW_DAYS,
        is_filtered=bool(set(request.args) - {"after"}),
        **filter_choices(),
        endpoints=ENDPOINTS,
    )


@bp.get("/requests/newer.json")
def requests_newer() -> Response:
    """Return the calls that came after `id`, as table rows, for the live tail."""
    wanted = page_filter(datetime.now(UTC))
    newest = max(0, min(request.args.get("than", 0, int), 2**62))
    calls = services().store.read(
        request_queries.page, wanted, newer_than_id=newest, limit=_LIVE_LIMIT
    )
    return jsonify(
        newest=max((call.id for call in calls), default=newest),
        rows=render_template("admin/requests/newer.html", calls=calls),
    )


@bp.get("/requests/<request_id>")
def request_detail(request_id: str) -> str:
    """Explain one call."""
    call = services().store.read(request_queries.detail, request_id[:64])
    return render_template(
        "admin/requests/detail.html",
        call=call,
        row=call.row,
        timeline=timeline(call),
        explained=parts_of(call.explain),
        advice=advice(call.row) if call.row.failed else None,
    )


def _bounded(now: datetime) -> tuple[Filter, bool]:
    """Return the filter of the address, and whether it was bounded in time."""
    wanted = page_filter(now)
    if wanted.since is not None or not wanted.is_slow:
        return wanted, False
    return replace(wanted, since=now - timedelta(days=SLOW_DAYS)), True
