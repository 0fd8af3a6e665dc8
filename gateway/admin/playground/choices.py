"""What the playground offers: keys that work, and the models each of them may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from gateway.core.catalog import Model
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.embeddings import EMBEDDINGS
from gateway.errors import NotFound
from gateway.management.keyring import refusal
from gateway.policy import access
from gateway.reports.model_state import is_down
from gateway.schemas.key import Key
from gateway.store import key_queries
from gateway.web.context import services

Mode: TypeAlias = Literal["chat", "embeddings"]
MOST_KEYS = 200
"""More would make the page heavy; any other key can be named in the address."""
_SCOPES: dict[Mode, str] = {"chat": CHAT.scope, "embeddings": EMBEDDINGS.scope}


@dataclass(frozen=True, slots=True)
class Choice:
    """A model to try: its name for clients, and what is done with it."""

    name: str
    mode: Mode
    is_down: bool


def working_keys(now: datetime, asked_id: int = 0) -> list[Key]:
    """Return the MOST_KEYS working keys that were used last, before them the one with `asked_id`
    where it is not among them and works."""
    parts = services()
    found = parts.store.read(key_queries.search, now, works=True, order="used", limit=MOST_KEYS)
    if not asked_id or any(key.id == asked_id for key in found):
        return found
    try:
        asked = parts.keys.get(asked_id)
    except NotFound:
        return found
    return [asked, *found] if refusal(asked, now) is None else found


def has_models() -> bool:
    """Whether there is a model that can be tried at all."""
    return any(_mode(model) for model in _callable())


def models_of(key: Key) -> list[Choice]:
    """Return the models that a key may use, by name; those whose servers are down come last."""
    views = services().scheduler.views()
    found = [
        Choice(model.display_name, mode, is_down(model, views))
        for model in access.visible(key, _callable())
        if (mode := _mode(model)) and _SCOPES[mode] in key.scopes
    ]
    return sorted(found, key=lambda choice: (choice.is_down, choice.name.lower()))


def likely_key(keys: Sequence[Key], model_name: str) -> Key | None:
    """Return a key that may use a model, or any, so that the first try is not refused."""
    named = (model for model in _callable() if model_name in (model.display_name, model.name))
    mode = next((_mode(model) for model in named), None) or "chat"
    fitting = [key for key in keys if _SCOPES[mode] in key.scopes] or list(keys)
    free = [key for key in fitting if key.allow == ("*",) and not key.deny]
    return next(iter(free or fitting), None)


def _callable() -> list[Model]:
    return [model for model in services().catalog.models() if model.enabled and model.available]


def _mode(model: Model) -> Mode | None:
    """Return what is done with a model; one that nothing is known of is taken to chat."""
    if model.can("completion") is not False:
        return "chat"
    return "embeddings" if model.can("embedding") else None
