"""The console: pages for people who administer. One module, form file and template folder a page.

The guard is stated here once: every route needs a signed-in account whose password is its own, and
whoever only views may not change anything.
"""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("admin", __name__, url_prefix="/admin")

from gateway.admin import (  # noqa: E402  # the views hang themselves on the blueprint
    backup,
    guard,
    keys,
    model,
    models,
    now,
    playground,
    requests,
    security,
    servers,
    settings,
    usage,
    welcome,
)

__all__ = [
    "backup",
    "bp",
    "guard",
    "keys",
    "model",
    "models",
    "now",
    "playground",
    "requests",
    "security",
    "servers",
    "settings",
    "usage",
    "welcome",
]
