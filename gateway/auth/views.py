"""Login, second factor, logout, the first password, and preferences that need no account."""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, session, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import HiddenField, StringField, SubmitField
from wtforms.validators import InputRequired, Length

from gateway.auth import accounts, bp
from gateway.errors import GatewayError, InvalidRequest, RateLimited
from gateway.management.admins import CodeNeeded, Login, LoginExpired, is_first_password
from gateway.web import language
from gateway.web.context import actor, services
from gateway.web.cookies import forget_account
from gateway.web.errors import answer_with_pages
from gateway.web.passwords import code_field, known_password, new_password, repeated
from gateway.web.security import comes_from_elsewhere, safe_next, to_page
from gateway.web.words import _, _l, ngettext, translated

OPEN = frozenset(
    {
        "auth.login",
        "auth.code",
        "auth.logout",
        "auth.preferences",
        "auth.provider_start",
        "auth.provider_end",
    }
)
"""Views that answer without an account."""
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host")
_PENDING = "pending_login"


class LoginForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Who you are."""

    username = StringField(
        _l("User name"),
        validators=[InputRequired(_l("Type your user name.")), Length(max=64)],
        render_kw={
            "autocomplete": "username",
            "autocapitalize": "none",
            "spellcheck": "false",
            "autofocus": True,
        },
    )
    password = known_password(_l("Password"))
    next = HiddenField()
    submit = SubmitField(_l("Sign in"))


class CodeForm(FlaskForm):  # type: ignore[misc]  # as above
    """The second factor: a code of the authenticator, or a recovery code."""

    code = code_field(
        _l("Code"),
        _l("The six digits your authenticator app shows, or one of your recovery codes."),
        autofocus=True,
    )
    next = HiddenField()
    submit = SubmitField(_l("Continue"))


class NewPasswordForm(FlaskForm):  # type: ignore[misc]  # as above
    """A password to replace the default one; the old one was just typed at the login."""

    password = new_password(_l("New password"), autofocus=True)
    again = repeated("password")
    submit = SubmitField(_l("Set password"))


@bp.before_request
def allow() -> AnyResponse | None:
    """Require an account but for the open views; refuse what another site sent."""
    if request.method == "POST" and comes_from_elsewhere():
        abort(400)
    if request.endpoint not in OPEN and not current_user.is_authenticated:
        return to_page("auth.login")
    return None


answer_with_pages(bp)


@bp.route("/login", methods=["GET", "POST"])
def login() -> AnyResponse | str | tuple[str, int]:
    """Check name and password."""
    target = target_page()
    if request.method == "GET" and current_user.is_authenticated:
        return redirect(target, 303)
    form = LoginForm(data={"next": target})
    if form.validate_on_submit():
        try:
            login = services().admins.login(
                form.username.data, form.password.data, is_local=_is_near(), **visitor()
            )
        except CodeNeeded as needed:
            session[_PENDING] = needed.secret
            return to_page("auth.code", next=target)
        except GatewayError as error:
            status = error.status if isinstance(error, RateLimited) else HTTPStatus.OK
            return login_page(form, target, refusal=translated(error.message)), status
        return enter(login, target)
    ended = "_user_id" in session
    return login_page(form, target, ended=ended, defaults_in_use=_defaults_in_use())


@bp.route("/code", methods=["GET", "POST"])
def code() -> AnyResponse | str:
    """Check the second factor, after the password was right."""
    form, refusal = CodeForm(data={"next": target_page()}), ""
    if _PENDING not in session:
        return to_page("auth.login")
    if form.validate_on_submit():
        try:
            login = services().admins.finish_login(session[_PENDING], form.code.data, **visitor())
        except LoginExpired as error:
            del session[_PENDING]
            return to_page("auth.login", translated(error.message), "warning")
        except GatewayError as error:
            refusal = translated(error.message)
        else:
            return enter(login, target_page())
    return render_template("auth/code.html", form=form, refusal=refusal)


@bp.post("/logout")
def logout() -> AnyResponse:
    """End this login, here and in the store."""
    if current_user.is_authenticated:
        services().admins.logout(current_user.secret)
    forget_account()
    return to_page("auth.login", _("You are signed out."))


@bp.route("/password", methods=["GET", "POST"])
def password() -> AnyResponse | str:
    """Replace the first password; nothing else opens before."""
    if not current_user.admin.must_change_password:
        return to_page("admin.dashboard")
    form = NewPasswordForm()
    if form.validate_on_submit():
        admins = services().admins
        try:
            first = is_first_password(current_user.admin)
            admins.choose_password(current_user.id, form.password.data, actor())
            login = admins.login(
                current_user.username, form.password.data, is_local=_is_near(), **visitor()
            )
        except InvalidRequest as error:
            if error.param is None:  # somebody was faster: this login ended with theirs
                forget_account()
                return to_page("auth.login", translated(error.message), "warning")
            form.password.errors = [translated(error.message)]
        except CodeNeeded:
            forget_account()
            return to_page("auth.login", _("The password is set. Sign in with it."))
        else:
            accounts.enter(login.admin, login.secret)
            return to_page("admin.welcome" if first else "admin.dashboard")
    is_first = is_first_password(current_user.admin)
    return render_template("auth/password.html", form=form, is_first=is_first)


@bp.post("/preferences")
def preferences() -> AnyResponse:
    """Keep language, theme and time zone: in the cookie, and with the account."""
    wanted = {name: request.form.get(name) for name in ("language", "theme", "zone")}
    kept = language.remember(**wanted)
    lasting = {name: value for name, value in kept.items() if name != "zone"}
    if lasting and current_user.is_authenticated:
        services().admins.accounts.prefer(current_user.id, **lasting)
    if request.headers.get("X-CSRFToken"):
        return Response(status=HTTPStatus.NO_CONTENT)
    return redirect(target_page(), 303)


def login_page(form: LoginForm, target: str, **more: Any) -> str:
    """Return the page where one signs in, to go on to `target`; `more` is what else it says."""
    config = services().config
    provider = config.oidc_name if config.oidc_issuer else ""
    return render_template("auth/login.html", form=form, target=target, provider=provider, **more)


def enter(login: Login, target: str) -> AnyResponse:
    """Begin a session of the console and go on to `target`."""
    accounts.enter(login.admin, login.secret)
    if login.failed_before:
        words = ngettext(
            "%(num)d failed attempt since your last sign-in.",
            "%(num)d failed attempts since your last sign-in.",
            login.failed_before,
        )
        flash(words, "warning")
    return redirect(url_for("auth.password") if login.admin.must_change_password else target, 303)


def visitor() -> dict[str, Any]:
    """Return who visits, for the login's record and its rules."""
    return {
        "ip": request.remote_addr or "",
        "user_agent": request.headers.get("User-Agent", "")[:256],
        "device": accounts.device(),
    }


def _is_near() -> bool:
    """Return whether the visitor is on this machine or network, by an address nobody can fake.

    Forwarded headers without a trusted proxy mean that somebody stands in between: then the address
    is theirs, and says nothing about the visitor.
    """
    if not services().config.trusted_proxies and any(
        name in request.headers for name in _FORWARDED
    ):
        return False
    try:
        ip = ipaddress.ip_address((request.remote_addr or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return bool(mapped.is_loopback or mapped.is_private or mapped.is_link_local)


def _defaults_in_use() -> bool:
    """Return whether the documented first login is still the only one, for somebody near."""
    if not _is_near() or services().config.admin_password:
        return False
    found = services().admins.accounts.find("admin")
    return found is not None and is_first_password(found)


def target_page() -> str:
    """Return where the visitor wanted to go: a page of ours."""
    return safe_next(request.values.get("next"), url_for("admin.dashboard"))
