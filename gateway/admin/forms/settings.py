"""The settings as forms, one a tab, made from the fields of `schemas.settings.RuntimeSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_wtf import FlaskForm
from wtforms import SubmitField

from gateway.admin.forms.fields import schema_field
from gateway.schemas import convert
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.web.words import _l

TABS: Mapping[str, str] = {
    "general": _l("General"),
    "api": _l("API behaviour"),
    "privacy": _l("Privacy and retention"),
    "limits": _l("Limits"),
}
HEADINGS: Mapping[str, str] = {
    "reasoning_field": _l("Thinking"),
    "strip_attribution_header": _l("Coding agents"),
    "forced_tool_choice": _l("Tools and formats"),
    "completions_raw": _l("Completions"),
    "usage_on_finish_chunk": _l("Streams"),
    "allow_remote_images": _l("Images"),
    "allow_client_keep_alive": _l("What clients may set"),
    "responses_store": _l("Responses API"),
    "cors_allow_origins": _l("Web pages"),
    "request_timeout_ms": _l("Time limits"),
    "default_key_concurrency": _l("Queue"),
    "max_body_mb": _l("Size of a request"),
    "log_bodies": _l("Texts"),
    "usage_retention_days": _l("Records"),
}
"""What stands above a setting: the beginning of a group, up to the next one."""


def names_of(tab: str) -> list[str]:
    """Return the settings of a tab in their order."""
    kinds = convert.fields_of(RuntimeSettings)
    return [
        name for name, kind in kinds.items() if (convert.meta_of(kind).extra or {})["tab"] == tab
    ]


def settings_form(tab: str, settings: RuntimeSettings) -> FlaskForm:
    """Return the form of one tab, filled with the settings in force."""
    members: dict[str, Any] = {
        name: schema_field(RuntimeSettings, name, placeholder=str(DEFAULTS[name]))
        for name in names_of(tab)
    }
    members["submit"] = SubmitField(_l("Save"))
    return type("SettingsForm", (FlaskForm,), members)(obj=settings)


def changes(form: FlaskForm, tab: str, settings: RuntimeSettings) -> dict[str, Any]:
    """Return the settings of a form that differ from those in force."""
    given = {name: form[name].data for name in names_of(tab)}
    return {name: value for name, value in given.items() if value != getattr(settings, name)}
