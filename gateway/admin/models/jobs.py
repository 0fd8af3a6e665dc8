"""Work on servers that takes long: pulls and loads, how far they are, and how to stop them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from flask import Response, jsonify, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.management.model_jobs import Pull
from gateway.store.jobs import Job
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.template_filters import duration, size
from gateway.web.words import _, ngettext, translated

RECENT = timedelta(minutes=10)
_MOST = 20

Row: TypeAlias = Mapping[str, object]


@bp.get("/models/pulls.json")
def model_pulls() -> Response:
    """Return how far the jobs are; of all models, or of one."""
    return jsonify(pulls=current_jobs(request.args.get("model", "")))


@bp.post("/models/pulls/<id:job_id>/cancel")
def model_pull_cancel(job_id: int) -> AnyResponse:
    """Stop a pull or a load."""
    stopped = services().pulls.cancel(job_id, actor()).job
    words = _("Loading %(name)s was stopped.", name=stopped.model)
    if stopped.kind == "pull":
        words = _("The pull was stopped. What is there already stays, so that it can go on.")
    return to_page("admin.models", words, _anchor="pulls")


def jobs(model: str = "") -> list[Row]:
    """Return every job that runs, then those that ended last; of one model, or of all ("")."""
    names = {server.id: server.name for server in services().catalog.servers()}
    now = datetime.now(UTC)
    found = [one for one in services().pulls.all() if model in ("", one.job.model)]
    shown = [one for number, one in enumerate(found) if one.job.is_open or number < _MOST]
    return [_row(one, names, now) for one in shown]


def current_jobs(model: str) -> list[Row]:
    """Return the jobs, of one model or of all (""), that somebody may still want to see."""
    return [job for job in jobs(model) if job["open"] or job["recent"]]


def open_loads(model: str = "") -> list[Job]:
    """Return the loads that run, of one model or of all ("")."""
    found = [one.job for one in services().pulls.all()]
    return [job for job in found if job.is_open and job.kind != "pull" and model in ("", job.model)]


def _row(pull: Pull, names: Mapping[int, str], now: datetime) -> Row:
    job = pull.job
    kind, state = _state(job)
    return {
        "id": job.id,
        "model": job.model,
        "server": names.get(job.server_id, ""),
        "open": job.is_open,
        "recent": job.finished_at is not None and now - job.finished_at < RECENT,
        "kind": kind,
        "state": state,
        "status": translated(job.error) if job.error else job.status,
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
        "queued": ("idle", _("Waiting")),
        "running": ("info", _("Pulling") if is_pull else _("Loading")),
        "done": ("good", _("Done") if is_pull else _("Loaded")),
        "failed": ("bad", _("Failed")),
        "cancelled": ("idle", _("Stopped")),
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
        figures.append(_("%(time)s left", time=duration(pull.eta_s * 1000)))
    if job.layers:
        figures.append(ngettext("%(num)d layer", "%(num)d layers", len(job.layers)))
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
        figures.append(_("stays in memory"))
    return figures
