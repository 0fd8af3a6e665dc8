"""The console: pages for people who administer. A page has its module and its templates.

The guard is stated here once: every route needs a signed-in account whose password is its own, and
whoever only views may not change anything.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, request
from flask.blueprints import BlueprintSetupState
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.routing import IntegerConverter, Map
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin.pages import MENU, SETTINGS
from gateway.admin.read_only import READING, is_closed, may_change, read_only
from gateway.version import REPOSITORY, VERSION
from gateway.web.errors import answer_with_pages, error_page
from gateway.web.security import comes_from_elsewhere, own_path, to_page
from gateway.web.template_filters import here_with

bp = Blueprint("admin", __name__, url_prefix="/admin")


class RowId(IntegerConverter):
    """A row's number in an address; none is larger than the databases can hold."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**63 - 1)


@bp.record_once
def bind(state: BlueprintSetupState) -> None:
    """Teach the application our kind of addresses and our filter, before the views use them."""
    state.app.url_map.converters["id"] = RowId
    state.app.jinja_env.filters["read_only"] = read_only


@bp.before_request
def allow() -> AnyResponse | None:
    """Require a signed-in account with a password of its own; viewers may only read."""
    if not current_user.is_authenticated:
        return sign_in()
    if current_user.admin.must_change_password:
        return to_page("auth.password")
    if request.method not in READING and comes_from_elsewhere():
        abort(400)
    if current_user.role == "viewer" and is_closed():
        abort(403)
    return None


answer_with_pages(bp)


@bp.errorhandler(CSRFError)
def form_of_another_session(error: CSRFError) -> AnyResponse:
    """Lead to the sign-in whoever sends a form after the session ended, as in another window; a
    form with a wrong token is refused."""
    return error_page(error) if current_user.is_authenticated else sign_in()


def sign_in() -> AnyResponse:
    """Lead to the sign-in, and from there back to the page asked for, or to that of the form; what
    was typed there waits in the browser (`static/js/gateway.js`)."""
    back = here_with() if request.method == "GET" else own_path(request.referrer)
    return to_page("auth.login", next=back)


@bp.context_processor
def around() -> dict[str, Any]:
    """Return every page its frame: menus, header, version, rights."""
    return {
        "menu": MENU,
        "settings_menu": SETTINGS,
        "current_header": status.current_header,
        "store_trouble": status.store_trouble,
        "version": VERSION,
        "repository": REPOSITORY,
        "may_change": may_change(),
    }


from gateway.admin import (  # noqa: E402, F401  # the views register on the blueprint
    dashboard,
    onboarding,
    reference,
    search,
    security,
    servers,
    status,
    two_factor,
)
from gateway.admin.audit import views as audit_page  # noqa: E402, F401
from gateway.admin.connect import views as connect_page  # noqa: E402, F401
from gateway.admin.keys import views as key_pages  # noqa: E402, F401
from gateway.admin.live import stream  # noqa: E402, F401
from gateway.admin.models import context as context_page  # noqa: E402, F401
from gateway.admin.models import detail  # noqa: E402, F401
from gateway.admin.models import list as model_pages  # noqa: E402, F401
from gateway.admin.models import memory as model_memory_page  # noqa: E402, F401
from gateway.admin.playground import embed, run  # noqa: E402, F401
from gateway.admin.playground import views as playground_page  # noqa: E402, F401
from gateway.admin.settings import alerts, backup, imports  # noqa: E402, F401
from gateway.admin.settings import views as settings_pages  # noqa: E402, F401
from gateway.admin.usage import explorer, labels, request_detail, requests  # noqa: E402, F401
