"""The forms of accounts: own password, second factor, other admins, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, EqualTo, InputRequired, Length, Regexp

from gateway.admin.forms.fields import chosen_from
from gateway.web.passwords import Strong
from gateway.web.words import _l

ROLE_WORDS = {
    "owner": _l("Owner: everything, also accounts"),
    "admin": _l("Admin: everything but accounts"),
    "viewer": _l("Viewer: may look at everything"),
}
LIFETIMES = {"30": _l("30 days"), "90": _l("90 days"), "365": _l("a year"), "0": _l("for ever")}
_NAME = Regexp(
    r"^\s*[A-Za-z0-9][A-Za-z0-9._@\-]{0,63}\s*$",
    message=_l("1 to 64 letters, digits or . _ @ -"),
)


def _password(label: str, name_field: str = "") -> PasswordField:
    return PasswordField(
        label,
        validators=[InputRequired(_l("Choose a password.")), Strong(name_field)],
        description=_l("At least 10 characters. A few words in a row are easy to remember."),
        render_kw={"autocomplete": "new-password"},
    )


class PasswordForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Change the own password."""

    current = PasswordField(
        _l("Current password"),
        validators=[InputRequired(_l("Type your current password.")), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )
    new = _password(_l("New password"))
    again = PasswordField(
        _l("The same again"),
        validators=[
            InputRequired(_l("Type the password a second time.")),
            EqualTo("new", _l("The two passwords differ.")),
        ],
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField(_l("Change password"))


class TwoFactorForm(FlaskForm):  # type: ignore[misc]  # as above
    """Prove that the authenticator works."""

    code = StringField(
        _l("Code of your authenticator"),
        validators=[InputRequired(_l("Type the code.")), Length(max=9)],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )
    submit = SubmitField(_l("Switch on"))


class ProofForm(FlaskForm):  # type: ignore[misc]  # as above
    """The own password once more, before something that weakens the account."""

    current = PasswordField(
        _l("Your password"),
        validators=[InputRequired(_l("Type your password.")), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )
    submit = SubmitField(_l("Switch off"))


class AdminForm(FlaskForm):  # type: ignore[misc]  # as above
    """A new account."""

    username = StringField(
        _l("User name"),
        validators=[DataRequired(_l("Type a user name.")), _NAME],
        render_kw={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )
    role = SelectField(_l("Role"), choices=chosen_from(ROLE_WORDS.items()), default="admin")
    password = _password(_l("First password"), "username")
    submit = SubmitField(_l("Add account"))


class NewPasswordForm(FlaskForm):  # type: ignore[misc]  # as above
    """A password for somebody who lost theirs; they must choose their own at the next login."""

    password = _password(_l("Temporary password"))
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

    def expires_at(self) -> Any:
        """Return when the token ends; None for never."""
        days = int(self.lifetime.data)
        return datetime.now(UTC) + timedelta(days=days) if days else None
