"""Which server a call of a model would get right now, and what was weighed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.catalog import Model
from gateway.policy.server_choice import Rank
from gateway.scheduling.routing_preview import Route
from gateway.web.context import services
from gateway.web.words import _, ngettext, translated

MAX_WINDOW = 10_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """A server as the table shows it: `kind` gives colour and icon, `words` the class it is in."""

    route: Route
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Ways:
    """The answer to "where would a call go?", best server first."""

    model: Model
    ways: tuple[Way, ...]
    verdict: str
    waiting: int


def choices() -> list[Model]:
    """Return the models one may ask about, by name."""
    found = [model for model in services().catalog.models() if model.enabled and model.available]
    return sorted(found, key=lambda model: model.display_name)


def find(model_id: int, num_ctx: int | None) -> Ways | None:
    """Return what is weighed for a call of a model; None when there is no such model."""
    model = next((model for model in choices() if model.id == model_id), None)
    if model is None:
        return None
    parts = services()
    routes = sorted(parts.scheduler.routes(model, num_ctx), key=_order)
    chosen = next((route for route in routes if route.is_chosen), None)
    waiting = parts.scheduler.waiting_everywhere().get(model.name, 0)
    return Ways(model, tuple(map(_way, routes)), _verdict(chosen, waiting), waiting)


def _order(route: Route) -> tuple[bool, int, float, int]:
    choice = route.choice
    if choice is None:
        return True, 0, 0.0, route.server.id
    burden = (route.in_flight + route.others + 1) / (route.server.weight or 1)
    return not route.is_chosen, int(choice.rank), burden, route.server.id


def _way(route: Route) -> Way:
    if route.choice is None:
        return Way(route, "bad", translated(route.reason))
    kind, words = {
        Rank.WARM: ("good", _("Loaded, a slot is free")),
        Rank.IDLE: ("info", _("Idle, must load the model")),
        Rank.CONTENDED: ("info", _("Must load it beside other models")),
        Rank.FULL: ("warn", _("Every slot is taken")),
        Rank.COOLDOWN: ("warn", _("Failed just now")),
    }[route.choice.rank]
    return Way(route, kind, words)


def _verdict(chosen: Route | None, waiting: int) -> str:
    if chosen is None or chosen.choice is None:
        return _("A call would be refused: no server can take it.")
    name = chosen.server.name
    if not chosen.choice.is_free:
        return _("A call would wait in line for the first free slot.")
    if waiting:
        return ngettext(
            "A call would wait behind %(num)d other.",
            "A call would wait behind %(num)d others.",
            waiting,
        )
    if chosen.choice.candidates == 1:
        return _("A call would go to “%(name)s”: no other server is as well placed.", name=name)
    return _(
        "A call would go to “%(name)s”: of %(count)s equally well placed the least busy for its "
        "weight. One that continues a conversation goes where that was before.",
        name=name,
        count=chosen.choice.candidates,
    )
