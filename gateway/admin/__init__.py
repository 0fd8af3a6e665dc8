"""The console: pages for people who administer. One module, form file and template folder a page.

The guard is stated here once: every route needs a signed-in account whose password is its own, and
whoever only views may not change anything.
"""

from __future__ import annotations

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import IntegerConverter, Map

bp = Blueprint("admin", __name__, url_prefix="/admin")


class RowId(IntegerConverter):
    """A row's number in an address; none is larger than the databases can hold."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**63 - 1)


@bp.record_once
def bind(state: BlueprintSetupState) -> None:
    """Teach the application our kind of addresses, before the views use it."""
    state.app.url_map.converters["id"] = RowId


from gateway.admin import (  # noqa: E402, F401  # the views register on the blueprint
    backup,
    dashboard,
    guard,
    onboarding,
    playground,
    security,
    servers,
    settings,
)
from gateway.admin.keys import views as key_pages  # noqa: E402, F401
from gateway.admin.models import detail  # noqa: E402, F401
from gateway.admin.models import list as model_pages  # noqa: E402, F401
from gateway.admin.usage import requests  # noqa: E402, F401
from gateway.admin.usage import views as usage_pages  # noqa: E402, F401
