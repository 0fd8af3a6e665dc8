"""Signing in and out, and what belongs to it: a first password, language and theme.

The guard is stated here once: only the views in `OPEN` answer without an account.
"""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState

bp = Blueprint("auth", __name__, url_prefix="/auth")

from gateway import web  # noqa: E402  # after the blueprint, as the views below
from gateway.auth import accounts, provider, views  # noqa: E402

__all__ = ["accounts", "bp", "provider", "views"]


@bp.record_once
def bind(state: BlueprintSetupState) -> None:
    """Add languages, formats, cookies and accounts to the application."""
    app = cast(Flask, state.app)
    web.init_app(app)
    accounts.init_app(app)
