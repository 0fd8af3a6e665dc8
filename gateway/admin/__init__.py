"""The console: pages for people who administer. One module, one form file, one template folder a page.

The guard is stated here once: every route needs a signed-in account whose password is its own, and
whoever only views may not change anything.
"""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("admin", __name__, url_prefix="/admin")

from gateway.admin import (  # noqa: E402  # the views hang themselves on the blueprint
    guard,
    keys,
    models,
    now,
    playground,
    requests,
    servers,
    settings,
    usage,
)

__all__ = [
    "bp",
    "guard",
    "keys",
    "models",
    "now",
    "playground",
    "requests",
    "servers",
    "settings",
    "usage",
]
