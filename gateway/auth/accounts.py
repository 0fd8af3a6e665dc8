"""The account of the current request, from the secret in the visitor's cookie."""

from __future__ import annotations

from secrets import token_urlsafe

from flask import Flask, session
from flask_login import UserMixin, login_user

from gateway.core.admin import Admin, AdminSession
from gateway.web import language
from gateway.web.context import services
from gateway.web.cookies import forget_account
from gateway.web.extensions import login


class Account(UserMixin):  # type: ignore[misc]  # Flask-Login ships no types
    """Who is signed in, and by which login."""

    def __init__(self, admin: Admin, secret: str, login_row: AdminSession | None = None) -> None:
        self.admin = admin
        self.id, self.username, self.role = admin.id, admin.username, admin.role
        self.secret = secret
        self.login = login_row

    def get_id(self) -> str:
        """Return what the cookie holds: the secret of the login, not the account's number."""
        return self.secret


def init_app(app: Flask) -> None:
    """Teach Flask-Login who our accounts are."""
    login.init_app(app)
    login.session_protection = None  # the login's own row ends it, not a change of address
    login.user_loader(_load)


def enter(admin: Admin, secret: str) -> None:
    """Sign the browser in with a fresh session: nothing planted before survives (fixation)."""
    forget_account()
    chosen = {name: str(value) for name, value in admin.preferences.items()}
    language.remember(**{name: chosen.get(name) for name in ("language", "theme")})
    login_user(Account(admin, secret))
    known = device()
    if known is None or known[0] != admin.id:
        session["device"] = (admin.id, token_urlsafe(16))


def device() -> tuple[int, str] | None:
    """Return the account this browser signed in to before, and the browser's id: it opens nothing,
    but strangers who guess at the account do not slow it."""
    known: tuple[int, str] | None = session.get("device")
    return known


def _load(secret: str) -> Account | None:
    found = services().admins.session(secret)
    if found is None:
        return None
    admin, row = found
    return Account(admin, secret, row)
