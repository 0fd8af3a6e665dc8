"""Settings: how the gateway behaves, the audit log, and what it is made of."""

from __future__ import annotations

import importlib.metadata
import platform
from zoneinfo import available_timezones

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.forms.errors import into_form
from gateway.admin.forms.settings import HEADINGS, TABS, changes, names_of, settings_form
from gateway.admin.usage.query import read_id
from gateway.errors import InvalidRequest
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.store import audit
from gateway.web.context import actor, services
from gateway.web.words import _

LOG_LIMIT = 50
_PACKAGES = ("Flask", "gunicorn", "gevent", "SQLAlchemy", "requests", "Bootstrap-Flask")


@bp.route("/settings", methods=["GET", "POST"])
@bp.route("/settings/<tab>", methods=["GET", "POST"])
def settings(tab: str = "general") -> AnyResponse | str:
    """Show and change one tab of settings."""
    if tab not in TABS:
        abort(404)
    behaviour = services().settings.behaviour()
    form = settings_form(tab, behaviour)
    if form.validate_on_submit():
        try:
            services().settings.update(changes(form, tab, behaviour), actor())
        except InvalidRequest as error:
            into_form(form, error)
        else:
            flash(_("Saved. New calls follow it at once."), "success")
            return redirect(url_for("admin.settings", tab=tab), 303)
    return render_template(
        "admin/settings/form.html",
        form=form,
        tab=tab,
        tabs=tabs(),
        changed=_changed(behaviour, tab),
        headings=HEADINGS,
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
    flash(_("The defaults hold again."), "success")
    return redirect(url_for("admin.settings", tab=tab), 303)


@bp.get("/settings/audit")
def settings_audit() -> str:
    """Show who changed what."""
    older = read_id(request.args.get("before", ""))
    filters = {name: request.args.get(name, "")[:256] for name in ("actor_name", "action")}
    kind = request.args.get("kind", "")[:64]
    entries = services().store.read_slow(
        audit.page, before_id=older, limit=LOG_LIMIT + 1, object_kind=kind, **filters
    )
    return render_template(
        "admin/settings/audit.html",
        tab="audit",
        tabs=tabs(),
        entries=entries[:LOG_LIMIT],
        older=entries[LOG_LIMIT - 1].id if len(entries) > LOG_LIMIT else None,
        is_first=older is None,
        kind=kind,
        kinds=("key", "model", "server", "settings", "admin", "admin_token", "call"),
        **filters,
    )


@bp.get("/settings/observability")
def settings_observability() -> str:
    """Return what can be watched from outside."""
    return render_template(
        "admin/settings/observability.html",
        tab="observability",
        tabs=tabs(),
        config=services().config,
        base=request.url_root.rstrip("/"),
    )


@bp.get("/settings/about")
def settings_about() -> str:
    """Show versions and licences."""
    versions = [(name, importlib.metadata.version(name)) for name in _PACKAGES]
    config = services().config
    return render_template(
        "admin/settings/about.html",
        tab="about",
        tabs=tabs(),
        versions=[("Python", platform.python_version()), *versions],
        store="SQLite" if config.uses_sqlite else "PostgreSQL",
        shared=bool(config.redis_url),
        config=config,
    )


def tabs() -> list[tuple[str, str, str]]:
    """Return (name, address, words) of every tab, in their order."""
    forms = [
        (name, url_for("admin.settings", tab=name), str(words)) for name, words in TABS.items()
    ]
    security = ("security", url_for("admin.settings_security"), _("Security"))
    return [
        forms[0],
        security,
        *forms[1:],
        ("observability", url_for("admin.settings_observability"), _("Observability")),
        ("audit", url_for("admin.settings_audit"), _("Audit log")),
        ("backup", url_for("admin.settings_backup"), _("Backup")),
        ("about", url_for("admin.settings_about"), _("About")),
    ]


def _changed(behaviour: RuntimeSettings, tab: str) -> list[str]:
    return [name for name in names_of(tab) if getattr(behaviour, name) != DEFAULTS[name]]
