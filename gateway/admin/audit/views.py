"""The audit log: who did what, filtered, and as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import orjson
from flask import Response, render_template, request

from gateway.accounting.export import safe_cell
from gateway.admin import bp
from gateway.admin.audit.changes import rows
from gateway.admin.audit.words import ACTIONS, KINDS
from gateway.core.admin import AuditEntry
from gateway.runtime.database import Store
from gateway.store import audit
from gateway.web.context import services

LIMIT = 50
MOST_EXPORTED = 50_000
_PAGE = 500
_COLUMNS = (
    "at",
    "actor_kind",
    "actor_name",
    "ip",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "before",
    "after",
)


@bp.get("/settings/audit")
def settings_audit() -> str:
    """Show who did what."""
    before = max(0, min(request.args.get("before", 0, int), 2**62))
    filters = _filters()
    entries = services().store.read_slow(audit.page, before=before, limit=LIMIT + 1, **filters)
    return render_template(
        "admin/settings/audit.html",
        rows=rows(entries[:LIMIT]),
        older=entries[LIMIT - 1].id if len(entries) > LIMIT else None,
        is_first=not before,
        actions=[(code, action.label) for code, action in ACTIONS.items()],
        kinds=KINDS,
        **filters,
    )


@bp.get("/settings/audit/export.csv")
def settings_audit_export() -> Response:
    """Return the entries of the filter as CSV, the newest 50,000."""
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    body = as_csv(services().store, **_filters())
    return Response(body, content_type="text/csv; charset=utf-8", headers=headers)


def as_csv(store: Store, **filters: str) -> Iterator[str]:
    """Yield entries as CSV (RFC 4180), newest first, a header line first; no cell is a formula."""
    yield _line(_COLUMNS)
    before = 0
    for _page in range(MOST_EXPORTED // _PAGE):
        entries = store.read_slow(audit.page, before=before, limit=_PAGE, **filters)
        yield "".join(_line(_cells(entry)) for entry in entries)
        if len(entries) < _PAGE:
            return
        before = entries[-1].id


def _filters() -> dict[str, str]:
    return {name: request.args.get(name, "")[:256] for name in ("object_kind", "action", "actor")}


def _cells(entry: AuditEntry) -> list[str]:
    values = (getattr(entry, name) for name in _COLUMNS)
    return [
        safe_cell(orjson.dumps(value).decode() if isinstance(value, dict) else value)
        for value in values
    ]


def _line(cells: tuple[str, ...] | list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
