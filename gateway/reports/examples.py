"""The one model that snippets and first tries name."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.core.catalog import Model
from gateway.policy import access
from gateway.schemas.key import Key

FALLBACK = "llama3.2"


def chat_models(models: Iterable[Model]) -> list[Model]:
    """Return the models that can be called and chat, as far as is known."""
    found = (model for model in models if model.enabled and model.available)
    return [model for model in found if model.can("completion") is not False]


def example_model(
    models: Iterable[Model], loaded: Collection[str] = (), key: Key | None = None
) -> str:
    """Return the client's name of a model that answers at once, and that `key` may use: one in
    memory (`loaded` has Ollama's names), else one on a disk of ours; FALLBACK where there is none.
    """
    usable = chat_models(models)
    if key is not None:
        usable = list(access.visible(key, usable)) or usable
    ranked = sorted(usable, key=lambda m: (m.name not in loaded, m.remote, m.display_name))
    return ranked[0].display_name if ranked else FALLBACK
