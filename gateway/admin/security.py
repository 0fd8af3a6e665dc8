"""Security: the own account for everybody; accounts and tokens for owners."""

from __future__ import annotations

from typing import cast

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp, confirm
from gateway.admin.forms.errors import into_form
from gateway.admin.forms.security import (
    AdminForm,
    NewPasswordForm,
    PasswordForm,
    ProofForm,
    TokenForm,
    TwoFactorForm,
)
from gateway.admin.settings import tabs
from gateway.core.admin import ROLES, Admin, Role
from gateway.errors import Forbidden, GatewayError, InvalidRequest, NotFound, RateLimited
from gateway.web.context import actor, services
from gateway.web.one_time_secret import given, hand_over
from gateway.web.words import _, translated

_TOKEN = "new_token"


@bp.get("/settings/security")
def settings_security() -> str:
    """Show the own account, and for owners all others."""
    return _page(PasswordForm())


@bp.post("/settings/security/password")
def password() -> AnyResponse | str:
    """Change the own password; every login ends, this one goes on with a new cookie."""
    form = PasswordForm()
    if not form.validate_on_submit():
        return _page(form)
    try:
        services().admins.change_password(
            current_user.id, form.current.data, form.new.data, actor()
        )
    except (InvalidRequest, RateLimited) as error:
        into_form(form, error)
        return _page(form)
    session.clear()
    flash(
        _("The password was changed and all sessions ended. Sign in with the new one."), "success"
    )
    return redirect(url_for("auth.login", next=url_for("admin.settings_security")), 303)


@bp.post("/settings/security/sessions/<id:session_id>/end")
def end_session(session_id: int) -> AnyResponse:
    """End one of the own sessions."""
    if services().admins.end_session(current_user.id, session_id, actor()):
        flash(_("The session was ended."), "success")
    return redirect(url_for("admin.settings_security"), 303)


@bp.route("/settings/security/two-factor", methods=["GET", "POST"])
def two_factor() -> AnyResponse | str:
    """Switch the second factor on, or off after the password."""
    if current_user.admin.totp_enabled:
        return _two_factor_off()
    form = TwoFactorForm()
    if form.validate_on_submit():
        try:
            services().admins.confirm_totp(current_user.id, form.code.data, actor())
        except InvalidRequest as error:
            into_form(form, error)
        else:
            flash(_("From now on a code is asked at every sign-in."), "success")
            return redirect(url_for("admin.settings_security"), 303)
        secret, address = current_user.admin.totp_secret, ""
    else:
        secret, address = services().admins.begin_totp(current_user.id)
    return render_template(
        "admin/settings/two_factor.html", form=form, secret=secret, address=address, off=False
    )


@bp.route("/settings/security/admins/new", methods=["GET", "POST"])
def admin_new() -> AnyResponse | str:
    """Add an account."""
    _only_owners()
    form = AdminForm()
    if form.validate_on_submit():
        try:
            services().admins.accounts.create(
                form.username.data, form.password.data, cast(Role, form.role.data), actor()
            )
        except InvalidRequest as error:
            into_form(form, error)
        else:
            flash(
                _("The account was added. A new password is chosen at the first login."), "success"
            )
            return redirect(url_for("admin.settings_security"), 303)
    return render_template("admin/settings/account.html", form=form, heading=_("Add an account"))


@bp.post("/settings/security/admins/<id:admin_id>")
def admin_change(admin_id: int) -> AnyResponse:
    """Change an account's role, switch it on or off, or take its second factor away."""
    _only_owners()
    found = _admin(admin_id)
    accounts, wanted = services().admins.accounts, request.form.get("to", "")
    try:
        if wanted in ROLES:
            accounts.update(admin_id, actor(), role=wanted)
        elif wanted in {"on", "off"}:
            accounts.update(admin_id, actor(), enabled=wanted == "on")
        elif wanted == "no_code":
            services().admins.disable_totp(admin_id, actor())
        else:
            abort(400)
    except Forbidden as error:
        flash(translated(error.message), "danger")
    else:
        flash(_("“%(name)s” was changed.", name=found.username), "success")
    return redirect(url_for("admin.settings_security"), 303)


@bp.route("/settings/security/admins/<id:admin_id>/password", methods=["GET", "POST"])
def admin_password(admin_id: int) -> AnyResponse | str:
    """Return somebody a temporary password."""
    _only_owners()
    found = _admin(admin_id)
    form = NewPasswordForm()
    if form.validate_on_submit():
        try:
            services().admins.set_password(admin_id, form.password.data, actor(), must_change=True)
        except InvalidRequest as error:
            into_form(form, error)
        else:
            flash(
                _("Set. %(name)s must choose a new one at login.", name=found.username), "success"
            )
            return redirect(url_for("admin.settings_security"), 303)
    heading = _("New password for %(name)s", name=found.username)
    return render_template("admin/settings/account.html", form=form, heading=heading)


@bp.route("/settings/security/admins/<id:admin_id>/delete", methods=["GET", "POST"])
def admin_delete(admin_id: int) -> AnyResponse | str:
    """Remove an account."""
    _only_owners()
    found = _admin(admin_id)
    question = confirm.Question(
        title=_("Delete the account “%(name)s”?", name=found.username),
        yes=_("Delete account"),
        back=url_for("admin.settings_security"),
        back_words=_("Security"),
        effects=[
            _("Its sessions end and its tokens stop working."),
            _("What it changed stays in the audit log."),
        ],
    )
    if not confirm.answered(question):
        return confirm.page(question)
    try:
        services().admins.accounts.delete(admin_id, actor())
    except Forbidden as error:
        flash(translated(error.message), "danger")
    else:
        flash(_("The account was deleted."), "success")
    return redirect(url_for("admin.settings_security"), 303)


@bp.route("/settings/security/tokens/new", methods=["GET", "POST"])
def token_new() -> AnyResponse | str:
    """Make a token of the admin API; it is shown once."""
    _only_owners()
    form = TokenForm()
    if form.validate_on_submit():
        try:
            token, secret = services().admins.tokens.issue(
                form.name.data, form.role.data, actor(), expires_at=form.expires_at()
            )
        except GatewayError as error:
            into_form(form, error)
        else:
            passed = hand_over(_TOKEN, secret, token.id)
            return redirect(url_for("admin.token_created", token=passed), 303)
    return render_template("admin/settings/account.html", form=form, heading=_("Make a token"))


@bp.get("/settings/security/tokens/created/<token>")
def token_created(token: str) -> AnyResponse | str:
    """Show a new token, once."""
    found = given(_TOKEN, token)
    if found is None:
        flash(_("A token is shown only once. Make another if it was not copied."), "warning")
        return redirect(url_for("admin.settings_security"), 303)
    return render_template("admin/settings/token.html", secret=found[1], base=request.url_root)


@bp.post("/settings/security/tokens/<id:token_id>/revoke")
def token_revoke(token_id: int) -> AnyResponse:
    """Make a token useless."""
    _only_owners()
    try:
        services().admins.tokens.revoke(token_id, actor())
    except NotFound:
        abort(404)
    flash(_("The token was revoked."), "success")
    return redirect(url_for("admin.settings_security"), 303)


def _page(form: PasswordForm) -> str:
    admins = services().admins
    owner = current_user.role == "owner"
    return render_template(
        "admin/settings/security.html",
        tab="security",
        tabs=tabs(),
        form=form,
        sessions=admins.sessions(current_user.id),
        here=current_user.login,
        accounts=admins.accounts.all() if owner else [],
        tokens=admins.tokens.all() if owner else [],
        roles=ROLES,
    )


def _two_factor_off() -> AnyResponse | str:
    form = ProofForm()
    if form.validate_on_submit():
        if services().admins.is_password_of(current_user.admin, form.current.data):
            services().admins.disable_totp(current_user.id, actor())
            flash(_("No code is asked any more."), "success")
            return redirect(url_for("admin.settings_security"), 303)
        form.current.errors = [_("The password is wrong.")]
    return render_template("admin/settings/two_factor.html", form=form, off=True)


def _only_owners() -> None:
    if current_user.role != "owner":
        abort(403)


def _admin(admin_id: int) -> Admin:
    try:
        return services().admins.accounts.get(admin_id)
    except NotFound:
        abort(404)
