"""Fields and checks that several forms use."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

import orjson
from wtforms import Field, Form, SelectChoice, SelectMultipleField, TextAreaField
from wtforms.validators import ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from gateway.core.chat import Json
from gateway.core.periods import is_zone
from gateway.policy.overrides import rules
from gateway.web.service_messages import translated
from gateway.web.words import _


def chosen_from(pairs: Iterable[tuple[Any, str]]) -> list[SelectChoice]:
    """Return the choices of a field from (value, words) pairs."""
    return [SelectChoice(value, words) for value, words in pairs]


class LinesField(TextAreaField):  # type: ignore[misc]  # WTForms ships no types
    """A tuple of texts, one a line (commas count as well); empty lines do not."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        text = valuelist[0] if valuelist else ""
        parts = [part.strip() for line in text.splitlines() for part in line.split(",")]
        self.data = tuple(dict.fromkeys(part for part in parts if part))

    def _value(self) -> str:
        return "\n".join(self.data or ())


class JsonField(TextAreaField):  # type: ignore[misc]  # as above
    """An override as text: JSON in Ollama's words. Every problem is told with its line.

    What was typed is kept, right or wrong; `data` is the checked override.
    """

    force = False
    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed. Raises ValueError, which becomes the field's error."""
        self.typed = valuelist[0] if valuelist else ""
        self.data = {}
        try:
            self.data = rules.validate_text(self.typed, force=self.force)
        except rules.InvalidOverride as error:
            self.problems = error.problems
            raise ValueError(" ".join(problem_words(one) for one in error.problems[:8])) from error

    def _value(self) -> str:
        if getattr(self, "typed", None) is not None:
            return str(self.typed)
        if not self.data:
            return ""
        return orjson.dumps(dict(self.data), option=orjson.OPT_INDENT_2).decode()


class OverrideField(JsonField):
    """A model's override, which may also hold `force`."""

    force = True


def problem_words(problem: rules.Problem) -> str:
    """Return a problem as a sentence with its line."""
    message = translated(problem.message)
    words = f"{problem.path}: {message}" if problem.path else message
    if not problem.line:
        return f"{words}."
    return str(_("Line %(line)s: %(problem)s.", line=problem.line, problem=words))


def parse_object(text: str) -> dict[str, Json]:
    """Return the JSON object in `text`. Raises ValueError with a sentence that names the place."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = {"line": error.lineno, "column": error.colno, "problem": error.msg}
        words = _("Line %(line)s, column %(column)s: %(problem)s.", **place)
        raise ValueError(words) from error
    if not isinstance(value, dict):
        raise ValueError(_("This must be a JSON object: { … }."))
    return value


class CheckList(SelectMultipleField):  # type: ignore[misc]  # as above
    """Several of a list, as checkboxes."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()

    def pre_validate(self, form: Form) -> None:
        """Accept values that left the list meanwhile (a model that vanished): they stay bound."""


class Networks:
    """Each line is an address or a network in CIDR form."""

    def __call__(self, form: Form, field: Field) -> None:
        """Check the field. Raises ValidationError."""
        for part in field.data or ():
            try:
                ipaddress.ip_network(part, strict=False)
            except ValueError as error:
                raise ValidationError(
                    _(
                        "%(part)s is no address. Write one like 192.168.1.20 or 10.0.0.0/8.",
                        part=part[:60],
                    )
                ) from error


class Zone:
    """A time zone this machine knows."""

    def __call__(self, form: Form, field: Field) -> None:
        """Check the field. Raises ValidationError."""
        if not is_zone((field.data or "").strip()):
            raise ValidationError(_("Name a time zone such as Europe/Berlin or UTC."))
