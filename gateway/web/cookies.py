"""The console's cookie: named and marked by how the browser came to us."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Request, has_request_context, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from gateway.web.context import of

_NAME = "o2o_session"
LIFE = timedelta(days=180)
"""How long a browser is known; a login ends sooner, by its row."""
_KEPT = ("language", "theme", "zone", "device")
PAGES = ("/admin", "/auth", "/docs", "/static", "/bootstrap")
"""Where pages for people begin."""


class ConsoleSession(SecureCookieSessionInterface):
    """Signs the session cookie; `Secure` and `__Host-` as soon as the browser speaks TLS to us.

    `SESSION_COOKIE_SECURE` true forces both; with plain HTTP a browser would drop such a cookie, so
    it follows the request otherwise.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a page; machines have none, whatever cookie they send."""
        if request.path != "/" and not request.path.startswith(PAGES):
            return None
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie may only travel over TLS."""
        if app.config.get("SESSION_COOKIE_SECURE"):
            return True
        if of(app).config.cookie_secure == "never":
            return False
        return has_request_context() and request.is_secure

    def get_cookie_name(self, app: Flask) -> str:
        """`__Host-` binds the cookie to this host, `__Secure-` leaves the path to us; browsers
        accept both only with TLS."""
        if not self.get_cookie_secure(app):
            return _NAME
        return f"__Secure-{_NAME}" if _prefix() else f"__Host-{_NAME}"

    def get_cookie_path(self, app: Flask) -> str:
        """The whole host, which `__Host-` wants; below a prefix, that prefix only."""
        return f"{_prefix()}/"


def _prefix() -> str:
    """Return the path below which a proxy shows us (X-Forwarded-Prefix), "" for none."""
    return request.script_root if has_request_context() else ""


def forget_account() -> None:
    """Forget the account in this browser; the visitor's choices and the browser's id stay."""
    kept = {name: session[name] for name in _KEPT if name in session}
    session.clear()
    session.permanent = True
    session.update(kept)
