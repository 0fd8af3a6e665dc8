"""Models: what can be called, where it is, who may use it. ModelJobs and loads begin here;
`admin.models.jobs` shows them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.forms.errors import into_form
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.models import PullForm
from gateway.admin.models.jobs import being_loaded, jobs, stop_loading
from gateway.core.catalog import Model
from gateway.core.requests import Filter
from gateway.core.usage import Sums
from gateway.errors import InvalidRequest, NotFound
from gateway.management.model_operations import Done
from gateway.policy import access
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.store import key_queries
from gateway.store.usage import usage_queries
from gateway.web.context import actor, services
from gateway.web.words import _, translated

DAYS = 7


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model in the list. `loaded_on` names servers that have it in memory; `loading` is true
    while one brings it there."""

    model: Model
    servers: tuple[str, ...]
    loaded_on: tuple[str, ...]
    loading: bool
    keys: int
    sums: Sums


@bp.get("/models")
def models() -> str:
    """List models, and the pulls and loads that run."""
    rows = _rows()
    form = _pull_form(request.args.get("pull", ""))
    return render_template(
        "admin/models/list.html",
        rows=rows,
        form=form,
        pulls=jobs(),
        servers=services().catalog.servers(),
        pulling=bool(request.args.get("pull")),
    )


@bp.post("/models/pull")
def model_pull() -> AnyResponse | str:
    """Have servers fetch a model."""
    form = _pull_form("")
    if form.validate_on_submit():
        try:
            services().pulls.begin(form.model.data, form.servers.data, actor())
        except InvalidRequest as error:
            into_form(form, error)
        else:
            flash(_("The pull has begun. You may leave this page."), "success")
            return redirect(url_for("admin.models") + "#pulls", 303)
    return render_template(
        "admin/models/list.html",
        rows=_rows(),
        form=form,
        pulls=jobs(),
        servers=services().catalog.servers(),
        pulling=True,
    )


@bp.post("/models/<id:model_id>/enabled")
def model_enabled(model_id: int) -> AnyResponse:
    """Enable or disable a model for clients."""
    found = get_model(model_id)
    on = request.form.get("to") == "on"
    services().models.enable([model_id], on, actor())
    words = _("Clients can call %(name)s.") if on else _("Clients cannot call %(name)s any more.")
    flash(words % {"name": found.display_name}, "success")
    return redirect(back_to_list_or(model_id), 303)


@bp.post("/models/<id:model_id>/memory")
def model_memory(model_id: int) -> AnyResponse:
    """Begin to load a model, for good or as usual, stop that, or take it out of memory."""
    found = get_model(model_id)
    match request.form.get("to", ""):
        case "load" | "pin" as to:
            _begin_load(found, for_good=to == "pin")
            return redirect(back_to_list_or(model_id) + "#pulls", 303)
        case "stop":
            stop_loading(found)
            flash(_("Loading %(name)s was stopped.", name=found.display_name), "success")
        case "unload":
            words = _("%(name)s leaves memory as soon as it is idle.", name=found.display_name)
            report(services().operations.unload(found.name, list(found.server_ids), actor()), words)
        case _:
            abort(400)
    return redirect(back_to_list_or(model_id), 303)


def get_model(model_id: int) -> Model:
    """Return a model; a page that says so when it is gone."""
    try:
        return services().catalog.model(model_id)
    except NotFound:
        abort(404)


def report(results: list[Done], words: str) -> None:
    """Flash how something went on each server."""
    for one in results:
        if one.error:
            flash(f"{one.server_name}: {translated(one.error)}", "danger")
    good = [one.server_name for one in results if not one.error]
    if good:
        flash(f"{words} ({', '.join(good)})", "success")
    if not results:
        flash(_("No server has this model."), "warning")


def back_to_list_or(model_id: int) -> str:
    """Return where a button's form came from: the list, or the model's page."""
    if request.form.get("back") == "detail":
        return url_for("admin.model", model_id=model_id)
    return url_for("admin.models")


def loaded_on(model: Model) -> tuple[str, ...]:
    """Return the servers that have a model in memory."""
    return tuple(
        view.server.name for view in services().scheduler.views() if model.name in view.loaded
    )


def pull_servers() -> list[Server]:
    """Return the servers a model can be pulled to."""
    return [server for server in services().catalog.servers() if server.enabled]


def _rows() -> list[ModelRow]:
    since = (datetime.now(UTC) - timedelta(days=DAYS)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    used = dict(
        services().store.read_slow(usage_queries.by_group, Filter(since=since), "model", daily=True)
    )
    names = {server.id: server.name for server in services().catalog.servers()}
    found, loading = services().catalog.models(), being_loaded()
    keys = _keys_by_model(found)
    return [
        ModelRow(
            model,
            tuple(names[id_] for id_ in model.server_ids if id_ in names),
            loaded_on(model),
            model.name in loading,
            keys[model.id],
            used.get(str(model.id), Sums()),
        )
        for model in found
    ]


def _keys_by_model(found: Sequence[Model]) -> Counter[int]:
    """Return how many keys may use each model, by its id; keys with the same rules are asked
    once."""
    groups: dict[object, list[Key]] = defaultdict(list)
    for key in services().store.read(key_queries.brief):
        if key.enabled and key.revoked_at is None:
            groups[key.allow, key.deny, key.model_ids].append(key)
    counted: Counter[int] = Counter()
    for alike in groups.values():
        counted.update({model.id: len(alike) for model in access.visible(alike[0], found)})
    return counted


def _pull_form(name: str) -> PullForm:
    found = pull_servers()
    form = PullForm(data={"model": name, "servers": [found[0].id] if found else []})
    form.servers.choices = chosen_from((server.id, server.name) for server in found)
    return form


def _begin_load(model: Model, *, for_good: bool) -> None:
    """Have the enabled servers that have a model load it, and say so."""
    enabled = {server.id: server.name for server in pull_servers()}
    chosen = [server_id for server_id in model.server_ids if server_id in enabled]
    if not chosen:
        flash(_("No server has this model."), "warning")
        return
    try:
        services().pulls.load(model.name, chosen, actor(), for_good=for_good)
    except InvalidRequest as error:  # a server was removed just now
        flash(translated(error.message), "danger")
        return
    words = _("%(name)s is being loaded. You may leave this page.", name=model.display_name)
    flash(f"{words} ({', '.join(enabled[server_id] for server_id in chosen)})", "success")
