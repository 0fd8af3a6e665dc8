"""How the servers are, in one word for the top bar and a sentence for each card."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.catalog import ServerView
from gateway.pages.foreign import translated
from gateway.pages.words import _, ngettext
from gateway.services import services


@dataclass(frozen=True, slots=True)
class Status:
    """A state as people see it: `kind` (good, warn, bad, info, idle) gives colour and icon."""

    kind: str
    words: str
    reason: str = ""
    in_flight: int = 0


def overall() -> Status:
    """Give the state of all servers together, and how many calls run."""
    parts = services()
    views = [view for view in parts.fleet.views() if view.server.enabled]
    in_flight = len(parts.live.everywhere())
    ready = [view for view in views if view.healthy]
    if not views:
        return Status("warn", _("No server"), _("Connect an Ollama server first."), in_flight)
    away = [view for view in views if not view.healthy]
    reasons = " · ".join(f"{view.server.name}: {view.reason or of(view).words}" for view in away)
    if not ready:
        return Status("bad", _("Ollama unreachable"), reasons, in_flight)
    if away:
        words = ngettext("%(num)d server down", "%(num)d servers down", len(away))
        return Status("warn", words, reasons, in_flight)
    words = ngettext("Ollama ready", "%(num)d servers ready", len(views))
    versions = ", ".join(sorted({view.version for view in ready if view.version}))
    return Status("good", words, versions and _("Ollama %(version)s", version=versions), in_flight)


def of(view: ServerView) -> Status:
    """Give the state of one server."""
    if not view.server.enabled:
        return Status("idle", _("Disabled"), _("Gets no calls until you enable it."))
    if view.server.draining or view.state == "draining":
        return Status("info", _("Draining"), _("Finishes its calls and gets no new ones."))
    words = {
        "ready": ("good", _("Ready")),
        "loading": ("info", _("Loading a model")),
        "busy": ("info", _("Busy")),
        "degraded": ("warn", _("Degraded")),
        "down": ("bad", _("Unreachable")),
        "unknown": ("idle", _("Not checked yet")),
    }
    kind, name = words.get(view.state, ("idle", view.state))
    return Status(kind, name, "" if view.state == "ready" else translated(view.reason))
