"""The forms of a model: its names, its parameters, its copy, and pulling a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask_wtf import FlaskForm
from wtforms import StringField, SubmitField
from wtforms.validators import DataRequired, Length, ValidationError

from gateway.admin.edits import EditForm
from gateway.admin.forms.fields import (
    CheckList,
    LinesField,
    OverrideField,
    parse_object,
    schema_field,
)
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.core.options import KEYS, Option
from gateway.policy.overrides.rules import check_value
from gateway.schemas.model import ModelFields
from gateway.web.words import _, _l, translated

GROUPS: Mapping[str, str] = {
    "common": _l("Common"),
    "runner": _l("Memory and context"),
    "sampling": _l("Sampling"),
    "length": _l("Length and stop"),
    "answer": _l("Thinking and format"),
    "prompt": _l("Prompt"),
    "limits": _l("Limits"),
    "legacy": _l("Older servers"),
}
_COMMON = ("num_ctx", "think", "keep_alive", "temperature")


class PullForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """A model to fetch from a registry, and where to."""

    model = StringField(
        _l("Model"),
        validators=[DataRequired(_l("Type a model's name.")), Length(max=256)],
        description=_l(
            "As in Ollama's library, such as llama3.2 or qwen3:8b, or hf.co/user/model."
        ),
        render_kw={"placeholder": "llama3.2", "autocomplete": "off", "spellcheck": "false"},
    )
    servers = CheckList(_l("On these servers"), coerce=int)
    submit = SubmitField(_l("Pull"))

    def validate_servers(self, field: Any) -> None:
        """A model must go somewhere."""
        if not field.data:
            raise ValidationError(_("Choose at least one server."))


class NamesForm(EditForm):
    """How clients may call a model."""

    display_name = schema_field(ModelFields, "display_name")
    aliases = LinesField(
        _l("Aliases"),
        description=_l(
            "One a line. A * stands for anything: claude-*-haiku* lets a coding agent find this "
            "model under every such name."
        ),
        render_kw={"rows": 4, "placeholder": "gpt-4o-mini\nclaude-*-haiku*", "spellcheck": "false"},
    )
    fallbacks = CheckList(
        _l("Fallback models"),
        coerce=int,
        description=_l("They answer when no server can run this model."),
    )
    notes = schema_field(ModelFields, "notes")
    submit = SubmitField(_l("Save names"))


class CopyForm(FlaskForm):  # type: ignore[misc]  # as above
    """A second tag for the same model."""

    destination = StringField(
        _l("New tag in Ollama"),
        validators=[DataRequired(_l("Type the new tag.")), Length(max=256)],
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )
    submit = SubmitField(_l("Copy"))


class OverrideForm(EditForm):
    """A model's parameters as JSON; beside it are the same as fields."""

    override = OverrideField(
        _l("JSON (Ollama option names)"),
        render_kw={"rows": 14, "class": "code", "spellcheck": "false", "placeholder": "{\n}"},
    )
    note = StringField(
        _l("Comment"),
        validators=[Length(max=200)],
        description=_l("Optional, for the history."),
        render_kw={"autocomplete": "off"},
    )
    submit = SubmitField(_l("Save parameters"))


def fields_of(model: Model) -> dict[str, list[tuple[Option, str]]]:
    """Return the parameters by group, each with the text its field starts with; groups without
    any are left out."""
    grouped: dict[str, list[tuple[Option, str]]] = {name: [] for name in GROUPS}
    for rule in _rules_of(model):
        group = "common" if rule.name in _COMMON else rule.group
        grouped[group].append((rule, as_text(rule, model.override.get(rule.name))))
    grouped["common"].sort(key=lambda field: _COMMON.index(field[0].name))
    return {name: fields for name, fields in grouped.items() if fields}


def _rules_of(model: Model) -> list[Option]:
    """Return the options that mean something for a model: one that only embeds samples nothing."""
    if model.can("embedding") and not model.can("completion"):
        return [rule for rule in KEYS.values() if rule.embeddings]
    return list(KEYS.values())


def as_text(rule: Option, value: Json) -> str:
    """Return a value as its field shows it."""
    if value is None:
        return ""
    if rule.kind == "stop":
        return "\n".join(value) if isinstance(value, list) else str(value)
    if rule.kind == "steps" and isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return str(value)


def read_fields(given: Mapping[str, str], model: Model) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the override that the form's fields say, and what is wrong by field.

    What has no field (`options` of newer servers, `force`) stays as it was.
    """
    rules = {rule.name: rule for rule in _rules_of(model)}
    override = {name: value for name, value in model.override.items() if name not in rules}
    wrong: dict[str, str] = {}
    for name, rule in rules.items():
        text = given.get(f"p-{name}", "").replace("\r\n", "\n")
        if not text.strip():
            continue
        try:
            override[name] = check_value(rule, _value(rule, text))
        except ValueError as error:
            wrong[name] = _("Must be %(what)s.", what=translated(error.args[0]))
    return override, wrong


def _value(rule: Option, text: str) -> Json:
    if rule.kind == "stop":
        return [line for line in text.split("\n") if line]
    if rule.kind == "format" and text.strip() != "json":
        return parse_object(text)
    return text if rule.name == "system" else text.strip()
