"""The console: pages for people who administer. A page has its module and its templates.

The guard is stated here once: every route needs a signed-in account whose password is its own, and
whoever only views may not change anything.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, request
from flask.blueprints import BlueprintSetupState
from flask_login import current_user
from werkzeug.routing import IntegerConverter, Map
from werkzeug.wrappers import Response as AnyResponse

from gateway.version import VERSION
from gateway.web.errors import answer_with_pages
from gateway.web.security import comes_from_elsewhere, to_page
from gateway.web.template_filters import here_with

bp = Blueprint("admin", __name__, url_prefix="/admin")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_AFFAIRS = frozenset({"admin.password", "admin.end_session", "admin.two_factor"})
"""What a viewer may still do: look after the own account."""


class RowId(IntegerConverter):
    """A row's number in an address; none is larger than the databases can hold."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**63 - 1)


@bp.record_once
def bind(state: BlueprintSetupState) -> None:
    """Teach the application our kind of addresses, before the views use it."""
    state.app.url_map.converters["id"] = RowId


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
    """Return every page its frame: server state, version, rights."""
    return {
        "server_status": status.overall,
        "store_trouble": status.store_trouble,
        "version": VERSION,
        "may_change": current_user.is_authenticated and current_user.role != "viewer",
    }


from gateway.admin import (  # noqa: E402, F401  # the views register on the blueprint
    backup,
    dashboard,
    onboarding,
    playground,
    reference,
    security,
    servers,
    settings,
    status,
)
from gateway.admin.keys import views as key_pages  # noqa: E402, F401
from gateway.admin.models import context as context_page  # noqa: E402, F401
from gateway.admin.models import detail  # noqa: E402, F401
from gateway.admin.models import list as model_pages  # noqa: E402, F401
from gateway.admin.models import memory as model_memory_page  # noqa: E402, F401
from gateway.admin.usage import explorer, labels, request_detail, requests  # noqa: E402, F401
