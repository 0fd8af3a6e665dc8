"""Backup: take configuration or everything along, and bring a configuration in.

An import is looked at before it is done: what was uploaded waits in a folder of the data directory,
for an hour, under a name nobody can guess, while the page says what it would change.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from flask import Response, abort, render_template, request, send_file
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.errors import InvalidRequest
from gateway.management import backup as backups
from gateway.management.config_transfer import ConfigTransfer, as_yaml, read_document
from gateway.management.legacy_import import Imported, NodeImport
from gateway.management.scheduled_backups import FAILED
from gateway.runtime.tasks import run_blocking
from gateway.store import audit
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, ngettext, translated

NODE_FILES = frozenset(
    {"config.json", "api_keys.json", "models.json", "overrides.json", "logs.json"}
)
_DOCUMENT = "document"
_KEPT_S = 3_600
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@bp.get("/settings/backup")
def settings_backup() -> str:
    """Show what can be taken along and brought in."""
    return render_template(
        "admin/settings/backup.html",
        is_sqlite=services().config.uses_sqlite,
        node_files=sorted(NODE_FILES),
        schedule=_schedule(),
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
        return _done(str(error), "danger")
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # the open file lives on until it is sent
    now = datetime.now(UTC)
    services().store.write(audit.record, actor(), "backup.download", "backup", "", "", now=now)
    return send_file(found, "application/octet-stream", as_attachment=True, download_name=made.name)


@bp.post("/settings/backup/scheduled/<name>")
def settings_kept_backup(name: str) -> AnyResponse:
    """Give a backup that the schedule made; owners only."""
    if current_user.role != "owner":
        abort(403)
    path = services().backups.find(name)
    if path is None:
        abort(404)
    now = datetime.now(UTC)
    services().store.write(audit.record, actor(), "backup.download", "backup", "", name, now=now)
    return send_file(path, "application/octet-stream", as_attachment=True)


@bp.post("/settings/backup/import")
def settings_import() -> AnyResponse:
    """Read uploaded files and show what they would change."""
    files = [file for file in request.files.getlist("files") if file.filename]
    folder, token = _new_place()
    names = {Path(file.filename or "").name for file in files}
    is_node = bool(names & NODE_FILES)
    if not files or (not is_node and len(files) > 1):
        words = _("Choose one configuration file, or the files of the old data folder.")
        return _done(words, "warning")
    for file in files:
        name = Path(file.filename or "").name
        if not is_node or name in NODE_FILES:
            file.save(folder / (name if is_node else _DOCUMENT))
        file.close()
    return to_page("admin.settings_import_plan", token=token)


@bp.route("/settings/backup/import/<token>", methods=["GET", "POST"])
def settings_import_plan(token: str) -> AnyResponse | str:
    """Show what an import would change; do it when confirmed."""
    folder = _place(token)
    try:
        done = _imported(folder, is_real=request.method == "POST")
    except InvalidRequest as error:
        shutil.rmtree(folder, ignore_errors=True)
        return _done(translated(error.message), "danger")
    if request.method == "POST":
        shutil.rmtree(folder, ignore_errors=True)
        services().catalog.drop()
        count = len(done.changes)
        return _done(ngettext("%(num)d thing changed.", "%(num)d things changed.", count))
    return render_template("admin/settings/import.html", done=done, token=token)


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


def _done(words: str, kind: str = "success") -> AnyResponse:
    return to_page("admin.settings_backup", words, kind)


def _imported(folder: Path, *, is_real: bool) -> Imported:
    """Import what waits in a folder, or say what that would do. Raises InvalidRequest."""
    transfer = ConfigTransfer(services().store)
    if (folder / _DOCUMENT).is_file():
        document = read_document(folder / _DOCUMENT)
        changes = transfer.apply(document, actor()) if is_real else transfer.plan(document)
        return Imported(changes, 0, ())
    node = NodeImport(services().store, transfer)
    return node.apply(folder, actor()) if is_real else node.plan(folder)


def _imports() -> Path:
    folder = services().config.data_dir / "imports"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _new_place() -> tuple[Path, str]:
    """Make a folder for an upload; older ones that nobody wanted go."""
    for old in _imports().iterdir():
        if time.time() - old.stat().st_mtime > _KEPT_S:
            shutil.rmtree(old, ignore_errors=True)
    token = secrets.token_urlsafe(32)
    folder = _imports() / token
    folder.mkdir(mode=0o700)
    return folder, token


def _place(token: str) -> Path:
    """Return the folder of an upload; the page for what is gone where there is none."""
    folder = _imports() / token
    if not _TOKEN.fullmatch(token) or not folder.is_dir():
        abort(404)
    return folder
