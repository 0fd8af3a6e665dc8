"""Settings: how the gateway behaves, and what it is made of."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

from flask import abort, render_template, request, url_for
from flask_wtf import FlaskForm
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.answers import edited
from gateway.admin.edits import Edited
from gateway.admin.forms.settings import (
    TABS,
    groups_of,
    in_words,
    names_of,
    search,
    settings_form,
    unit_of,
)
from gateway.calls.registry import ALIVE
from gateway.config import Settings
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.store.coordination import workers
from gateway.version import REPOSITORY
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.template_filters import NOTHING, ago, num, when
from gateway.web.words import _, ngettext

QUERY_LIMIT = 100
_PACKAGES = ("Flask", "gunicorn", "gevent", "SQLAlchemy", "requests", "Bootstrap-Flask")
_BUNDLED = (
    ("Bootstrap", "5.3 · MIT"),
    ("Bootstrap Icons", "MIT"),
    ("uPlot", "MIT"),
    ("marked", "MIT"),
    ("idiomorph", "0BSD"),
)
"""What pages load beside packages, with its licence."""
_SCRAPE = """\
scrape_configs:
  - job_name: ollama2openai
    authorization:
      credentials: METRICS_TOKEN
    static_configs:
      - targets: ["{target}"]"""


@bp.route("/settings", methods=["GET", "POST"])
@bp.route("/settings/<tab>", methods=["GET", "POST"])
def settings(tab: str = "general") -> AnyResponse | str:
    """Show and change one tab of settings, or with `q` show the settings that have these words."""
    if tab not in TABS:
        abort(404)
    behaviour = services().settings.behaviour()
    query = request.args.get("q", "").strip()[:QUERY_LIMIT]
    if query and request.method == "GET":
        return render_template("admin/settings/found.html", found=search(query, behaviour))
    models = [model.display_name for model in services().catalog.models()]
    form = settings_form(tab, behaviour, models)
    edit = Edited("settings", "", tuple(names_of(tab)))
    change = services().settings.update
    if edited(form, edit, lambda: change(_changes(form, tab, behaviour), actor())):
        words = _("Saved. New requests follow it at once.")
        return to_page("admin.settings", words, tab=tab)
    changed = {name: in_words(name, DEFAULTS[name]) for name in _changed(behaviour, tab)}
    return render_template(
        "admin/settings/form.html",
        tab=tab,
        form=form,
        groups=groups_of(tab),
        units={name: unit_of(name) for name in names_of(tab)},
        defaults_of_changed=changed,
        zones=sorted(available_timezones()) if "display_timezone" in form else (),
    )


@bp.post("/settings/<tab>/reset")
def settings_reset(tab: str) -> AnyResponse:
    """Return one setting of a tab (`name`), or all of them, their defaults again."""
    if tab not in TABS:
        abort(404)
    only = request.form.get("name")
    if only is not None and only not in names_of(tab):
        abort(400)
    names = _changed(services().settings.behaviour(), tab)
    services().settings.reset(names if only is None else [only], actor())
    words = ngettext("The default is back.", "The defaults are back.", 1 if only else len(names))
    return to_page("admin.settings", words, tab=tab, _anchor=only and f"setting-{only}")


@bp.get("/settings/observability")
def settings_observability() -> str:
    """Return what can be watched from outside."""
    config = services().config
    return render_template(
        "admin/settings/observability.html",
        config=config,
        scrape=_SCRAPE.format(target=request.host),
        facts_here=[
            ("/healthz", _("Liveness: 200 while the process runs")),
            ("/readyz", _("Readiness: 200 while requests can be served")),
            ("LOG_LEVEL", config.log_level),
            ("LOG_FORMAT", config.log_format),
        ],
    )


@bp.get("/settings/about")
def settings_about() -> str:
    """Show versions, uptime and where help is."""
    packages = [(name, importlib.metadata.version(name)) for name in _PACKAGES]
    return render_template(
        "admin/settings/about.html",
        versions=[("Python", platform.python_version()), *packages, *_BUNDLED],
        facts_here=_facts(services().config),
        links=[
            (url_for("reference.chapter"), _("API reference")),
            (url_for("api.openapi_document"), _("OpenAPI description")),
            (f"{REPOSITORY}/tree/main/docs", _("Documentation")),
            (f"{REPOSITORY}/blob/main/CHANGELOG.md", _("Changelog")),
            (REPOSITORY, _("Source code")),
            (f"{REPOSITORY}/issues", _("Report a problem")),
        ],
    )


def _facts(config: Settings) -> list[tuple[str, str]]:
    """Return what this gateway is set up with, name and words."""
    since = _running_since()
    began = Markup("{} · {}").format(when(since, "full"), ago(since)) if since else NOTHING
    return [
        (_("Running since"), began),
        (_("Licence"), "MIT"),
        (_("Database"), "SQLite" if config.uses_sqlite else "PostgreSQL"),
        (_("Limits shared by Redis"), _("yes") if config.redis_url else _("no")),
        (_("Workers"), num(config.web_concurrency)),
        (_("Data folder"), str(config.data_dir)),
        (_("Trusted proxies"), num(config.trusted_proxies)),
    ]


def _running_since() -> datetime | None:
    """Return when the oldest worker that is heard of began, None while none is."""
    alive = services().store.read(workers.list_alive, datetime.now(UTC) - ALIVE)
    return min((one.started_at for one in alive), default=None)


def _changes(form: FlaskForm, tab: str, settings: RuntimeSettings) -> dict[str, Any]:
    """Return the settings of a form that differ from those in force."""
    given = {name: form[name].data for name in names_of(tab)}
    return {name: value for name, value in given.items() if value != getattr(settings, name)}


def _changed(behaviour: RuntimeSettings, tab: str) -> list[str]:
    return [name for name in names_of(tab) if getattr(behaviour, name) != DEFAULTS[name]]
