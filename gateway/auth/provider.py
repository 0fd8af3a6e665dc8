"""Signing in through the OpenID provider: there, and back (authorization code flow with PKCE)."""

from __future__ import annotations

import secrets
import time

from flask import redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.auth import bp
from gateway.auth.views import LoginForm, enter, login_page, target_page, visitor
from gateway.management.admins import Login
from gateway.openid.refusals import SignInRefused
from gateway.web.context import services
from gateway.web.security import safe_next, to_page
from gateway.web.words import translated

_SLOT = "provider_login"
_LIFE_S = 600
_LONGEST = 4_096


@bp.get("/oidc")
def provider_start() -> AnyResponse | tuple[str, int]:
    """Lead on to the provider, and keep in the cookie what its answer must fit."""
    provider, target = services().provider, target_page()
    if provider is None:
        return to_page("auth.login", next=target)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    try:
        address = provider.address(state, nonce, verifier, _return_address())
    except SignInRefused as refused:
        return _refused(refused, target)
    session[_SLOT] = [state, nonce, verifier, target, int(time.time())]
    return redirect(address, 303)


@bp.get("/oidc/callback")
def provider_end() -> AnyResponse | tuple[str, int]:
    """Sign in the visitor whom the provider sends back, once for each time they were led there."""
    if services().provider is None:
        return to_page("auth.login")
    state, nonce, verifier, target, at = session.pop(_SLOT, ("", "", "", "", 0))
    target = safe_next(target, url_for("admin.dashboard"))
    try:
        if not 0 <= time.time() - at <= _LIFE_S:
            raise SignInRefused("state")
        login = _login(state, nonce, verifier)
    except SignInRefused as refused:
        return _refused(refused, target)
    return enter(login, target)


def _login(state: str, nonce: str, verifier: str) -> Login:
    provider, logins, given = services().provider, services().provider_logins, request.args
    assert provider is not None
    if not secrets.compare_digest(state.encode(), given.get("state", "").encode()):
        raise SignInRefused("state")
    logins.use(state)
    if given.get("iss", provider.issuer) != provider.issuer:  # RFC 9207
        raise SignInRefused("issuer")
    if "error" in given:
        raise SignInRefused("access_denied")
    code = given.get("code", "")
    if not 0 < len(code) <= _LONGEST:
        raise SignInRefused("code")
    identity = provider.identity(code, nonce, verifier, _return_address())
    who = visitor()
    return logins.login(identity, ip=who["ip"], user_agent=who["user_agent"])


def _refused(refused: SignInRefused, target: str) -> tuple[str, int]:
    services().provider_logins.failed(refused, request.remote_addr or "")
    words = translated(refused.message)
    return login_page(LoginForm(data={"next": target}), target, refusal=words), refused.status


def _return_address() -> str:
    return url_for("auth.provider_end", _external=True)
