"""The one model that snippets and first tries name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.catalog import Model
from gateway.policy import access
from gateway.reports.model_state import is_down
from gateway.schemas.key import Key
from gateway.schemas.server import ServerView

FALLBACK = "llama3.2"


def chat_models(models: Iterable[Model]) -> list[Model]:
    """Return the models that can be called and chat, as far as is known."""
    found = (model for model in models if model.enabled and model.available)
    return [model for model in found if model.can("completion") is not False]


def example_model(
    models: Iterable[Model], views: Sequence[ServerView] = (), key: Key | None = None
) -> str:
    """Return the client's name of a model that answers at once, and that `key` may use: one in
    memory of a server, else one on a disk of ours, those of servers that are down last; FALLBACK
    where there is none.
    """
    loaded = {name for view in views for name in view.loaded}
    usable = chat_models(models)
    if key is not None:
        usable = list(access.visible(key, usable)) or usable

    def rank(model: Model) -> tuple[bool, bool, bool, str]:
        is_cold = model.name not in loaded
        return is_down(model, views), is_cold, model.remote, model.display_name

    ranked = sorted(usable, key=rank)
    return ranked[0].display_name if ranked else FALLBACK
