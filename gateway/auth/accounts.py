"""The account of the current request, from the secret in the visitor's cookie."""

from __future__ import annotations

from secrets import token_urlsafe

from flask import Flask, Response, after_this_request, current_app, request, session
from flask_login import UserMixin, login_user
from itsdangerous import BadData, URLSafeTimedSerializer

from gateway.core.admin import Admin, AdminSession
from gateway.web import language
from gateway.web.context import services
from gateway.web.extensions import login

_DEVICE = "o2o_device"
_DEVICE_S = 180 * 24 * 3600


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
    leave()
    session.permanent = True
    chosen = {name: str(value) for name, value in admin.preferences.items()}
    language.remember(**{name: chosen.get(name) for name in ("language", "theme")})
    login_user(Account(admin, secret))
    _remember_device(admin)


def device() -> tuple[int, str] | None:
    """Return the account this browser signed in to before, and the browser's id."""
    try:
        admin_id, name = _signer().loads(request.cookies.get(_DEVICE, ""), max_age=_DEVICE_S)
        return int(admin_id), str(name)
    except (BadData, TypeError, ValueError):
        return None


def _remember_device(admin: Admin) -> None:
    """Set a cookie by which the browser is known: it opens nothing, but strangers who guess at
    the account do not slow it."""
    known = device()
    name = known[1] if known and known[0] == admin.id else token_urlsafe(16)
    value = _signer().dumps([admin.id, name])
    cookies = current_app.session_interface

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            _DEVICE,
            value,
            max_age=_DEVICE_S,
            path=f"{request.script_root}/auth",
            secure=cookies.get_cookie_secure(current_app),
            httponly=True,
            samesite="Lax",
        )
        return response


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="device")


def leave() -> None:
    """Forget the account in this browser; language and theme stay."""
    kept = {name: session[name] for name in ("language", "theme", "zone") if name in session}
    session.clear()
    session.update(kept)


def _load(secret: str) -> Account | None:
    found = services().admins.session(secret)
    if found is None:
        return None
    admin, row = found
    return Account(admin, secret, row)
