"""The memory of a server as it is drawn: models on the GPU, what is free, and models in RAM.

Ollama tells of each loaded model how large it is and how much of it is on the GPU; the rest is in
RAM, where its part of every token is computed slowly. How large the GPU is it does not tell: that
is typed on the server, or it is at least the most that models were ever seen to take together.

A bar is WHOLE wide: models on the GPU, free GPU memory, then models in RAM, which stand apart as
they are in another memory. Widths are differences of rounded sums, so they add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import Final, Literal, TypeAlias

from gateway.core.catalog import Loaded
from gateway.core.chat import Json
from gateway.policy.names import is_cloud
from gateway.runtime.database import Store
from gateway.schemas.server import ServerView
from gateway.store.usage import memory

WHOLE: Final = 1000
COLOURS: Final = 8
GIB: Final = 1024**3

Place: TypeAlias = Literal["gpu", "free", "ram"]
TotalFrom: TypeAlias = Literal["typed", "seen", "unknown"]
Problem: TypeAlias = Literal["total_too_small", "partly_cpu", "only_cpu"]


@dataclass(frozen=True, slots=True)
class InMemory:
    """One model in memory. `colour` is 1 to COLOURS; sizes are 0 where Ollama tells none."""

    loaded: Loaded
    colour: int
    vram_bytes: int
    ram_bytes: int

    @property
    def size_bytes(self) -> int:
        """The whole model, wherever it is."""
        return self.vram_bytes + self.ram_bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of the bar, from `x`, in WHOLE-ths of it; `model` is "" for what is free."""

    place: Place
    model: str
    colour: int
    size_bytes: int
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """The memory of a server. `total_bytes` is that of its GPUs: 0 where `total_from` is unknown, a
    lower bound where it was seen. `free_bytes` is what is left of it."""

    models: tuple[InMemory, ...]
    segments: tuple[Segment, ...]
    total_bytes: int
    total_from: TotalFrom
    vram_bytes: int
    ram_bytes: int
    free_bytes: int
    warnings: tuple[Problem, ...]


def by_server(store: Store, views: Iterable[ServerView]) -> Mapping[int, ServerMemory]:
    """Return the memory of servers, by their ids."""
    seen = store.read(memory.most_vram)
    return {
        view.server.id: server_memory(
            view.loaded.values(),
            vram_gb=view.server.vram_gb,
            seen_bytes=seen.get(view.server.id, 0),
        )
        for view in views
    }


def sums(found: ServerMemory) -> dict[str, Json]:
    """Return the numbers of a server's memory without its models."""
    drawn = {"models", "segments"}
    return {one.name: getattr(found, one.name) for one in fields(found) if one.name not in drawn}


def server_memory(loaded: Iterable[Loaded], *, vram_gb: int, seen_bytes: int) -> ServerMemory:
    """Return the memory of a server that has models `loaded`: `vram_gb` is what was typed on it (0:
    nothing), `seen_bytes` the most GPU memory that models were seen to take together."""
    models = _models(loaded)
    vram_bytes = sum(one.vram_bytes for one in models)
    ram_bytes = sum(one.ram_bytes for one in models)
    total_bytes, total_from = _total(vram_gb, max(seen_bytes, vram_bytes))
    free_bytes = max(total_bytes - vram_bytes, 0)
    return ServerMemory(
        models=models,
        segments=_segments(models, free_bytes),
        total_bytes=total_bytes,
        total_from=total_from,
        vram_bytes=vram_bytes,
        ram_bytes=ram_bytes,
        free_bytes=free_bytes,
        warnings=_warnings(models, is_too_small=vram_bytes > total_bytes),
    )


def _models(loaded: Iterable[Loaded]) -> tuple[InMemory, ...]:
    """Return the models of this machine, the largest first."""
    here = [one for one in loaded if not is_cloud(one.name)]
    here.sort(key=lambda one: (-max(one.size_bytes, one.vram_bytes), one.name))
    return tuple(
        InMemory(
            one,
            number % COLOURS + 1,
            vram_bytes=one.vram_bytes,
            ram_bytes=max(one.size_bytes - one.vram_bytes, 0),
        )
        for number, one in enumerate(here)
    )


def _total(vram_gb: int, seen_bytes: int) -> tuple[int, TotalFrom]:
    if vram_gb:
        return vram_gb * GIB, "typed"
    return (seen_bytes, "seen") if seen_bytes else (0, "unknown")


def _segments(models: Sequence[InMemory], free_bytes: int) -> tuple[Segment, ...]:
    pieces: list[tuple[Place, str, int, int]] = [
        *(("gpu", one.loaded.name, one.colour, one.vram_bytes) for one in models),
        ("free", "", 0, free_bytes),
        *(("ram", one.loaded.name, one.colour, one.ram_bytes) for one in models),
    ]
    pieces = [piece for piece in pieces if piece[3]]
    sums = list(accumulate((piece[3] for piece in pieces), initial=0))
    ends = [round(WHOLE * one / max(sums[-1], 1)) for one in sums]
    return tuple(
        Segment(*piece, x=x, width=end - x)
        for piece, (x, end) in zip(pieces, pairwise(ends), strict=True)
    )


def _warnings(models: Sequence[InMemory], *, is_too_small: bool) -> tuple[Problem, ...]:
    found: list[Problem] = ["total_too_small"] if is_too_small else []
    in_ram = [one for one in models if one.ram_bytes]
    if any(one.vram_bytes for one in in_ram):
        found.append("partly_cpu")
    if any(not one.vram_bytes for one in in_ram):
        found.append("only_cpu")
    return tuple(found)
