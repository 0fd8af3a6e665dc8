"""The forms of signing in: login, second factor, a new password, the first steps."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField, SubmitField
from wtforms.validators import InputRequired, Length

from gateway.web.passwords import code, known_password, new_password, repeated
from gateway.web.words import _l


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
    """The second factor."""

    code = code(
        _l("Code"),
        _l("The six digits your authenticator app shows for this gateway."),
        autofocus=True,
        maxlength=9,
    )
    next = HiddenField()
    submit = SubmitField(_l("Continue"))


class NewPasswordForm(FlaskForm):  # type: ignore[misc]  # as above
    """A password to replace the default one; the old one was just typed at the login."""

    password = new_password(_l("New password"), autofocus=True)
    again = repeated("password")
    submit = SubmitField(_l("Set password"))
