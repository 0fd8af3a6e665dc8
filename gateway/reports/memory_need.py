"""What a model needs in memory with a window, and on which servers it would fit on the GPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.catalog import Model
from gateway.core.memory_estimate import CacheShape, Estimate, estimate
from gateway.errors import Message, NotFound
from gateway.reports.memory import ServerMemory, TotalFrom, by_server
from gateway.runtime.database import Store
from gateway.schemas.server import Server, ServerView
from gateway.store import catalog

USUAL_WINDOW = 4_096
"""What Ollama gives a model without a word about it, on a GPU below 23 GiB."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether something fits the GPUs of a server, which have `gpu_bytes`; None where that is not
    known, or only as a lower bound that is too small."""

    server_id: int
    server_name: str
    gpu_bytes: int
    total_from: TotalFrom
    fits: bool | None


@dataclass(frozen=True, slots=True)
class Need:
    """What a model needs with a window of `num_ctx` tokens for each of `slots` calls at once."""

    num_ctx: int
    slots: int
    estimate: Estimate
    servers: tuple[Fit, ...]


def need(store: Store, model: Model, views: Iterable[ServerView], num_ctx: int = 0) -> Need:
    """Return what a model needs with a window, or with the one it would get now (0).

    Raises NotFound where Ollama has told too little about it.
    """
    views = [view for view in views if view.server.id in model.server_ids]
    found = store.read(catalog.details, model.id).get("cache")
    if model.remote or found is None:
        raise NotFound(
            Message("Ollama tells too little about this model to estimate its memory."),
            code="estimate_not_known",
        )
    window = num_ctx or _window(model, views)
    writes = model.can("completion") is not False  # what does not has one slot in Ollama
    slots = max((view.slots for view in views if writes), default=1)
    told = estimate(model.size_bytes, CacheShape(**found), window, slots)
    return Need(window, slots, told, fits(store, views, told.total_bytes))


def fits(store: Store, views: Iterable[ServerView], size_bytes: int) -> tuple[Fit, ...]:
    """Return on the GPUs of which servers so much fits, whatever is loaded there now."""
    views = list(views)
    memory = by_server(store, views)
    return tuple(_fit(view.server, memory[view.server.id], size_bytes) for view in views)


def _fit(server: Server, memory: ServerMemory, size_bytes: int) -> Fit:
    is_enough = True if size_bytes <= memory.total_bytes else None
    if memory.total_from == "typed":
        is_enough = bool(is_enough)
    return Fit(server.id, server.name, memory.total_bytes, memory.total_from, is_enough)


def _window(model: Model, views: Iterable[ServerView]) -> int:
    """Return the window a model would be loaded with now."""
    loaded = [view.loaded[model.name] for view in views if model.name in view.loaded]
    largest = max((one.context_tokens for one in loaded), default=0)
    window = model.window(largest or USUAL_WINDOW)
    return min(window, model.context_tokens or window)
