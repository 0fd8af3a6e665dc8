"""The pages of the console: for its menu, for that of the settings, and for the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import request, url_for

from gateway.web.words import _l


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its words, its view with a tab, and whether it only changes things."""

    words: str
    view: str
    icon: str
    tab: str = ""
    changes: bool = False

    @property
    def url(self) -> str:
        """The address of the page."""
        return url_for(self.view, tab=self.tab or None)

    @property
    def is_open(self) -> bool:
        """Whether this page of the menu, or one below it, is the one that is shown."""
        _nothing, _admin, place, *_rest = request.path.split("/")
        return self.view == f"admin.{place or 'dashboard'}"


MENU: Final = (
    Page(_l("Dashboard"), "admin.dashboard", "speedometer2"),
    Page(_l("Playground"), "admin.playground", "chat-square-text"),
    Page(_l("Models"), "admin.models", "box-seam"),
    Page(_l("Keys"), "admin.keys", "key"),
    Page(_l("Usage"), "admin.usage", "bar-chart-line"),
    Page(_l("Requests"), "admin.requests", "list-ul"),
    Page(_l("Servers"), "admin.servers", "hdd-stack"),
    Page(_l("Settings"), "admin.settings", "gear"),
)
SETTINGS: Final = (
    Page(_l("General"), "admin.settings", "gear", "general"),
    Page(_l("Security"), "admin.settings", "shield-lock", "security"),
    Page(_l("API behaviour"), "admin.settings", "gear", "api"),
    Page(_l("Privacy and retention"), "admin.settings", "gear", "privacy"),
    Page(_l("Limits"), "admin.settings", "gear", "limits"),
    Page(_l("Alerts"), "admin.settings", "broadcast", "alerts"),
    Page(_l("Observability"), "admin.settings", "activity", "observability"),
    Page(_l("Audit log"), "admin.settings", "list-ul", "audit"),
    Page(_l("Backup"), "admin.settings", "database", "backup"),
    Page(_l("About"), "admin.settings", "info-circle", "about"),
)
OTHERS: Final = (
    Page(_l("Context and loads"), "admin.context", "memory"),
    Page(_l("New key"), "admin.key_new", "plus-lg", changes=True),
    Page(_l("Connect an app"), "admin.connect", "plug"),
    Page(_l("Add a server"), "admin.server_new", "plus-lg", changes=True),
    Page(_l("API reference"), "reference.chapter", "book"),
)
"""What the search finds beside the menus."""
