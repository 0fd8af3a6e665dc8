"""What can be called: servers, models, and a snapshot of both that routing reads without asking
anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.chat import EMPTY, Json


@dataclass(frozen=True, slots=True)
class Alias:
    """A further name of a model; `pattern` ones hold `*`. `override` is laid over the model's."""

    name: str
    override: Mapping[str, Json] = field(default_factory=lambda: EMPTY)

    @property
    def is_pattern(self) -> bool:
        return "*" in self.name


@dataclass(frozen=True, slots=True)
class Model:
    """One model as clients may call it, whatever servers hold it.

    `name` is Ollama's canonical tag (`llama3.2:latest`), the only spelling that goes upstream.
    `capabilities` is None while unknown. `available` means at least one enabled server lists it.
    `context_tokens` is the trained maximum. `fallbacks` are model ids. `pinned_on` are servers in
    whose memory it shall stay. `weights` stands for the files it runs from, "" while unknown:
    models with the same ones share a runner.
    """

    id: int
    name: str
    display_name: str
    enabled: bool = True
    available: bool = True
    aliases: tuple[Alias, ...] = ()
    override: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    capabilities: frozenset[str] | None = None
    context_tokens: int | None = None
    modified_at: datetime | None = None
    digest: str = ""
    size_bytes: int = 0
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    server_ids: tuple[int, ...] = ()
    fallbacks: tuple[int, ...] = ()
    remote: bool = False
    pinned_on: tuple[int, ...] = ()
    weights: str = ""

    def can(self, capability: str) -> bool | None:
        """Whether the model has `capability`; None while nobody knows."""
        return None if self.capabilities is None else capability in self.capabilities

    def window(self, loaded_tokens: int = 0) -> int:
        """Return the context window a caller may get: the largest step, else what the admin set,
        else the one it is loaded with, else what it was trained for; 0 where none is known."""
        steps = self.override.get("context_steps")
        if steps:
            largest: int = steps[-1]
            return min(largest, self.context_tokens or largest)
        for layer in (self.override.get("force") or {}, self.override):
            for place in (layer, layer.get("options") or {}):
                window: int = place.get("num_ctx") or 0
                if window > 0:
                    return window
        return loaded_tokens or self.context_tokens or 0

    @property
    def is_gpt_oss(self) -> bool:
        """gpt-oss thinks always and only knows levels (F3)."""
        return self.family in {"gptoss", "gpt-oss"} or self.name.lower().rpartition("/")[
            2
        ].startswith("gpt-oss")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory of a server, as /api/ps tells. `stays_loaded`: it was loaded to stay until
    it is unloaded, with a negative `keep_alive`."""

    name: str
    size_bytes: int = 0
    vram_bytes: int = 0
    context_tokens: int = 0
    expires_at: datetime | None = None
    stays_loaded: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name came to: the model, and the alias used on the way, if any."""

    model: Model
    alias: Alias | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as a server's /api/tags lists it, under its canonical name."""

    name: str
    digest: str = ""
    size_bytes: int = 0
    modified_at: datetime | None = None
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    remote: bool = False
    details: Mapping[str, Json] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class OverrideVersion:
    """An override a model (or its alias of that name) once had."""

    id: int
    model_id: int
    alias: str
    at: datetime
    actor_name: str
    override: Mapping[str, Json]
    note: str = ""
