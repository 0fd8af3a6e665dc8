"""The forms of signing in: login, second factor, a new password, the first steps."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField, SubmitField
from wtforms.validators import EqualTo, InputRequired, Length, Regexp

from gateway.web.passwords import Strong
from gateway.web.words import _l

NEVER_FILL = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_CODE = Regexp(
    r"^\s*\d{3}\s?\d{3}\s*$", message=_l("Six digits, as your authenticator shows them.")
)


class LoginForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Who you are."""

    username = StringField(
        _l("User name"),
        validators=[InputRequired(_l("Type your user name.")), Length(max=64)],
        render_kw={**NEVER_FILL, "autocomplete": "username", "autofocus": True},
    )
    password = PasswordField(
        _l("Password"),
        validators=[InputRequired(_l("Type your password.")), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )
    next = HiddenField()
    submit = SubmitField(_l("Sign in"))


class CodeForm(FlaskForm):  # type: ignore[misc]  # as above
    """The second factor."""

    code = StringField(
        _l("Code"),
        validators=[InputRequired(_l("Type the code.")), _CODE],
        description=_l("The six digits your authenticator app shows for this gateway."),
        render_kw={
            "autocomplete": "one-time-code",
            "inputmode": "numeric",
            "autofocus": True,
            "maxlength": 9,
        },
    )
    next = HiddenField()
    submit = SubmitField(_l("Continue"))


class NewPasswordForm(FlaskForm):  # type: ignore[misc]  # as above
    """A password to replace the default one; the old one was just typed at the login."""

    password = PasswordField(
        _l("New password"),
        validators=[InputRequired(_l("Choose a password.")), Strong()],
        description=_l("At least 10 characters. A few words in a row are easy to remember."),
        render_kw={"autocomplete": "new-password", "autofocus": True},
    )
    again = PasswordField(
        _l("The same again"),
        validators=[
            InputRequired(_l("Type the password a second time.")),
            EqualTo("password", _l("The two passwords differ.")),
        ],
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField(_l("Set password"))
