"""Fields that several forms use, and fields made from schemas."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import orjson
from flask_bootstrap import SwitchField
from wtforms import (
    Field,
    Form,
    IntegerField,
    PasswordField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.widgets import CheckboxInput, ListWidget, NumberInput, TextInput

from gateway.core.chat import Json
from gateway.policy.overrides import rules
from gateway.schemas import convert
from gateway.web.template_filters import num
from gateway.web.words import _, _l, translated


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
    if problem.line:
        words = _("Line %(line)s: %(problem)s", line=problem.line, problem=words)
    return words if words.endswith(("?", "？")) else _("%(sentence)s.", sentence=words)


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


class WholeNumberField(IntegerField):  # type: ignore[misc]  # as above
    """A whole number; anything else that was typed is left to the service to refuse."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        text = valuelist[0].strip() if valuelist else ""
        self.data: int | str | None = text or None
        with suppress(ValueError):
            self.data = int(text)


class SecondsField(StringField):  # type: ignore[misc]  # as above
    """Milliseconds that are shown and typed as seconds; `low` and `high` are their bounds."""

    widget = NumberInput(step="any")

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed. Raises ValueError, which becomes the field's error."""
        try:
            typed_ms = Decimal(valuelist[0].strip()) * 1000 if valuelist else Decimal("NaN")
            is_good = typed_ms == int(typed_ms) and self.low <= typed_ms <= self.high
        except (ArithmeticError, ValueError):
            is_good = False
        if not is_good:
            bounds = {"low": num(self.low / 1000, 3), "high": num(self.high / 1000, 3)}
            raise ValueError(_("Must be a number from %(low)s to %(high)s.", **bounds))
        self.data = int(typed_ms)

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else f"{self.data / 1000:g}"


class CountField(WholeNumberField):
    """A whole number that is shown and may be typed with separators, or typed as 50k or 1.5M."""

    widget = TextInput()

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        super().process_formdata([_SEPARATORS.sub("", text) for text in valuelist])
        found = _SHORT.fullmatch(str(self.data))
        if found:
            self.data = round(float(found[1]) * (1_000 if found[2] in "kK" else 1_000_000))

    def _value(self) -> str:
        return num(self.data) if isinstance(self.data, int) else self.data or ""


_SEPARATORS = re.compile(r"[\s,'_]")
_SHORT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([kKmM])")
CHOICES: Mapping[str, str] = {
    "interactive": _l("High (interactive)"),
    "normal": _l("Normal"),
    "batch": _l("Low (batch)"),
    "emulate": _l("Emulate, ask twice if needed"),
    "best_effort": _l("Best effort: only ask the model"),
    "reject": _l("Refuse the request"),
    "two_pass": _l("Two passes"),
    "tools_only": _l("Tools only"),
    "both": _l("Send both"),
    "auto": _l("Automatic"),
    "always": _l("Always"),
    "never": _l("Never"),
    "off": _l("Off"),
    "upstream": _l("Ollama"),
    "gateway": _l("The gateway"),
    "comments_and_chunks": _l("Comments and empty chunks"),
    "comments": _l("Comments only"),
    "false": _l("Do not think"),
    "true": _l("Think"),
    "none": _l("Model default"),
    "inline": _l("Keep in place"),
    "hoist": _l("Move to the top"),
    "error": _l("Refuse the request"),
    "grow": _l("Grow the window"),
    "allow": _l("Let Ollama cut the prompt"),
    "webhook": _l("Webhook (JSON)"),
    "slack": _l("Slack, Mattermost, Rocket.Chat, Discord"),
    "email": _l("E-mail"),
    "en": "English",
    "zh": "简体中文",
}
_MARKS: Mapping[str, Mapping[str, object]] = {
    "name": {"autocomplete": "off"},
    "username": {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    "owner": {"autocomplete": "off"},
    "zone": {"list": "zones", "autocomplete": "off"},
    "display_timezone": {"list": "zones", "autocomplete": "off"},
    "public_url": {"placeholder": "https://ai.example.org", "inputmode": "url"},
    "url": {"placeholder": "http://localhost:11434", "inputmode": "url", "spellcheck": "false"},
    "tls_ca_file": {"autocomplete": "off", "spellcheck": "false"},
    "auth_header": {"autocomplete": "off"},
    "token": {"autocomplete": "off"},
    "display_name": {"autocomplete": "off", "spellcheck": "false"},
    "tags": {"rows": 1},
    "notes": {"rows": 2},
}
"""What browsers are told of a field, by its name."""


def schema_field(schema: type, name: str, **marks: object) -> Field:
    """Return the form's field for a field of a schema; its bounds are for the browser, as the
    service checks what is sent. `marks` are further attributes of the element."""
    kind = convert.fields_of(schema)[name]
    meta, base = convert.meta_of(kind), get_args(kind)[0]
    marks = {**_MARKS.get(name, {}), **marks}
    words = {
        "label": _l(meta.title or name),
        "description": _l(meta.description) if meta.description else "",
    }
    if base is bool:
        return SwitchField(**words)
    if base is int and (meta.extra or {}).get("unit") == "ms":
        return SecondsField(int(meta.ge or 0), int(meta.le or 0), **words, render_kw=marks)
    if base is int:
        bounds = {"min": meta.ge, "max": meta.le, "inputmode": "numeric"}
        return WholeNumberField(**words, render_kw={**bounds, **marks})
    if get_origin(base) is Literal:
        choices = chosen_from((value, CHOICES.get(value, value)) for value in get_args(base))
        (default,) = (one.default for one in dataclasses.fields(schema) if one.name == name)
        return SelectField(**words, choices=choices, default=default)
    if get_origin(base) is tuple:
        return LinesField(**words, render_kw={"rows": 2, **marks})
    if base is not str:
        code = {"rows": 4, "class": "code", "spellcheck": "false", "placeholder": "{}"}
        return JsonField(**words, render_kw={**code, **marks})
    if name in {"auth_header", "token"}:
        return PasswordField(**words, render_kw=marks)
    return (TextAreaField if name == "notes" else StringField)(**words, render_kw=marks)
