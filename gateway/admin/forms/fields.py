"""Fields and checks that several forms use."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from flask_babel import gettext as _
from wtforms import Field, Form, SelectMultipleField, TextAreaField
from wtforms.validators import ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from gateway.core.chat import Json
from gateway.core.periods import is_zone
from gateway.errors import InvalidRequest
from gateway.policy import overrides


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
    """A JSON object as text; empty text is the empty object. Errors name line and column."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed; the text is kept, right or wrong."""
        self.typed = valuelist[0] if valuelist else ""
        self.data = {}
        if self.typed.strip():
            self.data = parse_object(self.typed)

    def _value(self) -> str:
        if getattr(self, "typed", None) is not None:
            return str(self.typed)
        if not self.data:
            return ""
        return orjson.dumps(dict(self.data), option=orjson.OPT_INDENT_2).decode()


def parse_object(text: str) -> dict[str, Json]:
    """Give the JSON object in `text`. Raises ValueError with a sentence that names the place."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(
            _(
                "Line %(line)s, column %(column)s: %(problem)s.",
                line=error.lineno,
                column=error.colno,
                problem=error.msg,
            )
        ) from error
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


class Override:
    """A JSON object in override words: Ollama's options and the gateway's own."""

    def __call__(self, form: Form, field: Field) -> None:
        """Check the field. Raises ValidationError with one sentence a problem."""
        if not field.data:
            return
        problems = override_problems(field.data, getattr(field, "typed", "") or "")
        if problems:
            raise ValidationError(" ".join(problems))


def override_problems(value: Mapping[str, Json], text: str) -> list[str]:
    """Give what is wrong with an override, each with the line it stands on in `text`."""
    try:
        overrides.validate(value)
    except InvalidRequest as error:
        found: Iterable[Any] = getattr(error, "problems", None) or [(error.param, error.message)]
        return [_placed(text, path, message) for path, message in found]
    return []


def line_of(text: str, path: str | None) -> int | None:
    """Give the line on which the last name of a dotted path stands, counted from 1."""
    name = (path or "").rpartition(".")[2].partition("[")[0]
    needle = f'"{name}"'
    at = text.find(needle) if name else -1
    return text.count("\n", 0, at) + 1 if at >= 0 else None


def _placed(text: str, path: str | None, message: str) -> str:
    line = line_of(text, path)
    if line is None:
        return message
    return _("Line %(line)s: %(problem)s", line=line, problem=message)
