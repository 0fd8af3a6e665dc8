"""Security: the own account for everybody; accounts and tokens for owners."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from flask import abort, render_template, request, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SelectField, SubmitField

from gateway.admin import bp
from gateway.admin.answers import Question, asked, edited, sent
from gateway.admin.edits import Edited, EditForm
from gateway.admin.forms.fields import chosen_from, schema_field
from gateway.admin.forms.keys import LIFETIMES
from gateway.admin.keys.presenters import base_url
from gateway.core.admin import Admin
from gateway.errors import Forbidden
from gateway.schemas.account import AccountFields, TokenFields
from gateway.web.context import actor, services
from gateway.web.cookies import forget_account
from gateway.web.one_time_secret import given, hand_over
from gateway.web.passwords import known_password, new_password, repeated
from gateway.web.security import to_page
from gateway.web.words import _, _l, translated

_TOKEN = "new_token"
ROLE_WORDS = {
    "owner": _l("Owner: everything"),
    "admin": _l("Admin: all but accounts"),
    "viewer": _l("Viewer: may only look"),
}
ROLE_NAMES = {"owner": _l("Owner"), "admin": _l("Admin"), "viewer": _l("Viewer")}
_TOKEN_LIFETIMES = [(days, LIFETIMES[days]) for days in ("30", "90", "365", "never")]


class PasswordForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Change the own password."""

    elsewhere: ClassVar = {"password": "new"}

    current = known_password(_l("Current password"))
    new = new_password(_l("New password"))
    again = repeated("new")
    submit = SubmitField(_l("Change password"))


class AdminForm(FlaskForm):  # type: ignore[misc]  # as above
    """A new account."""

    username = schema_field(AccountFields, "username")
    role = SelectField(_l("Role"), choices=chosen_from(ROLE_WORDS.items()), default="admin")
    password = new_password(_l("First password"))
    submit = SubmitField(_l("Add account"))


class RoleForm(EditForm):
    """What an account may do."""

    role = SelectField(_l("Role"), choices=chosen_from(ROLE_WORDS.items()))
    submit = SubmitField(_l("Save"))


class NewPasswordForm(FlaskForm):  # type: ignore[misc]  # as above
    """A password for somebody who lost theirs; they must choose their own at the next login."""

    password = new_password(_l("Temporary password"))
    submit = SubmitField(_l("Set password"))


class TokenForm(FlaskForm):  # type: ignore[misc]  # as above
    """A token of the admin API."""

    name = schema_field(TokenFields, "name")
    role = SelectField(_l("Role"), choices=chosen_from(ROLE_WORDS.items()), default="viewer")
    lifetime = SelectField(_l("Expires"), choices=chosen_from(_TOKEN_LIFETIMES), default="90")
    submit = SubmitField(_l("Make token"))

    def expires_at(self) -> datetime | None:
        """Return when the token ends; None for never."""
        days = self.lifetime.data
        return None if days == "never" else datetime.now(UTC) + timedelta(days=int(days))


@bp.get("/settings/security")
def settings_security() -> str:
    """Show the own account, and for owners all others."""
    return _page(PasswordForm())


@bp.post("/settings/security/password")
def password() -> AnyResponse | str:
    """Change the own password; every login ends, this one goes on with a new cookie."""
    form, change = PasswordForm(), services().admins.change_password
    if sent(form, lambda: change(current_user.id, form.current.data, form.new.data, actor())):
        forget_account()
        words = _("The password was changed and all sessions ended. Sign in with the new one.")
        return to_page("auth.login", words, next=url_for("admin.settings_security"))
    return _page(form)


@bp.post("/settings/security/sessions/<id:session_id>/end")
def end_session(session_id: int) -> AnyResponse:
    """End one of the own sessions."""
    ended = services().admins.end_session(current_user.id, session_id, actor())
    return _done(_("The session was ended.") if ended else "")


@bp.route("/settings/security/admins/new", methods=["GET", "POST"])
def admin_new() -> AnyResponse | str:
    """Add an account."""
    _only_owners()
    form, create = AdminForm(), services().admins.accounts.create
    if sent(form, lambda: create(form.username.data, form.password.data, form.role.data, actor())):
        return _done(_("The account was added. A new password is chosen at the first login."))
    return render_template("admin/settings/account.html", form=form, heading=_("Add an account"))


@bp.route("/settings/security/admins/<id:admin_id>", methods=["GET", "POST"])
def admin_edit(admin_id: int) -> AnyResponse | str:
    """Change an account's role."""
    _only_owners()
    found = services().admins.accounts.get(admin_id)
    form, update = RoleForm(data={"role": found.role}), services().admins.accounts.update
    is_last_owner = services().admins.accounts.is_last_owner(found)
    if is_last_owner:
        form.role.choices = chosen_from([("owner", ROLE_WORDS["owner"])])
        form.role.description = _("There must be an owner who can sign in.")
    if edited(
        form,
        Edited("admin", admin_id, ("role", "enabled")),
        lambda: update(admin_id, {"role": form.role.data}, actor()),
    ):
        return _done(_("“%(name)s” was changed.", name=found.username))
    heading = _("Account “%(name)s”", name=found.username)
    return render_template("admin/settings/account.html", form=form, heading=heading)


@bp.post("/settings/security/admins/<id:admin_id>/state")
def admin_state(admin_id: int) -> AnyResponse:
    """Switch an account on or off, or take its second factor away."""
    _only_owners()
    accounts, wanted = services().admins.accounts, request.form.get("to", "")
    found = accounts.get(admin_id)
    try:
        if wanted in {"on", "off"}:
            accounts.update(admin_id, {"enabled": wanted == "on"}, actor())
        elif wanted == "no_code":
            services().admins.two_factor.disable(admin_id, actor())
        else:
            abort(400)
    except Forbidden as error:
        return _done(translated(error.message), "danger")
    return _done(_("“%(name)s” was changed.", name=found.username))


@bp.route("/settings/security/admins/<id:admin_id>/password", methods=["GET", "POST"])
def admin_password(admin_id: int) -> AnyResponse | str:
    """Return somebody a temporary password."""
    _only_owners()
    admins, form = services().admins, NewPasswordForm()
    found = admins.accounts.get(admin_id)
    if sent(
        form, lambda: admins.set_password(admin_id, form.password.data, actor(), must_change=True)
    ):
        return _done(_("Set. %(name)s must choose a new one at login.", name=found.username))
    heading = _("New password for %(name)s", name=found.username)
    return render_template("admin/settings/account.html", form=form, heading=heading)


@bp.route("/settings/security/admins/<id:admin_id>/delete", methods=["GET", "POST"])
def admin_delete(admin_id: int) -> AnyResponse | str:
    """Remove an account."""
    _only_owners()
    found = services().admins.accounts.get(admin_id)
    question = Question(
        _("Delete the account “%(name)s”?", name=found.username),
        _("Delete account"),
        url_for("admin.settings_security"),
        _("Security"),
        [
            _("Its sessions end and its tokens stop working."),
            _("What it changed stays in the audit log."),
        ],
    )
    if page := asked(question):
        return page
    try:
        services().admins.accounts.delete(admin_id, actor())
    except Forbidden as error:
        return _done(translated(error.message), "danger")
    return _done(_("The account was deleted."))


@bp.route("/settings/security/tokens/new", methods=["GET", "POST"])
def token_new() -> AnyResponse | str:
    """Make a token of the admin API; it is shown once."""
    _only_owners()
    form, issue = TokenForm(), services().admins.tokens.issue
    made = sent(
        form, lambda: issue(form.name.data, form.role.data, actor(), expires_at=form.expires_at())
    )
    if made is not None:
        token, secret = made
        return to_page("admin.token_created", token=hand_over(_TOKEN, secret, token.id))
    return render_template("admin/settings/account.html", form=form, heading=_("Make a token"))


@bp.get("/settings/security/tokens/created/<token>")
def token_created(token: str) -> AnyResponse | str:
    """Show a new token, once."""
    found = given(_TOKEN, token)
    if found is None:
        words = _("A token is shown only once. Make another if it was not copied.")
        return _done(words, "warning")
    return render_template("admin/settings/token.html", secret=found[1], base=base_url())


@bp.post("/settings/security/tokens/<id:token_id>/revoke")
def token_revoke(token_id: int) -> AnyResponse:
    """Make a token useless."""
    _only_owners()
    services().admins.tokens.revoke(token_id, actor())
    return _done(_("The token was revoked."))


def _done(words: str, kind: str = "success") -> AnyResponse:
    return to_page("admin.settings_security", words, kind)


def _page(form: PasswordForm) -> str:
    admins = services().admins
    owner = current_user.role == "owner"
    return render_template(
        "admin/settings/security.html",
        form=form,
        sessions=admins.sessions(current_user.id),
        here=current_user.login,
        accounts=admins.accounts.all() if owner else [],
        tokens=admins.tokens.all() if owner else [],
        role_words=ROLE_NAMES,
        account_state=_account_state,
        codes_left=admins.two_factor.codes_left(current_user.id),
    )


def _account_state(one: Admin) -> tuple[str, str]:
    """Return whether an account may be used: a kind of Bootstrap's and a word."""
    if not one.enabled:
        return "secondary", _("Disabled")
    if one.must_change_password:
        return "warning", _("Must choose a password")
    return "success", _("Active")


def _only_owners() -> None:
    if current_user.role != "owner":
        abort(403)
