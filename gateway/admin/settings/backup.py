"""Backup: take the configuration or everything along; `imports` brings a configuration in."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from flask import Response, abort, render_template, request, send_file
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.management.backups import copies as backups
from gateway.management.backups.schedule import FAILED
from gateway.management.transfer.configuration import ConfigTransfer
from gateway.management.transfer.documents import as_yaml
from gateway.management.transfer.node import FILES
from gateway.runtime.tasks import run_blocking
from gateway.store import audit
from gateway.web.context import actor, services
from gateway.web.security import to_page


@bp.get("/settings/backup")
def settings_backup() -> str:
    """Show what can be taken along and brought in."""
    return backup_page()


def backup_page(import_problem: str = "") -> str:
    """Return the page, with what is wrong with the files that were to be imported."""
    return render_template(
        "admin/settings/backup.html",
        is_sqlite=services().config.uses_sqlite,
        node_files=sorted(FILES),
        schedule=_schedule(),
        import_problem=import_problem,
    )


@bp.get("/settings/backup/configuration.<kind>")
def settings_export(kind: str) -> Response:
    """Return settings, servers, models and keys; digests of keys only to whom may change them."""
    digests = bool(request.args.get("digests")) and current_user.role != "viewer"
    document = ConfigTransfer(services().store).export(digests=digests)
    if kind == "json":
        body = orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str)
    elif kind == "yaml":
        body = as_yaml(document).encode()
    else:
        abort(404)
    name = f"ollama2openai-{datetime.now(UTC):%Y%m%d-%H%M}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, content_type=f"application/{kind}", headers=headers)


@bp.post("/settings/backup/everything")
def settings_everything() -> AnyResponse:
    """Make a backup of the whole store and give it; owners only."""
    if current_user.role != "owner":
        abort(403)
    folder = Path(tempfile.mkdtemp(dir=services().config.data_dir, prefix="backup-"))
    try:
        made = run_blocking(backups.make, services().config, folder)
        found = made.open("rb")
    except backups.BackupError as error:
        return to_page("admin.settings_backup", str(error), "danger")
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # the open file lives on until it is sent
    now = datetime.now(UTC)
    services().store.write(audit.record, actor(), "backup.download", "backup", "", "", now=now)
    return send_file(found, "application/octet-stream", as_attachment=True, download_name=made.name)


@bp.post("/settings/backup/scheduled/<name>")
def settings_kept_backup(name: str) -> AnyResponse:
    """Return a backup that the schedule made; owners only."""
    if current_user.role != "owner":
        abort(403)
    path = services().backups.find(name)
    if path is None:
        abort(404)
    now = datetime.now(UTC)
    services().store.write(audit.record, actor(), "backup.download", "backup", "", name, now=now)
    return send_file(path, "application/octet-stream", as_attachment=True)


def _schedule() -> dict[str, Any]:
    """Return what the page says of scheduled backups; `failed` is the last one's failure."""
    parts, behaviour = services(), services().settings.behaviour()
    last = parts.store.read(audit.page, object_kind="backup", actor="gateway", limit=1)
    return {
        "every_h": behaviour.backup_every_h,
        "keep": behaviour.backup_keep,
        "folder": parts.backups.folder,
        "kept": parts.backups.kept(),
        "failed": last[0] if last and last[0].action == FAILED else None,
    }
