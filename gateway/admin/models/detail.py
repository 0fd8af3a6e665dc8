"""One model: what it is, how it may be called, its parameters with their history, its usage."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flask import abort, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.answers import Question, asked, edited, sent
from gateway.admin.edits import Edited, is_changed_meanwhile
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.models import (
    GROUPS,
    CopyForm,
    NamesForm,
    OverrideForm,
    fields_of,
    read_fields,
)
from gateway.admin.models.list import job_rows, report
from gateway.admin.models.memory import need_words
from gateway.admin.models.rows import abilities
from gateway.admin.models.state import ModelState, shown_state
from gateway.admin.usage import charts
from gateway.core.catalog import Model, OverrideVersion
from gateway.core.chat import Json
from gateway.core.requests import Filter
from gateway.policy import access
from gateway.policy.overrides.rules import InvalidOverride
from gateway.store import catalog, key_queries
from gateway.store.usage import request_queries, usage_queries
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.template_filters import num, pretty
from gateway.web.words import _, ngettext, translated

DAYS = 30
MOST_KEYS = 200
"""So many are asked whether they may use a model."""
SHOWN_KEYS = 12


@bp.get("/models/<id:model_id>")
def model(model_id: int) -> str:
    """Show what a model is."""
    found = services().catalog.model(model_id)
    return _page(
        found,
        "overview",
        details=services().store.read(catalog.details, model_id),
        jobs=job_rows(services().pulls.current(), found.name),
        abilities=abilities(found),
        need=need_words(found),
        notes=services().store.read(catalog.fields, model_id).notes,
        **access_of(found),
    )


@bp.route("/models/<id:model_id>/names", methods=["GET", "POST"])
def model_names(model_id: int) -> AnyResponse | str:
    """Change how clients call a model."""
    found = services().catalog.model(model_id)
    form = NamesForm(
        data={
            "display_name": found.display_name,
            "aliases": tuple(alias.name for alias in found.aliases),
            "fallbacks": list(found.fallbacks),
            "notes": services().store.read(catalog.fields, model_id).notes,
        }
    )
    others = services().catalog.models()
    form.fallbacks.choices = chosen_from((m.id, m.display_name) for m in others if m.id != model_id)
    names = ("display_name", "aliases", "fallbacks", "notes")
    change = services().models.update
    if edited(
        form,
        Edited("model", model_id, names),
        lambda: change(model_id, _name_changes(found, form), actor()),
    ):
        return to_page("admin.model_names", _("The names were saved."), model_id=model_id)
    return _page(found, "names", form=form)


@bp.route("/models/<id:model_id>/parameters", methods=["GET", "POST"])
def model_parameters(model_id: int) -> AnyResponse | str:
    """Change the parameters that hold for every call of a model."""
    found = services().catalog.model(model_id)
    form = OverrideForm(data={"override": dict(found.override)})
    override, wrong = _given(form, found) if request.method == "POST" else (None, {})
    is_outdated = is_changed_meanwhile(form, Edited("model", model_id, ("override",)))
    if override is not None and not wrong and not is_outdated:
        note = (form.note.data or "").strip()
        services().models.update(model_id, {"override": override}, actor(), note)
        words = _("The parameters apply from the next request on.")
        return to_page("admin.model_parameters", words, model_id=model_id)
    return _page(
        found,
        "parameters",
        form=form,
        wrong=wrong,
        given=request.form if request.method == "POST" else None,
        fields=fields_of(found),
        groups=GROUPS,
        need=need_words(found),
        versions=_versions(model_id),
    )


@bp.post("/models/<id:model_id>/parameters/<id:version_id>/restore")
def model_restore(model_id: int, version_id: int) -> AnyResponse:
    """Restore an earlier version of the parameters."""
    known = services().store.read(catalog.versions, model_id, "")
    version = next((one for one in known if one.id == version_id), None)
    if version is None:
        abort(404)
    note = _("as of %(time)s", time=f"{version.at:%Y-%m-%d %H:%M} UTC")
    try:
        services().models.update(model_id, {"override": version.override}, actor(), note)
    except InvalidOverride as error:
        words = translated(error.message)
        return to_page("admin.model_parameters", words, "danger", model_id=model_id)
    words = _("The earlier version was restored.")
    return to_page("admin.model_parameters", words, model_id=model_id)


@bp.get("/models/<id:model_id>/usage")
def model_usage(model_id: int) -> str:
    """Show what a model was used for."""
    found, store = services().catalog.model(model_id), services().store
    wanted = Filter(model_id=model_id)
    last_days = replace(wanted, since=datetime.now(UTC) - timedelta(days=DAYS))
    return _page(
        found,
        "usage",
        chart=charts.per_day(DAYS, model_id=model_id),
        sums=store.read_slow(usage_queries.totals, last_days),
        calls=store.read_slow(request_queries.page, wanted, limit=15),
    )


@bp.route("/models/<id:model_id>/copy", methods=["GET", "POST"])
def model_copy(model_id: int) -> AnyResponse | str:
    """Copy a model to a second tag in Ollama."""
    found = services().catalog.model(model_id)
    form, copy = CopyForm(), services().operations.copy
    results = sent(form, lambda: copy(found.name, form.destination.data, found.server_ids, actor()))
    if results is not None:
        report(results, _("The copy is there."))
        return to_page("admin.models")
    return render_template("admin/models/copy.html", model=found, form=form)


@bp.route("/models/<id:model_id>/delete", methods=["GET", "POST"])
def model_delete(model_id: int) -> AnyResponse | str:
    """Delete a model from its servers' disks; the name must be typed."""
    found = services().catalog.model(model_id)
    if page := asked(_delete_question(found)):
        return page
    if not found.server_ids:
        services().models.forget(model_id, actor())
        return to_page(
            "admin.models", _("%(name)s was removed from the list.", name=found.display_name)
        )
    results = services().operations.delete(found.name, found.server_ids, actor())
    report(results, _("%(name)s was deleted.", name=found.name))
    return to_page("admin.models")


def state_now(found: Model) -> ModelState:
    """Return the state of a model as of now."""
    is_loading = bool(services().pulls.open_loads(found.name))
    return shown_state(found, services().scheduler.views(), is_loading=is_loading)


def access_of(found: Model) -> dict[str, object]:
    """Return what `admin/models/access.html` shows beside the state: servers, fallback models, keys
    and how many more keys there are, in words."""
    servers = {server.id: server for server in services().catalog.servers()}
    known = {one.id: one for one in services().catalog.models()}
    last_used = services().store.read(
        key_queries.search, datetime.now(UTC), works=True, order="used", limit=MOST_KEYS
    )
    keys = [key for key in last_used if access.visible(key, [found])]
    return {
        "servers": [servers[id_] for id_ in found.server_ids if id_ in servers],
        "fallbacks": [known[id_] for id_ in found.fallbacks if id_ in known],
        "keys": keys[:SHOWN_KEYS],
        "more_keys": _more_keys(len(keys), are_all=len(last_used) < MOST_KEYS),
    }


def _more_keys(count: int, *, are_all: bool) -> str:
    """Return what is said behind the keys that are shown, of `count` that may use a model."""
    if not count:
        words = _("None of the %(count)s keys used last.", count=MOST_KEYS)
        return _("No key may use it.") if are_all else words
    if count <= SHOWN_KEYS:
        return ""
    return _("and %(count)s more", count=num(count - SHOWN_KEYS)) if are_all else _("and more")


def _page(found: Model, tab: str, **values: object) -> str:
    return render_template(
        f"admin/models/{tab}.html", model=found, tab=tab, state_now=state_now(found), **values
    )


def _given(form: OverrideForm, found: Model) -> tuple[Mapping[str, Json] | None, dict[str, str]]:
    """Return the override as typed, from the JSON or from the fields, and what is wrong."""
    valid = form.validate_on_submit()
    if request.form.get("from") == "fields":
        form.override.typed = ""
        form.override.errors = []
        override, wrong = read_fields(request.form, found)
        form.override.data = override
        return override, wrong
    return (form.override.data, {}) if valid else (None, {})


def _name_changes(found: Model, form: NamesForm) -> dict[str, Json]:
    """Return what the form says; aliases keep their overrides, fallbacks their order."""
    kept = {alias.name: dict(alias.override) for alias in found.aliases}
    chosen = form.fallbacks.data or ()
    kept_ids = [id_ for id_ in found.fallbacks if id_ in chosen]
    return {
        "display_name": form.display_name.data or "",
        "aliases": {name: kept.get(name, {}) for name in form.aliases.data or ()},
        "fallbacks": list(dict.fromkeys([*kept_ids, *chosen])),
        "notes": form.notes.data or "",
    }


def _versions(model_id: int) -> list[tuple[OverrideVersion, list[tuple[str, str]]]]:
    """Return the overrides of the past, newest first, each with what it changed: (sign, line)."""
    known = services().store.read(catalog.versions, model_id, "")[:30]
    found = []
    for index, version in enumerate(known):
        older = known[index + 1].override if index + 1 < len(known) else {}
        before, after = pretty(older).splitlines(), pretty(version.override).splitlines()
        lines = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
        changes = [(line[:1], line[1:]) for line in lines if not line.startswith("@@")]
        found.append((version, changes))
    return found


def _delete_question(found: Model) -> Question:
    bound = services().store.read(key_queries.bound_to, found.id)
    effects = []
    servers = {server.id: server.name for server in services().catalog.servers()}
    where = [servers[id_] for id_ in found.server_ids if id_ in servers]
    if where:
        effects.append(
            _(
                "Its files are deleted on: %(servers)s. Getting it back means pulling it again.",
                servers=", ".join(where),
            )
        )
    if bound:
        effects.append(
            ngettext(
                "%(num)d key names it: %(names)s",
                "%(num)d keys name it: %(names)s",
                len(bound),
                names=", ".join(bound[:8]),
            )
        )
    names = [found.display_name, *(alias.name for alias in found.aliases)]
    effects.append(_("Clients that call %(names)s get an error.", names=", ".join(names)))
    effects.append(
        _("Its names and parameters are kept in case you pull it again.")
        if where
        else _("Its names and parameters are deleted.")
    )
    title = _("Delete %(name)s?") if where else _("Remove %(name)s from the list?")
    return Question(
        title % {"name": found.name},
        _("Delete model") if where else _("Remove from list"),
        url_for("admin.model", model_id=found.id),
        found.display_name,
        effects,
        typed=found.name,
    )
