"""Import: bring in a configuration, after a look at what it would change.

What was uploaded waits in a folder of the data directory, for an hour, under a name nobody can
guess, while the page shows what it would change and which of that is to be taken.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from flask import abort, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.forms.settings import in_words
from gateway.admin.settings.backup import backup_page
from gateway.core.chat import Json
from gateway.errors import InvalidRequest
from gateway.management.transfer.configuration import Change, ConfigTransfer
from gateway.management.transfer.documents import read_document
from gateway.management.transfer.node import FILES, Imported, NodeImport
from gateway.schemas import convert
from gateway.schemas.alert import AlertTarget
from gateway.schemas.key import Key
from gateway.schemas.model import ModelFields
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, ngettext, translated

_DOCUMENT = "document"
_KEPT_S = 3_600
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_SCHEMAS: dict[str, type] = {
    "settings": RuntimeSettings,
    "server": Server,
    "model": ModelFields,
    "key": Key,
    "alert": AlertTarget,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be taken: where the document says it, its name, and (label, before, after)
    of each field in words."""

    place: str
    name: str
    is_new: bool
    fields: list[tuple[str, str, str]]


@bp.post("/settings/backup/import")
def settings_import() -> AnyResponse | str:
    """Read uploaded files and lead to what they would change."""
    files = {Path(file.filename or "").name: file for file in request.files.getlist("files")}
    files.pop("", None)
    is_node = bool(files.keys() & set(FILES))
    if not files or (not is_node and len(files) > 1):
        return backup_page(_("Choose one configuration file, or the files of the old data folder."))
    folder, token = _new_place()
    for name, file in files.items():
        if not is_node or name in FILES:
            file.save(folder / (name if is_node else _DOCUMENT))
        file.close()
    try:
        _plan(folder)
    except InvalidRequest as error:
        shutil.rmtree(folder, ignore_errors=True)
        return backup_page(translated(error.message))
    return to_page("admin.settings_import_plan", token=token)


@bp.route("/settings/backup/import/<token>", methods=["GET", "POST"])
def settings_import_plan(token: str) -> AnyResponse | str:
    """Show what an import would change; take what was ticked, all of it or nothing."""
    folder = _place(token)
    found = _plan(folder)
    groups = _groups(found)
    chosen, problem = set(request.form.getlist("take")), ""
    if request.method == "POST":
        problem = _problem_of(chosen, groups)
        if not problem:
            try:
                _apply(folder, chosen)
            except InvalidRequest as error:
                problem = translated(error.message)
            else:
                shutil.rmtree(folder, ignore_errors=True)
                services().catalog.drop()
                words = ngettext("%(num)d item imported.", "%(num)d items imported.", len(chosen))
                return to_page("admin.settings_backup", words)
    return render_template(
        "admin/settings/import.html",
        groups=groups,
        calls=found.calls,
        notes=found.notes,
        problem=problem,
        chosen=chosen if request.method == "POST" else None,
    )


def _problem_of(chosen: Collection[str], groups: dict[str, list[Item]]) -> str:
    """Return what is wrong with a choice, "" for nothing."""
    known = {item.place for items in groups.values() for item in items} | {"calls"}
    if not chosen:
        return _("Choose at least one item.")
    if not known.issuperset(chosen):
        return _("The gateway has changed meanwhile: look at the items again.")
    return ""


def _plan(folder: Path) -> Imported:
    """Return what importing what waits in a folder would change. Raises InvalidRequest."""
    transfer = ConfigTransfer(services().store)
    if (folder / _DOCUMENT).is_file():
        return Imported(transfer.plan(read_document(folder / _DOCUMENT)), 0, ())
    return NodeImport(services().store, transfer).plan(folder)


def _apply(folder: Path, chosen: Collection[str]) -> None:
    """Import the chosen places of what waits in a folder. Raises InvalidRequest."""
    transfer = ConfigTransfer(services().store)
    if (folder / _DOCUMENT).is_file():
        transfer.apply(read_document(folder / _DOCUMENT), actor(), chosen)
    else:
        NodeImport(services().store, transfer).apply(folder, actor(), chosen)


def _groups(found: Imported) -> dict[str, list[Item]]:
    """Return what would change by kind: settings one by one, and servers, models, keys."""
    groups: dict[str, list[Item]] = {kind: [] for kind in _SCHEMAS}
    for change in found.changes:
        if change.kind == "settings":
            groups["settings"] += [_setting(*field) for field in change.fields()]
        else:
            groups[change.kind].append(_item(change))
    return {kind: items for kind, items in groups.items() if items}


def _setting(name: str, before: Json, after: Json) -> Item:
    words = in_words(name, before), in_words(name, after)
    return Item(f"settings.{name}", _title("settings", name), False, [(name, *words)])


def _item(change: Change) -> Item:
    fields = [
        (_title(change.kind, name), _value(before), _value(after))
        for name, before, after in change.fields()
    ]
    return Item(change.place, change.name, change.word == "add", fields)


def _title(kind: str, name: str) -> str:
    """Return what a field is called, its plain name where it has no title."""
    described = convert.fields_of(_SCHEMAS[kind]).get(name)
    title = None if described is None else convert.meta_of(described).title
    return _(title) if title else name


def _value(value: Any) -> str:
    """Return a value in words: lists by commas, objects as JSON."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value in (None, "", [], {}):
        return _("none")
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return ", ".join(map(str, value))
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)


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
