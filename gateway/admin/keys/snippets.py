"""What pages show of the client kit: the most used clients, with this gateway's address."""

from __future__ import annotations

from collections.abc import Iterable

from flask import request

from gateway.core.catalog import Model
from gateway.policy import client_snippets
from gateway.policy.client_snippets import Snippet
from gateway.web.context import services

PLACEHOLDER = "sk-o2a-…"
_SHOWN = 8


def base_url() -> str:
    """Return the address clients use: as set, else the one this page was asked at."""
    given = services().settings.behaviour().public_url
    return (given or request.host_url).rstrip("/")


def snippets(key: str, model: str, base: str) -> tuple[Snippet, ...]:
    """Return a piece for each client that has a tab, in the order they are offered."""
    return client_snippets.snippets(key, model, base)[:_SHOWN]


def likely_model(models: Iterable[Model]) -> str:
    """Return a model that answers at once: one in memory, else one on a disk of ours; "" for
    none."""
    loaded = {name for view in services().scheduler.views() for name in view.loaded}
    ranked = sorted(models, key=lambda m: (m.name not in loaded, m.remote, m.display_name))
    return ranked[0].display_name if ranked else ""
