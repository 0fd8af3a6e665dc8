"""Who may open a page of the console, what every page shows around its content, and its headers."""

from __future__ import annotations

from typing import Any

from flask import abort, request
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.status import overall, store_trouble
from gateway.version import VERSION
from gateway.web.errors import answer_with_pages
from gateway.web.security import comes_from_elsewhere, to_page
from gateway.web.template_filters import here_with

READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_AFFAIRS = frozenset({"admin.password", "admin.end_session", "admin.two_factor"})
"""What a viewer may still do: look after the own account."""


@bp.before_request
def allow() -> AnyResponse | None:
    """Require a signed-in account with a password of its own; viewers may only read."""
    if not current_user.is_authenticated:
        back = here_with() if request.method == "GET" else None
        return to_page("auth.login", next=back)
    if current_user.admin.must_change_password:
        return to_page("auth.password")
    if request.method not in READING:
        if comes_from_elsewhere():
            abort(400)
        if current_user.role == "viewer" and request.endpoint not in OWN_AFFAIRS:
            abort(403)
    return None


answer_with_pages(bp)


@bp.context_processor
def around() -> dict[str, Any]:
    """Return every page its frame: sidebar, server state, version, rights."""
    return {
        "server_status": overall,
        "store_trouble": store_trouble,
        "version": VERSION,
        "may_change": current_user.is_authenticated and current_user.role != "viewer",
    }
