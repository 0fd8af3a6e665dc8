"""The state of a model in words, with colour and icon: the same on every page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.core.catalog import Model
from gateway.reports.model_state import State, state_of
from gateway.schemas.server import ServerView
from gateway.web.words import _, _l

_LOOKS: Final[Mapping[State, tuple[str, str, str]]] = {
    "missing": ("danger", _l("Missing"), ""),
    "disabled": ("secondary", _l("Disabled"), ""),
    "loading": ("info", _l("Loading"), "hourglass-split"),
    "stays_loaded": ("success", _l("Stays loaded"), "pin-angle"),
    "loaded": ("success", _l("In memory"), "memory"),
    "down": ("warning", _l("Server down"), ""),
    "cloud": ("secondary", _l("Cloud"), "box-arrow-up-right"),
    "on_disk": ("secondary", _l("On disk"), "database"),
}
_TITLES: Final[Mapping[State, str]] = {
    "missing": _l("No enabled server has it right now."),
    "disabled": _l("Clients cannot call it."),
    "stays_loaded": _l("It stays in memory until it is unloaded."),
    "down": _l("Every server that has it is down."),
    "cloud": _l("Ollama's cloud computes it."),
}


@dataclass(frozen=True, slots=True)
class Action:
    """A button of a model: `to` is what its form sends."""

    to: str
    words: str
    icon: str


@dataclass(frozen=True, slots=True)
class ModelState:
    """A state as people see it: `kind` is one of Bootstrap's and gives the colour. `loaded_on` are
    servers that have the model in memory, `is_kept` tells that it is there to stay. What can be
    done about it: `memory_action`, None where it is on no server, and `enabled_action`."""

    name: State
    kind: str
    words: str
    icon: str
    title: str
    loaded_on: tuple[str, ...]
    is_kept: bool
    memory_action: Action | None
    enabled_action: Action


def shown_state(
    model: Model, views: Sequence[ServerView], *, is_loading: bool = False
) -> ModelState:
    """Return the state of a model; of one in memory the title names the servers."""
    name = state_of(model, views, is_loading=is_loading)
    kind, words, icon = _LOOKS[name]
    loaded = {
        view.server.name: view.loaded[model.name] for view in views if model.name in view.loaded
    }
    return ModelState(
        name,
        kind,
        str(words),
        icon,
        title=" ".join(part for part in (str(_TITLES.get(name, "")), ", ".join(loaded)) if part),
        loaded_on=tuple(loaded),
        is_kept=bool(model.pinned_on) or any(one.stays_loaded for one in loaded.values()),
        memory_action=_memory_action(model, is_loading, bool(loaded)),
        enabled_action=Action("off", _("Disable"), "slash-circle")
        if model.enabled
        else Action("on", _("Enable"), "play-fill"),
    )


def _memory_action(model: Model, is_loading: bool, is_loaded: bool) -> Action | None:
    if is_loading:
        return Action("stop", _("Stop loading"), "stop-fill")
    if not model.available or model.remote:
        return None
    if is_loaded:
        return Action("unload", _("Unload"), "eject-fill")
    return Action("load", _("Load"), "memory")
