"""How the servers are, in one word for the header and a sentence for each card; what else the
header of every page says."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.calls.registry import LiveCall
from gateway.management.model_jobs import Pull
from gateway.schemas.server import ServerView
from gateway.web.context import services
from gateway.web.template_filters import percent
from gateway.web.words import _, ngettext, translated

_ROOM = 1 << 20
"""With less, a batch of records may not fit."""


@dataclass(frozen=True, slots=True)
class Status:
    """A state as people see it: `kind`, one of Bootstrap's (success, warning, danger, info,
    secondary), gives colour and icon."""

    kind: str
    words: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in the header of every page: the servers together, how many requests run and
    wait, and the pulls and loads that run, "" without any."""

    servers: Status
    running: int
    waiting: int
    jobs: str


def current_header() -> Header:
    """Return the header as it is now."""
    parts = services()
    views = [view for view in parts.scheduler.views() if view.server.enabled]
    return header(views, parts.live.everywhere(), parts.pulls.current())


def header(views: Sequence[ServerView], calls: Sequence[LiveCall], jobs: Sequence[Pull]) -> Header:
    """Return the header for the servers that are enabled, the calls and the jobs."""
    waiting = sum(call.phase == "queued" for call in calls)
    return Header(_together(views), len(calls) - waiting, waiting, _job_words(jobs))


def _together(views: Sequence[ServerView]) -> Status:
    """Return the state of all servers together."""
    if not views:
        return Status("warning", _("No server"), _("Connect an Ollama server first."))
    away = [view for view in views if not view.healthy]
    reasons = " · ".join(f"{view.server.name}: {view.reason or of(view).words}" for view in away)
    if len(away) == len(views):
        return Status("danger", _("Ollama unreachable"), reasons)
    if away:
        words = ngettext("%(num)d server down", "%(num)d servers down", len(away))
        return Status("warning", words, reasons)
    words = ngettext("Ollama ready", "%(num)d servers ready", len(views))
    versions = ", ".join(sorted({view.version for view in views if view.version}))
    return Status("success", words, versions and _("Ollama %(version)s", version=versions))


def _job_words(jobs: Sequence[Pull]) -> str:
    """Return the first pull or load that runs, and how many more there are."""
    running = [one for one in jobs if one.job.is_open]
    if not running:
        return ""
    first = max(running, key=lambda one: (one.job.kind == "pull", one.job.state == "running"))
    words = _("Pulling %(name)s") if first.job.kind == "pull" else _("Loading %(name)s")
    words %= {"name": first.job.model.removesuffix(":latest")}
    if first.share is not None:
        words += f" {percent(int(first.share * 100) / 100)}"
    return words if len(running) == 1 else f"{words} +{len(running) - 1}"


def store_trouble() -> str:
    """Return what is wrong while the usage of calls cannot be stored, "" while it can."""
    parts = services()
    if parts.usage.state() != "unavailable":
        return ""
    if parts.store.database.is_sqlite and _is_full(parts.config.data_dir):
        return _("The disk of the data folder is full: make room on it.")
    return _("The database does not take what is written to it; the log says why.")


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _ROOM
    except OSError:
        return False


def of(view: ServerView) -> Status:
    """Return the state of one server."""
    if not view.server.enabled:
        return Status("secondary", _("Disabled"), _("Gets no requests until you enable it."))
    if view.server.draining or view.state == "draining":
        return Status("info", _("Draining"), _("Finishes its requests and gets no new ones."))
    words = {
        "ready": ("success", _("Ready")),
        "loading": ("info", _("Loading a model")),
        "busy": ("info", _("Busy")),
        "degraded": ("warning", _("Degraded")),
        "down": ("danger", _("Unreachable")),
        "unknown": ("secondary", _("Not checked yet")),
    }
    kind, name = words.get(view.state, ("secondary", view.state))
    return Status(kind, name, "" if view.state == "ready" else translated(view.reason))
