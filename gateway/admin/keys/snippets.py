"""What pages show of the client kit: the most used clients, with this gateway's address."""

from __future__ import annotations

from flask import request

from gateway.policy import client_snippets
from gateway.policy.client_snippets import Snippet
from gateway.reports.examples import example_model
from gateway.schemas.key import Key
from gateway.web.context import services

PLACEHOLDER = "sk-o2a-…"
_SHOWN = 8


def base_url() -> str:
    """Return the address clients use: as set, else the one this page was asked at."""
    given = services().settings.behaviour().public_url
    return (given or request.url_root).rstrip("/")


def snippets(key: str, model: str, base: str) -> tuple[Snippet, ...]:
    """Return a piece for each client that has a tab, in the order they are offered."""
    return client_snippets.snippets(key, model, base)[:_SHOWN]


def example(key: Key | None = None) -> str:
    """Return a model for snippets and first tries, one that `key` may use."""
    loaded = {name for view in services().scheduler.views() for name in view.loaded}
    return example_model(services().catalog.models(), loaded, key)
