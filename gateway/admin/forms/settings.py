"""The forms of the settings: one for each tab, its fields in groups, all made from the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from wtforms import SelectField, SubmitField

from gateway.admin.edits import EditForm
from gateway.admin.forms.fields import CHOICES, chosen_from, schema_field
from gateway.schemas import convert
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.web.template_filters import num
from gateway.web.words import _, _l

TABS: Mapping[str, str] = {
    "general": _l("General"),
    "api": _l("API behaviour"),
    "privacy": _l("Privacy and retention"),
    "limits": _l("Limits"),
}
"""The tabs of the settings that are forms, with their titles."""
_UNITS: Mapping[str, str] = {"ms": _l("s"), "s": _l("s"), "hours": _l("hours"), "days": _l("days")}
"""What stands behind a number; milliseconds are typed as seconds."""


def names_of(tab: str) -> list[str]:
    """Return the settings of a tab in their order."""
    return [name for name in DEFAULTS if _place(name)["tab"] == tab]


def groups_of(tab: str) -> dict[str, list[str]]:
    """Return the settings of a tab by group, both in their order."""
    groups: dict[str, list[str]] = {}
    for name in names_of(tab):
        groups.setdefault(_place(name)["group"], []).append(name)
    return groups


def unit_of(name: str) -> str:
    """Return what stands behind the number of a setting, "" where it is a count or no number."""
    unit = _place(name)["unit"]
    return str(_UNITS.get(unit, unit))


def in_words(name: str, value: Any) -> str:
    """Return the value of a setting as its field shows it: a choice in words, a number with its
    unit."""
    if isinstance(value, bool):
        return _("On") if value else _("Off")
    if isinstance(value, int):
        is_ms = _place(name)["unit"] == "ms"
        return f"{num(value / 1000 if is_ms else value, 3)} {unit_of(name)}".strip()
    return str(CHOICES.get(value, value)) or _("none")


def settings_form(tab: str, settings: RuntimeSettings, models: Iterable[str]) -> EditForm:
    """Return the form of one tab, filled with the settings in force. `models` are the names that
    the fallback model may have."""
    members: dict[str, Any] = {name: schema_field(RuntimeSettings, name) for name in names_of(tab)}
    if "fallback_model" in members:
        members["fallback_model"] = _fallback_field(settings.fallback_model, models)
    members["submit"] = SubmitField(_l("Save"))
    form: EditForm = type("SettingsForm", (EditForm,), members)(obj=settings)
    return form


@dataclass(frozen=True, slots=True)
class Found:
    """A setting that was searched for: its name, tab, words, and value in words."""

    name: str
    tab: str
    title: str
    description: str
    value: str
    is_changed: bool


def search(query: str, settings: RuntimeSettings) -> list[Found]:
    """Return the settings in whose name, words or value every word of a query stands."""
    words = query.casefold().split()
    found = [_found(name, getattr(settings, name)) for name in DEFAULTS]
    return [one for one in found if all(word in _text_of(one) for word in words)]


def _found(name: str, value: Any) -> Found:
    meta, tab = _meta(name), _place(name)["tab"]
    description = _(meta.description) if meta.description else ""
    shown = in_words(name, value)
    return Found(name, tab, _(meta.title or name), description, shown, value != DEFAULTS[name])


def _text_of(one: Found) -> str:
    meta = _meta(one.name)
    texts = (one.name, one.title, one.description, one.value, meta.title, meta.description or "")
    return " ".join(map(str, texts)).casefold()


def _fallback_field(current: str, models: Iterable[str]) -> SelectField:
    meta = _meta("fallback_model")
    names = sorted({*models, *filter(None, [current])}, key=str.casefold)
    none = [("", _l("None: the request fails"))]
    return SelectField(
        _l(str(meta.title)),
        description=_l(str(meta.description)),
        choices=chosen_from([*none, *((name, name) for name in names)]),
    )


def _meta(name: str) -> msgspec.Meta:
    return convert.meta_of(convert.fields_of(RuntimeSettings)[name])


def _place(name: str) -> dict[str, Any]:
    return _meta(name).extra or {}
