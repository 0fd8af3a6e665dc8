"""Which server a call of a model would get right now, and what was weighed."""

from __future__ import annotations

from typing import Any

from gateway.core.catalog import Model
from gateway.policy.server_choice import Rank
from gateway.scheduling.routing_preview import Route
from gateway.web.context import services
from gateway.web.words import _, ngettext, translated

MAX_WINDOW = 10_000_000


def choices() -> list[Model]:
    """Return the models one may ask about, by name."""
    found = [model for model in services().catalog.models() if model.enabled and model.available]
    return sorted(found, key=lambda model: model.display_name)


def find(model_id: int, num_ctx: int | None) -> dict[str, Any] | None:
    """Return the answer to "where would a call of a model go?": a `verdict`, and `ways`, the best
    server first, each with colour and words; None when there is no such model."""
    model = next((model for model in choices() if model.id == model_id), None)
    if model is None:
        return None
    parts = services()
    routes = sorted(parts.scheduler.routes(model, num_ctx), key=_order)
    chosen = next((route for route in routes if route.is_chosen), None)
    waiting = parts.scheduler.waiting_everywhere().get(model.name, 0)
    ways = [(route, *_class_of(route)) for route in routes]
    return {"model": model, "ways": ways, "verdict": _verdict(chosen, waiting)}


def _order(route: Route) -> tuple[bool, int, float, int]:
    choice = route.choice
    if choice is None:
        return True, 0, 0.0, route.server.id
    burden = (route.in_flight + route.others + 1) / (route.server.weight or 1)
    return not route.is_chosen, int(choice.rank), burden, route.server.id


def _class_of(route: Route) -> tuple[str, str]:
    """Return the colour and the words of the class a server is in."""
    if route.choice is None:
        return "bad", translated(route.reason)
    return {
        Rank.WARM: ("good", _("Loaded, a slot is free")),
        Rank.IDLE: ("info", _("Idle, must load the model")),
        Rank.CONTENDED: ("info", _("Must load it beside other models")),
        Rank.FULL: ("warn", _("Every slot is taken")),
        Rank.COOLDOWN: ("warn", _("Failed just now")),
    }[route.choice.rank]


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
