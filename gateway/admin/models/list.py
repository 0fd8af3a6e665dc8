"""Models: what can be called, where it is, who may use it; pulls and loads and how far they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from flask import abort, flash, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.answers import sent
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.models import PullForm
from gateway.admin.models.context import summary
from gateway.admin.models.memory import pull_words
from gateway.admin.models.rows import CAPABILITIES, all_rows, shown_rows, wanted
from gateway.core.catalog import Model
from gateway.errors import InvalidRequest, NotFound
from gateway.management.model_jobs import Pull
from gateway.management.model_operations import Done
from gateway.reports.pull_size import pull_size
from gateway.schemas.server import Server
from gateway.store.jobs import Job
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.template_filters import duration, size
from gateway.web.words import _, translated

_RECENT = timedelta(minutes=10)
_LAYER = re.compile(r"^pulling [0-9a-f]{6,}$")
"""What Ollama says while a layer comes: the figures say more."""
Row: TypeAlias = Mapping[str, object]


@bp.get("/models")
def models() -> str:
    """List models, and the pulls and loads that run. `?pull=` opens the form to pull one."""
    return _page(_pull_form(request.args.get("pull", "")), is_pulling="pull" in request.args)


@bp.post("/models/pull")
def model_pull() -> AnyResponse | str:
    """Have servers fetch a model, or say how large it is."""
    form = _pull_form("")
    if request.form.get("do") == "size":
        return _page(form, is_pulling=True, size_words=_size_of(form))
    if sent(form, lambda: services().pulls.begin(form.model.data, form.servers.data, actor())):
        words = _("The download has begun. You may leave this page.")
        return to_page("admin.models", words, pull="")
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
    """Begin to load a model, for good or as usual, stop that, keep it no longer, or take it out of
    memory."""
    found = services().catalog.model(model_id)
    to = request.form.get("to", "")
    match to:
        case "load" | "pin":
            _begin_load(found, for_good=to == "pin")
        case "stop":
            for job in services().pulls.open_loads(found.name):
                services().pulls.cancel(job.id, actor())
            flash(_("Loading %(name)s was stopped.", name=found.display_name), "success")
        case "unpin":
            words = _("%(name)s leaves memory after its usual time.", name=found.display_name)
            report(services().operations.unpin(found.name, found.server_ids, actor()), words)
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


def _back(model_id: int, words: str = "", **values: Any) -> AnyResponse:
    """Lead back to where a button's form came from: the model's page, or the list."""
    if request.form.get("back") == "detail":
        return to_page("admin.model", words, model_id=model_id, **values)
    return to_page("admin.models", words, **values)


def _size_of(form: PullForm) -> str:
    """Return how large the model of a form is; what is wrong with it then stands in the form."""
    parts = services()
    registry = parts.settings.behaviour().model_registry
    chosen = form.servers.data or ()
    views = [view for view in parts.scheduler.views() if view.server.id in chosen]
    if not form.validate_on_submit():
        return ""
    try:
        return pull_words(pull_size(parts.store, registry, form.model.data, views))
    except NotFound as error:
        form.model.errors = [translated(error.message)]
        return ""


def _page(form: PullForm, *, is_pulling: bool, size_words: str = "") -> str:
    jobs = job_rows(services().pulls.current())  # once, so that a row and its job say the same
    rows = all_rows(job["model"] for job in jobs if job["open"] and job["load"])
    asked = wanted(request.args)
    return render_template(
        "admin/models/list.html",
        rows=shown_rows(rows, asked),
        total=len(rows),
        asked=asked,
        capabilities=[(name, words) for name, (_icon, words) in CAPABILITIES.items()],
        states={row.state.name: row.state.words for row in rows},
        loads=summary(datetime.now(UTC)),
        form=form,
        jobs=jobs,
        servers=services().catalog.servers(),
        is_pulling=is_pulling,
        size_words=size_words,
    )


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


@bp.post("/models/pulls/<id:job_id>/cancel")
def model_pull_cancel(job_id: int) -> AnyResponse:
    """Stop a pull or a load."""
    stopped = services().pulls.cancel(job_id, actor()).job
    words = _("Loading %(name)s was stopped.", name=stopped.model)
    if stopped.kind == "pull":
        words = _("The download was stopped. What is there already is kept, so it can go on.")
    return to_page("admin.models", words, _anchor="pulls")


@bp.post("/models/pulls/<id:job_id>/retry")
def model_pull_retry(job_id: int) -> AnyResponse:
    """Do again what failed or was stopped."""
    try:
        job = services().pulls.retry(job_id, actor())[0].job
    except InvalidRequest as error:  # its server was removed meanwhile
        return to_page("admin.models", translated(error.message), "danger", _anchor="pulls")
    words = _("%(name)s is tried again.", name=job.model)
    return to_page("admin.models", words, _anchor="pulls")


@bp.post("/models/pulls/<id:job_id>/dismiss")
def model_pull_dismiss(job_id: int) -> AnyResponse:
    """Remove a job that has ended from the list."""
    services().pulls.dismiss(job_id)
    return to_page("admin.models", _anchor="pulls")


def job_rows(jobs: Iterable[Pull], model: str = "") -> list[Row]:
    """Return those jobs, of one model or of all (""), that somebody may still want to see: they run
    or ended just now."""
    names = {server.id: server.name for server in services().catalog.servers()}
    now = datetime.now(UTC)
    meant = [one for one in jobs if model in ("", one.job.model)]
    return [shown(one, names, now) for one in meant if _is_recent(one.job, now)]


def _is_recent(job: Job, now: datetime) -> bool:
    return job.finished_at is None or now - job.finished_at < _RECENT


def shown(pull: Pull, names: Mapping[int, str], now: datetime) -> Row:
    """Return a job as pages show it; `names` are those of servers by id."""
    job = pull.job
    kind, state = _state(job)
    return {
        "id": job.id,
        "model": job.model,
        "server": names.get(job.server_id, ""),
        "open": job.is_open,
        "kind": kind,
        "state": state,
        "status": translated(job.error) if job.error else _LAYER.sub("", job.status),
        "can_retry": job.state in {"failed", "cancelled"},
        "share": pull.share,
        "figures": " · ".join(_sizes(pull) if job.kind == "pull" else _times(pull, now)),
        "at": job.created_at,
        "by": job.actor_name,
        "load": job.kind != "pull",
    }


def _state(job: Job) -> tuple[str, str]:
    """Return the colour and the word for how a job stands."""
    is_pull = job.kind == "pull"
    return {
        "queued": ("secondary", _("Waiting")),
        "running": ("info", _("Pulling") if is_pull else _("Loading")),
        "done": ("success", _("Done") if is_pull else _("Loaded")),
        "failed": ("danger", _("Failed")),
        "cancelled": ("secondary", _("Stopped")),
    }[job.state]


def _sizes(pull: Pull) -> list[str]:
    """Return how much of a pull there is and how fast it comes."""
    job = pull.job
    figures = []
    if job.total_bytes:
        figures.append(f"{size(job.completed_bytes)} / {size(job.total_bytes)}")
    if job.is_open and pull.bytes_per_s:
        figures.append(f"{size(pull.bytes_per_s)}/s")
    if job.is_open and pull.eta_s:
        left_s = max(1, round(pull.eta_s))
        figures.append(_("%(time)s left", time=duration(left_s * 1000)))
    return figures


def _times(pull: Pull, now: datetime) -> list[str]:
    """Return how long a load has been going on, or took."""
    job = pull.job
    figures = []
    if job.started_at is not None:
        took = max(0.0, ((job.finished_at or now) - job.started_at).total_seconds() * 1000)
        words = _("for %(time)s") if job.is_open else _("took %(time)s")
        figures.append(words % {"time": duration(took)})
    if job.kind == "pin":
        figures.append(_("stays loaded"))
    return figures
