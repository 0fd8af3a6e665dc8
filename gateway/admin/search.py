"""The search of the console: keys, models, requests by id, and pages, a few of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice

from flask import Response, jsonify, render_template, request, url_for
from flask_login import current_user

from gateway.admin import bp
from gateway.core.catalog import Model
from gateway.store import key_queries
from gateway.store.usage import request_queries
from gateway.web.context import services
from gateway.web.words import _, _l

OF_EACH = 6
_MAX_TEXT = 100
_REQUEST_ID = re.compile(r"req_[0-9a-f]{4,32}")


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its words, its view with a tab, and whether it only changes things."""

    words: str
    view: str
    icon: str
    tab: str = ""
    changes: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found, `kind` in words."""

    kind: str
    title: str
    hint: str
    icon: str
    url: str


_PAGES = (
    Page(_l("Dashboard"), "admin.dashboard", "speedometer2"),
    Page(_l("Playground"), "admin.playground", "chat-square-text"),
    Page(_l("Models"), "admin.models", "box-seam"),
    Page(_l("Context and loads"), "admin.context", "memory"),
    Page(_l("Keys"), "admin.keys", "key"),
    Page(_l("New key"), "admin.key_new", "plus-lg", changes=True),
    Page(_l("Connect an app"), "admin.connect", "plug"),
    Page(_l("Usage"), "admin.usage", "bar-chart-line"),
    Page(_l("Requests"), "admin.requests", "list-ul"),
    Page(_l("Servers"), "admin.servers", "hdd-stack"),
    Page(_l("Add a server"), "admin.server_new", "plus-lg", changes=True),
    Page(_l("Settings"), "admin.settings", "gear", "general"),
    Page(_l("API behaviour"), "admin.settings", "gear", "api"),
    Page(_l("Privacy and retention"), "admin.settings", "gear", "privacy"),
    Page(_l("Limits"), "admin.settings", "gear", "limits"),
    Page(_l("Security"), "admin.settings_security", "shield-lock"),
    Page(_l("Backup"), "admin.settings_backup", "database"),
    Page(_l("Audit log"), "admin.settings_audit", "list-ul"),
    Page(_l("Observability"), "admin.settings_observability", "activity"),
    Page(_l("About"), "admin.settings_about", "info-circle"),
    Page(_l("API reference"), "reference.chapter", "book"),
)


@bp.get("/search")
def search() -> str:
    """Show what is found, as a page of its own."""
    text = _text()
    return render_template("search/page.html", text=text, hits=_hits(text))


@bp.get("/search.json")
def search_json() -> Response:
    """Return what is found, for the dialog."""
    return jsonify(hits=[asdict(hit) for hit in _hits(_text())])


def _text() -> str:
    return request.args.get("q", "").strip()[:_MAX_TEXT]


def _hits(text: str) -> list[Hit]:
    """Return at most OF_EACH of every kind; pages only where nothing is asked."""
    if not text:
        return list(_pages(""))
    wanted = text.lower()
    kinds = (_requests(wanted), _keys(text), _models(wanted), _pages(wanted))
    return [hit for kind in kinds for hit in islice(kind, OF_EACH)]


def _requests(wanted: str) -> Iterator[Hit]:
    if not _REQUEST_ID.fullmatch(wanted):
        return
    for call in services().store.read(request_queries.with_id, wanted, limit=OF_EACH):
        url = url_for("admin.request_detail", request_id=call.request_id)
        hint = f"{call.model or call.requested_model} · {call.key_name}"
        yield Hit(_("Request"), call.request_id, hint, "list-ul", url)


def _keys(text: str) -> Iterator[Hit]:
    found = services().store.read(key_queries.search, datetime.now(UTC), text, limit=OF_EACH)
    for key in found:
        url = url_for("admin.key", key_id=key.id)
        yield Hit(_("Key"), key.name, f"{key.prefix}…{key.last4}", "key", url)


def _models(wanted: str) -> Iterator[Hit]:
    for model in services().catalog.models():
        if any(wanted in name.lower() for name in _names(model)):
            url = url_for("admin.model", model_id=model.id)
            hint = "" if model.name == model.display_name else model.name
            yield Hit(_("Model"), model.display_name, hint, "box-seam", url)


def _names(model: Model) -> tuple[str, ...]:
    return model.display_name, model.name, *(alias.name for alias in model.aliases)


def _pages(wanted: str) -> Iterator[Hit]:
    may_change = current_user.role != "viewer"
    for page in _PAGES:
        if wanted in page.words.lower() and (may_change or not page.changes):
            url = url_for(page.view, tab=page.tab or None)
            yield Hit(_("Page"), str(page.words), "", page.icon, url)
