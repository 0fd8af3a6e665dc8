"""How large a model is that is to be pulled, and on which servers it would fit on the GPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.ollama.registry import fetch_size
from gateway.policy import names
from gateway.reports.memory_need import Fit, fits
from gateway.runtime.database import Store
from gateway.schemas.server import ServerView


@dataclass(frozen=True, slots=True)
class PullSize:
    """What a pull would fetch: None where that is not known. `servers` are those it would go to;
    what a context window takes comes on top."""

    size_bytes: int | None
    servers: tuple[Fit, ...] = ()


def pull_size(store: Store, registry: str, model: str, views: Iterable[ServerView]) -> PullSize:
    """Return how large a model is in the `registry` at this address ("": it is never asked). Other
    registries, such as hf.co, are not asked. Raises NotFound where it does not know the model."""
    name = names.parse_name(model.strip())
    if not registry or name is None or name.host.lower() != names.HOST:
        return PullSize(None)
    size_bytes = fetch_size(registry, name.namespace, name.model, name.tag)
    return PullSize(size_bytes, fits(store, views, size_bytes) if size_bytes else ())
