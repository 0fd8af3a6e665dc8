"""Settings: how the gateway behaves, and what it is made of."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any
from zoneinfo import available_timezones

from flask import abort, render_template
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SubmitField

from gateway.admin import bp
from gateway.admin.answers import edited
from gateway.admin.edits import Edited, EditForm
from gateway.admin.forms.fields import schema_field
from gateway.schemas import convert
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, _l

TABS = ("general", "api", "privacy", "limits")
"""The tabs that are forms."""
_PACKAGES = ("Flask", "gunicorn", "gevent", "SQLAlchemy", "requests", "Bootstrap-Flask")


@bp.route("/settings", methods=["GET", "POST"])
@bp.route("/settings/<tab>", methods=["GET", "POST"])
def settings(tab: str = "general") -> AnyResponse | str:
    """Show and change one tab of settings."""
    if tab not in TABS:
        abort(404)
    behaviour = services().settings.behaviour()
    form = _form(tab, behaviour)
    edit = Edited("settings", "", tuple(names_of(tab)))
    change = services().settings.update
    if edited(form, edit, lambda: change(_changes(form, tab, behaviour), actor())):
        words = _("Saved. New calls follow it at once.")
        return to_page("admin.settings", words, tab=tab)
    return render_template(
        "admin/settings/form.html",
        tab=tab,
        form=form,
        changed=_changed(behaviour, tab),
        zones=sorted(available_timezones()),
        models=[model.display_name for model in services().catalog.models()],
    )


@bp.post("/settings/<tab>/reset")
def settings_reset(tab: str) -> AnyResponse:
    """Return the settings of a tab their defaults again."""
    if tab not in TABS:
        abort(404)
    names = _changed(services().settings.behaviour(), tab)
    services().settings.reset(names, actor())
    return to_page("admin.settings", _("The defaults hold again."), tab=tab)


@bp.get("/settings/observability")
def settings_observability() -> str:
    """Return what can be watched from outside."""
    return render_template("admin/settings/observability.html", config=services().config)


@bp.get("/settings/about")
def settings_about() -> str:
    """Show versions and licences."""
    versions = [(name, importlib.metadata.version(name)) for name in _PACKAGES]
    versions.insert(0, ("Python", platform.python_version()))
    return render_template("admin/settings/about.html", versions=versions, config=services().config)


def names_of(tab: str) -> list[str]:
    """Return the settings of a tab in their order."""
    kinds = convert.fields_of(RuntimeSettings)
    return [
        name for name, kind in kinds.items() if (convert.meta_of(kind).extra or {})["tab"] == tab
    ]


def _form(tab: str, settings: RuntimeSettings) -> EditForm:
    """Return the form of one tab, filled with the settings in force."""
    members: dict[str, Any] = {
        name: schema_field(RuntimeSettings, name, placeholder=str(DEFAULTS[name]))
        for name in names_of(tab)
    }
    members["submit"] = SubmitField(_l("Save"))
    form: EditForm = type("SettingsForm", (EditForm,), members)(obj=settings)
    return form


def _changes(form: FlaskForm, tab: str, settings: RuntimeSettings) -> dict[str, Any]:
    """Return the settings of a form that differ from those in force."""
    given = {name: form[name].data for name in names_of(tab)}
    return {name: value for name, value in given.items() if value != getattr(settings, name)}


def _changed(behaviour: RuntimeSettings, tab: str) -> list[str]:
    return [name for name in names_of(tab) if getattr(behaviour, name) != DEFAULTS[name]]
