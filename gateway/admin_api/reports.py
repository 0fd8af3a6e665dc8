"""What the console's dashboards show."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
from flask import Response

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import operation, read_query
from gateway.admin_api.reading import answer
from gateway.errors import InvalidFields, Message
from gateway.reports import dashboard, key_status, usage
from gateway.reports.filters import utc_filter
from gateway.store import names
from gateway.web.context import services


@bp.get("/reports/dashboard")
@operation("getDashboard", dashboard.Dashboard)
def get_dashboard() -> Response:
    """Return the figures of the last 24 hours beside those of the day before."""
    parts = services()
    report = dashboard.report(parts.store, parts.catalog, datetime.now(UTC))
    return answer(msgspec.to_builtins(report))


@bp.get("/reports/keys/<id:key_id>")
@operation("getKeyReport", key_status.KeyStatus)
def get_key_report(key_id: int) -> Response:
    """Return whether a key works, its budgets, and its sums of the last 30 days."""
    key = services().keys.get(key_id)
    report = key_status.report(services().store, key, datetime.now(UTC))
    return answer(msgspec.to_builtins(report))


@bp.get("/reports/usage")
@operation("getUsage", answers.Usage, query=answers.UsageQuery)
def get_usage() -> Response:
    """Return a metric by group and time, and the sums of each group; times are UTC."""
    query = read_query(answers.UsageQuery)
    if query.status == "running":
        raise InvalidFields([("status", Message("must be of calls that ended"))])
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
    return answer(
        {
            "metric": asked.metric,
            "group": asked.group,
            "step": asked.step,
            "since": asked.since,
            "until": asked.until,
            "starts": found.starts,
            "series": [asdict(one) for one in found.series],
            "groups": [
                {"group": id_, "name": names_by_id.get(id_, id_), **asdict(sums)}
                for id_, sums in found.groups
            ],
            "total": asdict(found.total),
            "before": None if found.before is None else asdict(found.before),
        }
    )
