"""What is wrong with a new password, in the visitor's language."""

from __future__ import annotations

from flask_login import current_user
from wtforms import Field, Form
from wtforms.validators import ValidationError

from gateway.core.passwords import MAX_LENGTH, MIN_LENGTH, problem
from gateway.web.words import _


class Strong:
    """A new password must be long enough and no first guess; `name_field` holds the user name."""

    def __init__(self, name_field: str = "") -> None:
        self._name_field = name_field

    def __call__(self, form: Form, field: Field) -> None:
        """Check the field. Raises ValidationError."""
        words = weakness(field.data or "", self._name(form))
        if words:
            raise ValidationError(words)

    def _name(self, form: Form) -> str:
        if self._name_field:
            return str(form[self._name_field].data or "")
        return str(getattr(current_user, "username", ""))


def weakness(password: str, username: str) -> str:
    """Return a sentence about what is wrong, or ""."""
    if len(password) < MIN_LENGTH:
        return str(_("Use at least %(count)s characters.", count=MIN_LENGTH))
    if len(password) > MAX_LENGTH:
        return str(_("Use at most %(count)s characters.", count=MAX_LENGTH))
    found = problem(password, username)
    if not found:
        return ""
    if "user name" in found:
        return str(_("The password must not be the user name."))
    return str(_("This is one of the first passwords that would be guessed."))
