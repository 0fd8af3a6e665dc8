"""What the console's dashboards show."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from flask import Response

from gateway.admin_api import bp
from gateway.admin_api.operation import operation
from gateway.admin_api.reading import answer
from gateway.reports import dashboard, key_status
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
