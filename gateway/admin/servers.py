"""Servers: the Ollama servers behind the gateway, their tests and states; who gets a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import abort, flash, render_template, request, url_for
from flask_bootstrap import SwitchField
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SubmitField

from gateway.admin import bp
from gateway.admin.answers import Question, asked, edited, sent
from gateway.admin.edits import Edited, EditForm
from gateway.admin.forms.fields import schema_field
from gateway.admin.memory import cards as memory_cards
from gateway.core.catalog import Model
from gateway.management.servers import Tried, changed
from gateway.policy.server_choice import Rank
from gateway.scheduling.routing_preview import Route
from gateway.schemas.server import Server
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, _l, ngettext, translated

_MAX_WINDOW = 10_000_000
_NEW = Server(0, "", "")
_PLAIN = ("url", "name", "weight", "slots", "vram_gb", "tls_verify", "tls_ca_file", "tags")


class ServerForm(EditForm):
    """An Ollama server, each field as the schema has it."""

    forget_header = SwitchField(_l("Forget the stored header"))
    submit = SubmitField(_l("Save server"))


for _name in ("auth_header", *_PLAIN):
    setattr(ServerForm, _name, schema_field(Server, _name))


@bp.get("/servers")
def servers() -> str:
    """Show a card for each server, and which of them a request would go to."""
    num_ctx = request.args.get("num_ctx", 0, int)
    num_ctx = num_ctx if 0 < num_ctx <= _MAX_WINDOW else 0
    waiting = services().scheduler.waiting_everywhere()
    cards = [
        {
            "view": card.view,
            "status": card.status,
            "memory": card,
            "in_flight": sum(card.view.in_flight.values()),
            "waiting": sum(count for name, count in waiting.items() if name in card.view.names),
        }
        for card in memory_cards(services().scheduler.views())
    ]
    return render_template(
        "admin/servers/list.html",
        cards=cards,
        models=[(model.id, model.display_name) for model in _callable()],
        num_ctx=num_ctx,
        ways=_routes(request.args.get("model", 0, int), num_ctx or None),
    )


@bp.route("/servers/new", methods=["GET", "POST"])
def server_new() -> AnyResponse | str:
    """Add a server, after trying it."""
    form = ServerForm(obj=replace(_NEW, url=request.args.get("url", "")))
    tried = sent(form, lambda: services().servers.attempt(changed(_NEW, _values(form))))
    if _is_to_save(tried):
        made = sent(form, lambda: services().servers.create(_values(form), actor()))
        if made is not None:
            return to_page("admin.servers", _("“%(name)s” was added.", name=made.name))
    return render_template("admin/servers/form.html", form=form, tried=tried)


@bp.route("/servers/<id:server_id>", methods=["GET", "POST"])
def server(server_id: int) -> AnyResponse | str:
    """Change a server; a test shows whether the new address works before it is saved."""
    found = services().catalog.server(server_id)
    form = ServerForm(obj=found)

    def attempt() -> Tried:  # a header that was not typed again counts, never at another host
        return services().servers.attempt(replace(changed(found, _values(form)), id=0))

    what = Edited("server", server_id, (*_PLAIN, "has_auth_header"))
    tried = edited(form, what, attempt)
    if _is_to_save(tried):
        saved = sent(form, lambda: services().servers.update(server_id, _values(form), actor()))
        if saved is not None:
            return to_page("admin.servers", _("“%(name)s” was changed.", name=saved.name))
    return render_template("admin/servers/form.html", form=form, server=found, tried=tried)


@bp.post("/servers/<id:server_id>/probe")
def server_probe(server_id: int) -> AnyResponse:
    """Test a server now and say what came of it."""
    found = services().catalog.server(server_id)
    tried = services().servers.attempt(found)
    if tried.trouble is not None:
        message, fix = translated(tried.trouble.message), translated(tried.trouble.fix)
        return to_page("admin.servers", f"{found.name}: {message} {fix}", "danger")
    models = ngettext("%(num)d model", "%(num)d models", len(tried.models))
    words = _("%(name)s answers: %(models)s.", name=found.name, models=models)
    return to_page("admin.servers", words)


@bp.post("/servers/<id:server_id>/state")
def server_state(server_id: int) -> AnyResponse:
    """Enable, drain or disable a server."""
    changes = {
        "enabled": {"enabled": True, "draining": False},
        "draining": {"draining": True},
        "disabled": {"enabled": False, "draining": False},
    }.get(request.form.get("to", ""))
    if changes is None:
        abort(400)
    found = services().servers.update(server_id, changes, actor())
    return to_page("admin.servers", _("“%(name)s” was changed.", name=found.name))


@bp.post("/servers/refresh")
def servers_refresh() -> AnyResponse:
    """Ask every server for its models."""
    refreshed = services().refresher.refresh()
    for one in refreshed:
        if one.error:
            flash(f"{one.server_name}: {one.error} {one.fix}", "danger")
    good = [one for one in refreshed if not one.error]
    if good:
        words = ngettext("%(num)d model", "%(num)d models", sum(one.models for one in good))
        flash(_("Refreshed: %(models)s.", models=words), "success")
    return to_page("admin.models" if request.form.get("back") == "models" else "admin.servers")


@bp.route("/servers/<id:server_id>/delete", methods=["GET", "POST"])
def server_delete(server_id: int) -> AnyResponse | str:
    """Remove a server, after saying which models leave with it."""
    found = services().catalog.server(server_id)
    if page := asked(_delete_question(found)):
        return page
    services().servers.delete(server_id, actor())
    return to_page("admin.servers", _("“%(name)s” was removed.", name=found.name))


def _is_to_save(tried: Tried | None) -> bool:
    """Return whether a server is saved after a trial, rather than its outcome shown."""
    if tried is None or request.form.get("do") == "test":
        return False
    return tried.trouble is None or "anyway" in request.form


def _values(form: ServerForm) -> dict[str, object]:
    values: dict[str, object] = {name: form[name].data for name in _PLAIN}
    header = request.form.get("auth_header", "").strip()  # what was typed, not what is stored
    if header:
        values["auth_header"] = header
    elif form.forget_header.data:
        values["auth_header"] = ""
    return values


def _delete_question(found: Server) -> Question:
    alone = [m.display_name for m in services().catalog.models() if m.server_ids == (found.id,)]
    effects = [_("Nothing on the server itself is changed.")]
    if alone:
        names = ", ".join(alone[:8]) + (" …" if len(alone) > 8 else "")
        effects.append(
            ngettext(
                "%(num)d model is only there and cannot be called any more: %(names)s",
                "%(num)d models are only there and cannot be called any more: %(names)s",
                len(alone),
                names=names,
            )
        )
    views = [view for view in services().scheduler.views() if view.server.id == found.id]
    running = sum(count for view in views for count in view.in_flight.values())
    if running:
        effects.append(
            ngettext(
                "%(num)d active request may finish.", "%(num)d active requests may finish.", running
            )
        )
    title, back = (
        _("Remove “%(name)s”?", name=found.name),
        url_for("admin.server", server_id=found.id),
    )
    return Question(title, _("Remove server"), back, found.name, effects)


def _callable() -> list[Model]:
    """Return the models one may ask about, by name."""
    found = [model for model in services().catalog.models() if model.enabled and model.available]
    return sorted(found, key=lambda model: model.display_name)


def _routes(model_id: int, num_ctx: int | None) -> dict[str, Any] | None:
    """Return the answer to "where would a call of a model go?": a `verdict`, and `ways`, the best
    server first, each with colour and words; None when there is no such model."""
    model = next((model for model in _callable() if model.id == model_id), None)
    if model is None:
        return None
    parts = services()
    routes = sorted(parts.scheduler.routes(model, num_ctx), key=_order)
    chosen = next((route for route in routes if route.is_chosen), None)
    waiting = parts.scheduler.waiting_everywhere().get(model.name, 0)
    ways = [(route, *_class_of(route)) for route in routes]
    return {"model_id": model.id, "ways": ways, "verdict": _verdict(chosen, waiting)}


def _order(route: Route) -> tuple[bool, int, float, int]:
    choice = route.choice
    if choice is None:
        return True, 0, 0.0, route.server.id
    burden = (route.in_flight + route.others + 1) / (route.server.weight or 1)
    return not route.is_chosen, int(choice.rank), burden, route.server.id


def _class_of(route: Route) -> tuple[str, str]:
    """Return the colour and the words of the class a server is in."""
    if route.choice is None:
        return "danger", translated(route.reason)
    return {
        Rank.WARM: ("success", _("Loaded, a slot is free")),
        Rank.IDLE: ("info", _("Idle, must load the model")),
        Rank.CONTENDED: ("info", _("Must load it beside other models")),
        Rank.FULL: ("warning", _("Every slot is taken")),
        Rank.COOLDOWN: ("warning", _("Failed just now")),
    }[route.choice.rank]


def _verdict(chosen: Route | None, waiting: int) -> str:
    if chosen is None or chosen.choice is None:
        return _("A request would be refused: no server can take it.")
    name = chosen.server.name
    if not chosen.choice.is_free:
        return _("A request would wait in the queue for the first free slot.")
    if waiting:
        return ngettext(
            "A request would wait behind %(num)d other.",
            "A request would wait behind %(num)d others.",
            waiting,
        )
    if chosen.choice.candidates == 1:
        return _("A request would go to “%(name)s”: it is the best match.", name=name)
    return _(
        "A request would go to “%(name)s”: of %(count)s equally good matches the least busy for "
        "its weight. One that continues a conversation goes where that was before.",
        name=name,
        count=chosen.choice.candidates,
    )
