"""Requests: single calls, exports, what runs right now; what dashboards show; what was changed."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import Response, g

from gateway.accounting import export
from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, operation, read_query
from gateway.core.requests import CallDetail
from gateway.errors import InvalidFields, InvalidRequest, Message
from gateway.reports import context, dashboard, key_status, usage
from gateway.reports.filters import cursor, read_cursor, utc_filter
from gateway.store import audit, names
from gateway.store.usage import request_queries
from gateway.web.context import services


@bp.get("/requests")
@operation("listRequests", answers.RequestList, query=answers.RequestsQuery)
def list_calls() -> Response:
    """List calls, newest first; `next` is the cursor of the following page."""
    query = read_query(answers.RequestsQuery)
    limit, place = query.limit, read_cursor(query.after)
    if query.after and place is None:
        raise InvalidRequest("'after' is not a cursor of this list.", param="after")
    found = services().store.read_slow(
        request_queries.page, utc_filter(query), older_than=place, limit=limit
    )
    following = cursor(found[-1]) if len(found) == limit else None
    return answer({"data": found, "next": following})


@bp.get("/requests/<request_id>")
@operation("getRequest", CallDetail)
def get_call(request_id: str) -> Response:
    """Return one call in full."""
    return answer(services().store.read(request_queries.detail, request_id))


@bp.get("/requests/export")
@operation("exportRequests", ("text/csv", "application/x-ndjson"), query=answers.RequestExportQuery)
def export_calls() -> Response:
    """Return calls as CSV or JSON lines, as many as are meant."""
    query = read_query(answers.RequestExportQuery)
    form, store, wanted = query.format, services().store, utc_filter(query)
    if form == "csv":
        pieces, kind = export.as_csv(store, wanted), "text/csv; charset=utf-8"
    else:
        pieces, kind = export.as_json_lines(store, wanted), "application/x-ndjson"
    headers = {"Content-Disposition": f'attachment; filename="requests.{form}"'}
    return Response(pieces, content_type=kind, headers=headers)


@bp.get("/live")
@operation("listActiveRequests", answers.ActiveList)
def list_running() -> Response:
    """List the calls that run now, in every worker."""
    return answer({"data": services().live.everywhere()})


@bp.delete("/live/<request_id>")
@operation("cancelRequest", answers.Cancelled, status=202)
def cancel_running(request_id: str) -> Response:
    """End a running call, whichever worker has it."""
    services().live.cancel_anywhere(request_id, g.actor)
    return answer({"request_id": request_id, "cancelled": True}, 202)


@bp.get("/reports/dashboard")
@operation("getDashboard", dashboard.Dashboard)
def get_dashboard() -> Response:
    """Return the figures of the last 24 hours beside those of the day before."""
    parts = services()
    return answer(dashboard.report(parts.store, parts.catalog, datetime.now(UTC)))


@bp.get("/reports/context")
@operation("getContextReport", context.ContextReport)
def get_context_report() -> Response:
    """Return the windows, loads and cut prompts of the last 7 days, and the memory of servers."""
    parts = services()
    behaviour = parts.settings.behaviour()
    return answer(context.report(parts.store, parts.catalog, behaviour, datetime.now(UTC)))


@bp.get("/reports/keys/<id:key_id>")
@operation("getKeyReport", key_status.KeyStatus)
def get_key_report(key_id: int) -> Response:
    """Return whether a key works, its budgets, and its sums of the last 30 days."""
    key = services().keys.get(key_id)
    return answer(key_status.report(services().store, key, datetime.now(UTC)))


@bp.get("/reports/usage")
@operation("getUsage", answers.Usage, query=answers.UsageQuery)
def get_usage() -> Response:
    """Return a metric by group and time, and the sums of each group; times are UTC."""
    query = read_query(answers.UsageQuery)
    if query.status == "running":
        raise InvalidFields([("status", Message("must be of requests that ended"))])
    asked = usage.question(
        utc_filter(query),
        datetime.now(UTC),
        metric=query.metric,
        group=query.group,
        step=query.step,
        compare=query.compare,
    )
    found = usage.ask(services().store, asked, ZoneInfo("UTC"))
    names_by_id = services().store.read(names.by_id, query.group)
    groups = [
        {
            "group": id_,
            "name": names_by_id.get(id_, id_),
            **asdict(sums),
            "cached_share": sums.cached_share,
        }
        for id_, sums in found.groups
    ]
    told = {name: getattr(asked, name) for name in ("metric", "group", "step", "since", "until")}
    return answer({**told, **asdict(found), "groups": groups})


@bp.get("/audit")
@operation("listChanges", answers.AuditList, query=answers.AuditQuery)
def list_changes() -> Response:
    """List what was changed by whom, newest first; `next` is the cursor of the following page."""
    query = read_query(answers.AuditQuery)
    asked = asdict(query)
    found = services().store.read(audit.page, begins_with=asked.pop("action"), **asked)
    following = found[-1].id if len(found) == query.limit else None
    return answer({"data": found, "next": following})
