"""Accounts and admin tokens: owners only."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from flask import Response, g

from gateway.admin_api import bp
from gateway.admin_api.guard import needs
from gateway.admin_api.reading import answer, body, field, only
from gateway.core.periods import parse_instant
from gateway.errors import InvalidRequest
from gateway.store import admins
from gateway.web.context import services


@bp.get("/admins")
@needs("owner")
def list_admins() -> Response:
    """List accounts."""
    found = services().admins.accounts.all()
    return answer({"data": [admins.as_json(admin) for admin in found]})


@bp.post("/admins")
@needs("owner")
def create_admin() -> Response:
    """Make an account; its password must be changed at the first login."""
    raw = body()
    only(raw, "username", "password", "role")
    admin = services().admins.accounts.create(
        field(raw, "username", str),
        field(raw, "password", str),
        field(raw, "role", str, "viewer"),
        g.actor,
    )
    return answer(admins.as_json(admin), 201)


@bp.patch("/admins/<id:admin_id>")
@needs("owner")
def update_admin(admin_id: int) -> Response:
    """Change an account's role, or switch it on or off; its logins end."""
    raw = body()
    only(raw, "role", "enabled")
    admin = services().admins.accounts.update(
        admin_id,
        g.actor,
        role=field(raw, "role", str, None),
        enabled=field(raw, "enabled", bool, None),
    )
    return answer(admins.as_json(admin))


@bp.delete("/admins/<id:admin_id>")
@needs("owner")
def delete_admin(admin_id: int) -> Response:
    """Remove an account with its logins and tokens."""
    services().admins.accounts.delete(admin_id, g.actor)
    return answer({"id": admin_id, "deleted": True})


@bp.get("/tokens")
@needs("owner")
def list_tokens() -> Response:
    """List admin tokens, without their secrets."""
    found = services().admins.tokens.all()
    return answer({"data": [asdict(token) for token in found]})


@bp.post("/tokens")
@needs("owner")
def issue_token() -> Response:
    """Make an admin token; its secret is in this answer and nowhere else."""
    raw = body()
    only(raw, "name", "role", "expires_at")
    token, secret = services().admins.tokens.issue(
        field(raw, "name", str),
        field(raw, "role", str, "viewer"),
        g.actor,
        expires_at=_expiry(field(raw, "expires_at", str, None)),
    )
    return answer({**asdict(token), "secret": secret}, 201)


@bp.delete("/tokens/<id:token_id>")
@needs("owner")
def revoke_token(token_id: int) -> Response:
    """Make an admin token useless."""
    return answer(asdict(services().admins.tokens.revoke(token_id, g.actor)))


def _expiry(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = parse_instant(text)
    if at is None:
        raise InvalidRequest(
            "'expires_at' must be a time such as 2030-01-31T12:00:00Z.", param="expires_at"
        )
    return at
