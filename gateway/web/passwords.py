"""The fields of passwords and codes; what is wrong with a new password, the service says."""

from __future__ import annotations

from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from gateway.web.words import _l


def known_password(label: str) -> PasswordField:
    """Return the field for the password somebody has."""
    return PasswordField(
        label,
        validators=[InputRequired(_l("Type your password.")), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )


def new_password(label: str, **marks: object) -> PasswordField:
    """Return the field for a new password; `marks` are further attributes of the element."""
    return PasswordField(
        label,
        validators=[InputRequired(_l("Choose a password."))],
        description=_l("At least 10 characters. A few words in a row are easy to remember."),
        render_kw={"autocomplete": "new-password", **marks},
    )


def repeated(field: str) -> PasswordField:
    """Return the field for the same password as in `field` again."""
    return PasswordField(
        _l("Confirm password"),
        validators=[
            InputRequired(_l("Type the password a second time.")),
            EqualTo(field, _l("The two passwords differ.")),
        ],
        render_kw={"autocomplete": "new-password"},
    )


def code_field(label: str, description: str = "", **marks: object) -> StringField:
    """Return the field for a code of an authenticator, or where `marks` do not ask for digits for a
    recovery code as well; `marks` are further attributes of the element."""
    return StringField(
        label,
        validators=[InputRequired(_l("Type the code.")), Length(max=40)],
        description=description,
        render_kw={"autocomplete": "one-time-code", "spellcheck": "false", **marks},
    )
