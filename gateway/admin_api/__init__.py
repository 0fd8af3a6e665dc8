"""The REST API of administrators, under `/api/admin/v1`, with tokens of its own.

The guard is stated here once: every route needs an admin token in `Authorization: Bearer`; reading
needs the role viewer, changing admin, accounts and tokens owner (`needs`). An API key of `/v1`
opens nothing here, and a console cookie is not looked at. Bodies are JSON; answers are JSON; errors
are OpenAI's error object.
"""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("admin_api", __name__, url_prefix="/api/admin/v1")

from gateway.admin_api import accounts, alerts, configuration, guard, keys, models, servers, usage  # noqa: E402, F401  # the views hang themselves on the blueprint
