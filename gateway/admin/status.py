"""How the servers are, in one word for the top bar and a sentence for each card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.schemas.server import ServerView
from gateway.web.context import services
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
    in_flight: int = 0


def overall() -> Status:
    """Return the state of all servers together, and how many calls run."""
    parts = services()
    views = [view for view in parts.scheduler.views() if view.server.enabled]
    in_flight = len(parts.live.everywhere())
    ready = [view for view in views if view.healthy]
    if not views:
        return Status("warning", _("No server"), _("Connect an Ollama server first."), in_flight)
    away = [view for view in views if not view.healthy]
    reasons = " · ".join(f"{view.server.name}: {view.reason or of(view).words}" for view in away)
    if not ready:
        return Status("danger", _("Ollama unreachable"), reasons, in_flight)
    if away:
        words = ngettext("%(num)d server down", "%(num)d servers down", len(away))
        return Status("warning", words, reasons, in_flight)
    words = ngettext("Ollama ready", "%(num)d servers ready", len(views))
    versions = ", ".join(sorted({view.version for view in ready if view.version}))
    return Status(
        "success", words, versions and _("Ollama %(version)s", version=versions), in_flight
    )


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
