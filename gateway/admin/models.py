"""Models: what can be called, where it is, who may use it; pulls, loads, and what can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Response, abort, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.actor import actor
from gateway.admin.forms.errors import into_form
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.models import PullForm
from gateway.core.analytics import Sums
from gateway.core.catalog import Model, Server
from gateway.core.requests import Filter
from gateway.errors import InvalidRequest, NotFound
from gateway.pages.foreign import translated
from gateway.pages.formats import duration, size
from gateway.pages.words import _, ngettext
from gateway.policy import access
from gateway.services import services
from gateway.services.operations import Done
from gateway.services.pulls import Pull
from gateway.store import console_usage

DAYS = 7


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model in the list. `loaded_on` names servers that have it in memory."""

    model: Model
    servers: tuple[str, ...]
    loaded_on: tuple[str, ...]
    keys: int
    sums: Sums


@bp.get("/models")
def models() -> str:
    """List models, and pulls that run."""
    rows = _rows()
    form = _pull_form(request.args.get("pull", ""))
    return render_template(
        "admin/models/list.html",
        rows=rows,
        form=form,
        pulls=_pulls(),
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
        pulls=_pulls(),
        servers=services().catalog.servers(),
        pulling=True,
    )


@bp.get("/models/pulls.json")
def model_pulls() -> Response:
    """Tell how far the pulls are."""
    return jsonify(pulls=[pull for pull in _pulls() if pull["open"] or pull["recent"]])


@bp.post("/models/pulls/<id:job_id>/cancel")
def model_pull_cancel(job_id: int) -> AnyResponse:
    """Stop a pull."""
    try:
        services().pulls.cancel(job_id, actor())
    except NotFound:
        abort(404)
    flash(_("The pull was stopped. What is there already stays, so that it can go on."), "success")
    return redirect(url_for("admin.models") + "#pulls", 303)


@bp.post("/models/<id:model_id>/enabled")
def model_enabled(model_id: int) -> AnyResponse:
    """Let clients call a model, or not."""
    found = get_model(model_id)
    on = request.form.get("to") == "on"
    services().models.enable([model_id], on, actor())
    words = _("Clients can call %(name)s.") if on else _("Clients cannot call %(name)s any more.")
    flash(words % {"name": found.display_name}, "success")
    return redirect(back_to_list_or(model_id), 303)


@bp.post("/models/<id:model_id>/memory")
def model_memory(model_id: int) -> AnyResponse:
    """Load a model into memory, keep it there, or unload it."""
    found = get_model(model_id)
    act = {
        "load": services().operations.load,
        "pin": services().operations.pin,
        "unload": services().operations.unload,
    }.get(request.form.get("to", ""))
    if act is None:
        abort(400)
    report(act(found.name, list(found.server_ids), actor()), _done_words(found))
    return redirect(back_to_list_or(model_id), 303)


def get_model(model_id: int) -> Model:
    """Give a model; a page that says so when it is gone."""
    try:
        return services().catalog.model(model_id)
    except NotFound:
        abort(404)


def report(results: list[Done], words: str) -> None:
    """Tell how something went on each server."""
    for one in results:
        if one.error:
            flash(f"{one.server_name}: {translated(one.error)}", "danger")
    good = [one.server_name for one in results if not one.error]
    if good:
        flash(f"{words} ({', '.join(good)})", "success")
    if not results:
        flash(_("No server has this model."), "warning")


def back_to_list_or(model_id: int) -> str:
    """Give where a button's form came from: the list, or the model's page."""
    if request.form.get("back") == "detail":
        return url_for("admin.model", model_id=model_id)
    return url_for("admin.models")


def loaded_on(model: Model) -> tuple[str, ...]:
    """Give the servers that have a model in memory."""
    return tuple(view.server.name for view in services().fleet.views() if model.name in view.loaded)


def pull_servers() -> list[Server]:
    """Give the servers a model can be pulled to."""
    return [server for server in services().catalog.servers() if server.enabled]


def _rows() -> list[ModelRow]:
    since = (datetime.now(UTC) - timedelta(days=DAYS)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    used = dict(
        services().store.analyse(
            console_usage.by_group, Filter(since=since), "model", daily=True, limit=10_000
        )
    )
    names = {server.id: server.name for server in services().catalog.servers()}
    keys = [key for key in services().keys.search() if key.enabled and key.revoked_at is None]
    found = services().catalog.models()
    open_keys = sum(key.allow == ("*",) and not key.deny for key in keys)
    visible = [
        {model.id for model in access.visible(key, found)}
        for key in keys
        if key.allow != ("*",) or key.deny
    ]
    return [
        ModelRow(
            model,
            tuple(names[id_] for id_ in model.server_ids if id_ in names),
            loaded_on(model),
            open_keys + sum(model.id in allowed for allowed in visible),
            used.get(model.display_name, Sums()),
        )
        for model in found
    ]


def _pull_form(name: str) -> PullForm:
    found = pull_servers()
    form = PullForm(data={"model": name, "servers": [found[0].id] if found else []})
    form.servers.choices = chosen_from((server.id, server.name) for server in found)
    return form


def _pulls() -> list[Mapping[str, object]]:
    names = {server.id: server.name for server in services().catalog.servers()}
    now = datetime.now(UTC)
    return [_pull(pull, names, now) for pull in services().pulls.all()[:20]]


def _pull(pull: Pull, names: Mapping[int, str], now: datetime) -> Mapping[str, object]:
    job = pull.job
    words = {
        "queued": ("idle", _("Waiting")),
        "running": ("info", _("Pulling")),
        "done": ("good", _("Done")),
        "failed": ("bad", _("Failed")),
        "cancelled": ("idle", _("Stopped")),
    }
    kind, state = words[job.state]
    figures = []
    if job.total_bytes:
        figures.append(f"{size(job.completed_bytes)} / {size(job.total_bytes)}")
    if job.is_open and pull.bytes_per_s:
        figures.append(f"{size(pull.bytes_per_s)}/s")
    if job.is_open and pull.eta_s:
        figures.append(_("%(time)s left", time=duration(pull.eta_s * 1000)))
    layers = len(job.layers)
    if layers:
        figures.append(ngettext("%(num)d layer", "%(num)d layers", layers))
    recent = job.finished_at is not None and now - job.finished_at < timedelta(minutes=10)
    return {
        "id": job.id,
        "model": job.model,
        "server": names.get(job.server_id, ""),
        "open": job.is_open,
        "recent": recent,
        "kind": kind,
        "state": state,
        "status": translated(job.error) if job.error else job.status,
        "share": pull.share,
        "figures": " · ".join(figures),
        "at": job.created_at,
        "by": job.actor_name,
    }


def _done_words(model: Model) -> str:
    words = {
        "load": _("%(name)s is loaded."),
        "pin": _("%(name)s is loaded and stays in memory."),
        "unload": _("%(name)s leaves memory as soon as it is idle."),
    }
    return words[request.form["to"]] % {"name": model.display_name}
