"""The memory of servers on the dashboard and on their own page: a bar, its legend, its warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.admin.status import Status, of
from gateway.reports.memory import ServerMemory, by_server
from gateway.schemas.server import ServerView
from gateway.web.context import services
from gateway.web.template_filters import size
from gateway.web.words import _


@dataclass(frozen=True, slots=True)
class MemoryCard:
    """The memory of a server as it is shown: `totals` are its sums in words, `warnings` what is
    wrong with it."""

    view: ServerView
    status: Status
    memory: ServerMemory
    totals: str
    warnings: tuple[str, ...]


def cards(views: Sequence[ServerView]) -> list[MemoryCard]:
    """Return the memory of servers."""
    memory = by_server(services().store, views)
    return [_card(view, memory[view.server.id]) for view in views]


def _card(view: ServerView, memory: ServerMemory) -> MemoryCard:
    return MemoryCard(view, of(view), memory, _totals(memory), _warnings(memory))


def _totals(memory: ServerMemory) -> str:
    """Return what is where: on the GPU of how much, free, in RAM."""
    words = []
    taken, total = size(memory.vram_bytes), size(memory.total_bytes)
    if memory.total_from == "typed":
        words.append(_("%(taken)s of %(total)s on the GPU", taken=taken, total=total))
        words.append(_("%(size)s free", size=size(memory.free_bytes)))
    elif memory.total_from == "seen":
        words.append(_("%(taken)s of at least %(total)s on the GPU", taken=taken, total=total))
    if memory.ram_bytes:
        words.append(_("%(size)s in RAM", size=size(memory.ram_bytes)))
    return " · ".join(words)


def _warnings(memory: ServerMemory) -> tuple[str, ...]:
    in_ram = [one for one in memory.models if one.ram_bytes]
    partly = ", ".join(one.loaded.name for one in in_ram if one.vram_bytes)
    only = ", ".join(one.loaded.name for one in in_ram if not one.vram_bytes)
    words = {
        "total_too_small": _(
            "More is on the GPU than the memory typed for this server: type what it has."
        ),
        "partly_cpu": _("%(names)s: runs partly on the CPU, which is slow.", names=partly),
        "only_cpu": _("%(names)s: runs on the CPU only, which is slow.", names=only),
    }
    return tuple(words[one] for one in memory.warnings)
