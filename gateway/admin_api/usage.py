"""Usage: sums by group and time, single calls, exports, and what runs right now."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from flask import Response, g, request

from gateway.accounting import export
from gateway.admin_api import bp
from gateway.admin_api.reading import answer, instant, number, one_of
from gateway.core.requests import Filter
from gateway.core.usage import GROUPS, Group
from gateway.errors import InvalidRequest
from gateway.store import audit, names
from gateway.store.tables import to_us
from gateway.store.usage import request_queries, usage_queries
from gateway.web.context import services

_CURSOR = re.compile(r"[0-9]{1,17}-[0-9]{1,18}")
_NOT_IN_SUMS = ("finish", "request_id", "min_ms")
_TEXTS = ("endpoint", "status", "finish", "client_app", "request_id")


@bp.get("/usage")
def sums() -> Response:
    """Return sums by group, and with `step` by hour or day as well."""
    group = cast(Group, one_of("group", GROUPS, "none"))
    step = one_of("step", ("none", "hour", "day"), "none")
    for name in _NOT_IN_SUMS:
        if request.args.get(name):
            raise InvalidRequest(f"Sums do not know '{name}': see /requests.", param=name)
    wanted = _wanted(datetime.now(UTC) - timedelta(days=7))
    if wanted.status == "running":
        raise InvalidRequest("Sums are of calls that ended: see /live.", param="status")
    store = services().store
    totals = asdict(store.analyse(usage_queries.totals, wanted, daily=step == "day"))
    found = store.analyse(usage_queries.by_group, wanted, group, daily=step == "day")
    labels = store.read(names.by_id, group)
    data = [{"group": id_, "name": labels.get(id_, id_), **asdict(one)} for id_, one in found]
    body = {"since": wanted.since, "until": wanted.until, "total": totals, "data": data}
    if step != "none":
        shown = [name for name, _ in found]
        cells = store.analyse(usage_queries.series, wanted, group, shown, daily=step == "day")
        body["series"] = [
            {"start": cell.start, "group": cell.name, **asdict(cell.sums)} for cell in cells
        ]
    return answer(body)


@bp.get("/requests")
def list_calls() -> Response:
    """List calls, newest first; `next` is the cursor of the following page."""
    limit = number("limit", 50, 1, 500)
    found = services().store.analyse(
        request_queries.page, _wanted(None), older_than=_cursor(), limit=limit
    )
    following = f"{to_us(found[-1].at)}-{found[-1].id}" if len(found) == limit else None
    return answer({"data": [asdict(call) for call in found], "next": following})


@bp.get("/requests/<request_id>")
def get_call(request_id: str) -> Response:
    """Return one call in full."""
    return answer(asdict(services().store.read(request_queries.detail, request_id)))


@bp.get("/requests/export")
def export_calls() -> Response:
    """Return calls as CSV or JSON lines, as many as are meant."""
    form = one_of("format", ("csv", "jsonl"), "csv")
    store, wanted = services().store, _wanted(None)
    if form == "csv":
        pieces, kind = export.as_csv(store, wanted), "text/csv; charset=utf-8"
    else:
        pieces, kind = export.as_json_lines(store, wanted), "application/x-ndjson"
    headers = {"Content-Disposition": f'attachment; filename="requests.{form}"'}
    return Response(pieces, content_type=kind, headers=headers)


@bp.get("/live")
def list_running() -> Response:
    """List the calls that run now, in every worker."""
    return answer({"data": [asdict(call) for call in services().live.everywhere()]})


@bp.delete("/live/<request_id>")
def cancel_running(request_id: str) -> Response:
    """End a running call, whichever worker has it."""
    services().live.cancel_anywhere(request_id, g.actor)
    return answer({"request_id": request_id, "cancelled": True}, 202)


@bp.get("/audit")
def list_changes() -> Response:
    """List what was changed by whom, newest first; `next` is the cursor of the following page."""
    limit = number("limit", 50, 1, 500)
    found = services().store.read(
        audit.page,
        before_id=number("before", 0, 0, 1 << 62) or None,
        limit=limit,
        object_kind=request.args.get("object_kind", ""),
        object_id=request.args.get("object_id", ""),
        actor_name=request.args.get("actor", ""),
        action=request.args.get("action", ""),
    )
    following = found[-1].id if len(found) == limit else None
    return answer({"data": [asdict(entry) for entry in found], "next": following})


def _wanted(since: datetime | None) -> Filter:
    args = request.args
    texts: dict[str, Any] = {name: args.get(name, "")[:256] for name in _TEXTS}
    return Filter(
        since=instant("since") or since,
        until=instant("until"),
        key_id=number("key_id", 0, 0, 1 << 53) or None,
        model_id=number("model_id", 0, 0, 1 << 53) or None,
        server_id=number("server_id", 0, 0, 1 << 53) or None,
        min_ms=float(number("min_ms", 0, 0, 1 << 40)) or None,
        **texts,
    )


def _cursor() -> tuple[int, int] | None:
    text = request.args.get("after", "")
    if not text:
        return None
    at_us, _, row_id = text.partition("-")
    if not _CURSOR.fullmatch(text):
        raise InvalidRequest("'after' is not a cursor of this list.", param="after")
    return int(at_us), int(row_id)
