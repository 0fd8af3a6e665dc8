"""Who is at the console right now, as the audit log names them."""

from __future__ import annotations

from flask import request
from flask_login import current_user

from gateway.core.admin import Actor


def actor() -> Actor:
    """Return the signed-in account as the author of a change."""
    return Actor(
        kind="admin",
        name=current_user.username,
        id=current_user.id,
        role=current_user.role,
        ip=request.remote_addr or "",
    )
