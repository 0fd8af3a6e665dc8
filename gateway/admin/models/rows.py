"""The rows of the list of models: which of them are shown, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.admin import bp
from gateway.admin.models.state import ModelState, shown_state
from gateway.core.catalog import Model
from gateway.core.requests import Filter
from gateway.core.usage import Sums
from gateway.reports.model_state import STATES, place
from gateway.store.usage import usage_queries
from gateway.web.context import services
from gateway.web.words import _l

DAYS = 7
CAPABILITIES: Final[Mapping[str, tuple[str, str]]] = {
    "completion": ("chat-square-text", _l("Text")),
    "tools": ("wrench-adjustable", _l("Tools")),
    "thinking": ("lightbulb", _l("Thinking")),
    "vision": ("image", _l("Vision")),
    "audio": ("mic", _l("Audio")),
    "embedding": ("diagram-3", _l("Embeddings")),
    "decision": ("check-lg", _l("Decisions")),
    "insert": ("input-cursor-text", _l("Fill-in-the-middle")),
    "image": ("image", _l("Images")),
}
"""What models can do: icon and words, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model as the list shows it: what it can do beside writing, where it is, and its requests
    of the last days."""

    model: Model
    abilities: Sequence[str]
    state: ModelState
    servers: tuple[str, ...]
    requests: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a visitor asked to see; "" is all. `sort` is a column, with - before it descending."""

    search: str = ""
    capability: str = ""
    state: str = ""
    sort: str = "name"

    @property
    def is_narrow(self) -> bool:
        """Whether some models are left out."""
        return bool(self.search or self.capability or self.state)

    def order(self, column: str) -> str:
        """Return how the list is sorted by a column, as `aria-sort` has it; "" for another."""
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort, "")

    def next_sort(self, column: str, first: str) -> str:
        """Return the `sort` that a click on a column asks for: `first` is "-" where the largest
        stands on top, a second click turns the order round."""
        turned = {"ascending": "-", "descending": ""}
        return turned.get(self.order(column), first) + column


_SORTS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "name": lambda row: row.model.display_name.lower(),
    "state": lambda row: STATES.index(row.state.name),
    "size": lambda row: row.model.size_bytes,
    "requests": lambda row: row.requests,
}


@bp.app_template_filter()
def capability_look(name: str) -> tuple[str, str]:
    """Return the icon and the words of a capability, known or not."""
    return CAPABILITIES.get(name, ("tag", name))


def abilities(model: Model) -> list[str]:
    """Return what a model can do, in order; what nobody here has heard of comes last."""
    able = model.capabilities or frozenset()
    return [name for name in CAPABILITIES if name in able] + sorted(able - set(CAPABILITIES))


def wanted(values: Mapping[str, str]) -> Wanted:
    """Return what the values of an address ask for; those that mean nothing are left out."""
    capability, state = values.get("capability", ""), values.get("state", "")
    sort = values.get("sort", "")
    return Wanted(
        search=values.get("search", "").strip()[:200],
        capability=capability if capability in CAPABILITIES else "",
        state=state if state in STATES else "",
        sort=sort if sort.removeprefix("-") in _SORTS else "name",
    )


def all_rows(loading: Iterable[object]) -> list[Row]:
    """Return a row for each model; `loading` are Ollama's tags of those being loaded."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = Filter(since=midnight - timedelta(days=DAYS))
    used = dict(services().store.read_slow(usage_queries.by_group, since, "model", daily=True))
    names = {server.id: server.name for server in services().catalog.servers()}
    views, loading = services().scheduler.views(), set(loading)
    return [
        Row(
            model,
            [name for name in abilities(model) if name != "completion"] or abilities(model),
            shown_state(model, views, is_loading=model.name in loading),
            tuple(names[id_] for id_ in model.server_ids if id_ in names),
            used.get(str(model.id), Sums()).requests,
        )
        for model in services().catalog.models()
    ]


def shown_rows(rows: Iterable[Row], asked: Wanted) -> list[Row]:
    """Return the rows that were asked for, in their order; those nobody can call now are last."""
    found = sorted((row for row in rows if _fits(row, asked)), key=lambda row: _SORTS["name"](row))
    found.sort(key=_SORTS[asked.sort.removeprefix("-")], reverse=asked.sort.startswith("-"))
    return sorted(found, key=lambda row: place(row.state.name))


def _fits(row: Row, asked: Wanted) -> bool:
    model = row.model
    names = (model.name, model.display_name, *(alias.name for alias in model.aliases))
    return (
        any(asked.search.lower() in name.lower() for name in names)
        and (not asked.capability or asked.capability in (model.capabilities or ()))
        and (not asked.state or asked.state == row.state.name)
    )
