"""The search of the console: keys, models, requests by id, and pages, a few of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from flask import render_template, request, url_for
from flask_login import current_user

from gateway.admin import bp
from gateway.admin.pages import MENU, OTHERS, SETTINGS
from gateway.core.catalog import Model
from gateway.store import key_queries
from gateway.store.usage import request_queries
from gateway.web.context import services
from gateway.web.words import _

OF_EACH = 6
_MAX_TEXT = 100
_REQUEST_ID = re.compile(r"req_[0-9a-f]{4,32}")


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found, `kind` in words."""

    kind: str
    title: str
    hint: str
    icon: str
    url: str


@bp.get("/search")
def search() -> str:
    """Show what is found, as a page of its own."""
    text = _text()
    return render_template("search/page.html", text=text, hits=_hits(text), in_dialog=False)


@bp.get("/search/hits")
def search_hits() -> str:
    """Return what is found, as a piece of the dialog."""
    return render_template("search/hits.html", hits=_hits(_text()), in_dialog=True)


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
    for page in (*MENU, *SETTINGS, *OTHERS):
        if wanted in page.words.lower() and (may_change or not page.changes):
            hint = _("Settings") if page in SETTINGS else ""
            yield Hit(_("Page"), str(page.words), hint, page.icon, page.url)
