"""The forms of accounts: own password, second factor, other admins, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from gateway.admin.forms.fields import chosen_from
from gateway.web.passwords import code, known_password, new_password, repeated
from gateway.web.words import _l

ROLE_WORDS = {
    "owner": _l("Owner: everything, also accounts"),
    "admin": _l("Admin: everything but accounts"),
    "viewer": _l("Viewer: may look at everything"),
}
LIFETIMES = {"30": _l("30 days"), "90": _l("90 days"), "365": _l("a year"), "0": _l("for ever")}


class PasswordForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Change the own password."""

    elsewhere: ClassVar = {"password": "new"}

    current = known_password(_l("Current password"))
    new = new_password(_l("New password"))
    again = repeated("new")
    submit = SubmitField(_l("Change password"))


class TwoFactorForm(FlaskForm):  # type: ignore[misc]  # as above
    """Prove that the authenticator works."""

    code = code(_l("Code of your authenticator"))
    submit = SubmitField(_l("Switch on"))


class ProofForm(FlaskForm):  # type: ignore[misc]  # as above
    """The own password once more, before something that weakens the account."""

    current = known_password(_l("Your password"))
    submit = SubmitField(_l("Switch off"))


class AdminForm(FlaskForm):  # type: ignore[misc]  # as above
    """A new account."""

    username = StringField(
        _l("User name"),
        validators=[DataRequired(_l("Type a user name."))],
        render_kw={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )
    role = SelectField(_l("Role"), choices=chosen_from(ROLE_WORDS.items()), default="admin")
    password = new_password(_l("First password"))
    submit = SubmitField(_l("Add account"))


class NewPasswordForm(FlaskForm):  # type: ignore[misc]  # as above
    """A password for somebody who lost theirs; they must choose their own at the next login."""

    password = new_password(_l("Temporary password"))
    submit = SubmitField(_l("Set password"))


class TokenForm(FlaskForm):  # type: ignore[misc]  # as above
    """A token of the admin API."""

    name = StringField(
        _l("Name"),
        validators=[DataRequired(_l("Give the token a name.")), Length(max=100)],
        render_kw={"autocomplete": "off"},
    )
    role = SelectField(_l("Role"), choices=chosen_from(ROLE_WORDS.items()), default="viewer")
    lifetime = SelectField(_l("Valid for"), choices=chosen_from(LIFETIMES.items()), default="90")
    submit = SubmitField(_l("Make token"))

    def expires_at(self) -> datetime | None:
        """Return when the token ends; None for never."""
        days = int(self.lifetime.data)
        return datetime.now(UTC) + timedelta(days=days) if days else None
