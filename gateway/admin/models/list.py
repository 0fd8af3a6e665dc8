"""Models: what can be called, where it is, who may use it. Pulls and loads begin here;
`admin.models.jobs` shows them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import abort, flash, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.answers import sent
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.models import PullForm
from gateway.admin.models.jobs import jobs, open_loads
from gateway.core.catalog import Model
from gateway.core.requests import Filter
from gateway.core.usage import Sums
from gateway.errors import InvalidRequest
from gateway.management.model_operations import Done
from gateway.policy import access
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.store import key_queries
from gateway.store.usage import usage_queries
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, translated

DAYS = 7


@bp.get("/models")
def models() -> str:
    """List models, and the pulls and loads that run."""
    name = request.args.get("pull", "")
    return _page(_pull_form(name), is_pulling=bool(name))


@bp.post("/models/pull")
def model_pull() -> AnyResponse | str:
    """Have servers fetch a model."""
    form = _pull_form("")
    if sent(form, lambda: services().pulls.begin(form.model.data, form.servers.data, actor())):
        words = _("The pull has begun. You may leave this page.")
        return to_page("admin.models", words, _anchor="pulls")
    return _page(form, is_pulling=True)


@bp.post("/models/<id:model_id>/enabled")
def model_enabled(model_id: int) -> AnyResponse:
    """Enable or disable a model for clients."""
    found = services().catalog.model(model_id)
    on = request.form.get("to") == "on"
    services().models.enable([model_id], on, actor())
    words = _("Clients can call %(name)s.") if on else _("Clients cannot call %(name)s any more.")
    return _back(model_id, words % {"name": found.display_name})


@bp.post("/models/<id:model_id>/memory")
def model_memory(model_id: int) -> AnyResponse:
    """Begin to load a model, for good or as usual, stop that, or take it out of memory."""
    found = services().catalog.model(model_id)
    to = request.form.get("to", "")
    match to:
        case "load" | "pin":
            _begin_load(found, for_good=to == "pin")
        case "stop":
            for job in open_loads(found.name):
                services().pulls.cancel(job.id, actor())
            flash(_("Loading %(name)s was stopped.", name=found.display_name), "success")
        case "unload":
            words = _("%(name)s leaves memory as soon as it is idle.", name=found.display_name)
            report(services().operations.unload(found.name, found.server_ids, actor()), words)
        case _:
            abort(400)
    return _back(model_id, _anchor="pulls" if to in {"load", "pin"} else None)


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


def loaded_on(model: Model) -> tuple[str, ...]:
    """Return the servers that have a model in memory."""
    return tuple(
        view.server.name for view in services().scheduler.views() if model.name in view.loaded
    )


def _back(model_id: int, words: str = "", **values: Any) -> AnyResponse:
    """Lead back to where a button's form came from: the model's page, or the list."""
    if request.form.get("back") == "detail":
        return to_page("admin.model", words, model_id=model_id, **values)
    return to_page("admin.models", words, **values)


def _page(form: PullForm, *, is_pulling: bool) -> str:
    return render_template(
        "admin/models/list.html",
        rows=_rows(),
        form=form,
        pulls=jobs(),
        servers=services().catalog.servers(),
        pulling=is_pulling,
    )


def _rows() -> list[dict[str, Any]]:
    """Return the lines of the list; `loaded_on` names servers that have a model in memory."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    wanted = Filter(since=midnight - timedelta(days=DAYS))
    used = dict(services().store.read_slow(usage_queries.by_group, wanted, "model", daily=True))
    names = {server.id: server.name for server in services().catalog.servers()}
    found, loading = services().catalog.models(), {job.model for job in open_loads()}
    keys = _keys_by_model(found)
    return [
        {
            "model": model,
            "servers": [names[id_] for id_ in model.server_ids if id_ in names],
            "loaded_on": loaded_on(model),
            "loading": model.name in loading,
            "keys": keys[model.id],
            "sums": used.get(str(model.id), Sums()),
        }
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


def _enabled_servers() -> list[Server]:
    return [server for server in services().catalog.servers() if server.enabled]


def _pull_form(name: str) -> PullForm:
    found = _enabled_servers()
    form = PullForm(data={"model": name, "servers": [found[0].id] if found else []})
    form.servers.choices = chosen_from((server.id, server.name) for server in found)
    return form


def _begin_load(model: Model, *, for_good: bool) -> None:
    """Have the enabled servers that have a model load it, and say so."""
    chosen = [server for server in _enabled_servers() if server.id in model.server_ids]
    if not chosen:
        flash(_("No server has this model."), "warning")
        return
    ids = [server.id for server in chosen]
    try:
        services().pulls.load(model.name, ids, actor(), for_good=for_good)
    except InvalidRequest as error:  # a server was removed just now
        flash(translated(error.message), "danger")
        return
    words = _("%(name)s is being loaded. You may leave this page.", name=model.display_name)
    flash(f"{words} ({', '.join(server.name for server in chosen)})", "success")
