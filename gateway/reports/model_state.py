"""What state a model is in, over all servers: one word, the first that is true of it.

missing        no enabled server lists it
disabled       clients cannot call it
loading        a job of the console brings it into memory
stays_loaded   it is in memory of a server until it is unloaded
loaded         it is in memory of a server
down           every server that has it is down
cloud          Ollama's cloud computes it
on_disk        it is loaded when somebody calls it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias, get_args

from gateway.core.catalog import Model
from gateway.schemas.server import ServerView

State: TypeAlias = Literal[
    "missing", "disabled", "loading", "stays_loaded", "loaded", "down", "cloud", "on_disk"
]
STATES: Final[tuple[State, ...]] = get_args(State)
LAST: Final[tuple[State, ...]] = ("down", "missing")
"""Models nobody can call now; lists have them at their end, in this order."""


def state_of(model: Model, views: Sequence[ServerView], *, is_loading: bool = False) -> State:
    """Return the state of a model."""
    if not model.available:
        return "missing"
    if not model.enabled:
        return "disabled"
    if is_loading:
        return "loading"
    loaded = [view.loaded[model.name] for view in views if model.name in view.loaded]
    if loaded:
        return "stays_loaded" if any(one.stays_loaded for one in loaded) else "loaded"
    if is_down(model, views):
        return "down"
    return "cloud" if model.remote else "on_disk"


def is_down(model: Model, views: Iterable[ServerView]) -> bool:
    """Whether every server that has a model is down; not where none has it."""
    states = [view.state for view in views if view.server.id in model.server_ids]
    return bool(states) and all(state == "down" for state in states)


def place(state: State) -> int:
    """Return where models of a state stand in a list: a number to sort by."""
    return LAST.index(state) + 1 if state in LAST else 0
