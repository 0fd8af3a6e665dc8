"""Servers: the Ollama servers behind the gateway. Cards, live tests, drain, disable, remove."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Response, abort, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp, confirm
from gateway.admin.forms.errors import into_form
from gateway.admin.forms.servers import ServerForm
from gateway.admin.servers import routing_preview
from gateway.admin.status import Status, of, overall
from gateway.errors import InvalidRequest, NotFound
from gateway.management.servers import Tried, changed
from gateway.schemas.server import Server, ServerView
from gateway.web.context import actor, services
from gateway.web.words import _, ngettext, translated

_NEW = Server(0, "", "")


@dataclass(frozen=True, slots=True)
class Card:
    """A server with everything its card shows."""

    view: ServerView
    status: Status
    in_flight: int
    waiting: int


@bp.get("/servers")
def servers() -> str:
    """Show a card for each server, and which of them a call would get."""
    num_ctx = request.args.get("num_ctx", 0, int)
    num_ctx = num_ctx if 0 < num_ctx <= routing_preview.MAX_WINDOW else 0
    return render_template(
        "admin/servers/list.html",
        cards=_cards(),
        models=routing_preview.choices(),
        num_ctx=num_ctx,
        ways=routing_preview.find(request.args.get("model", 0, int), num_ctx or None),
    )


@bp.get("/status.json")
def status() -> Response:
    """Return the top bar how the servers are."""
    found = overall()
    return jsonify(
        kind=found.kind, words=found.words, reason=found.reason, in_flight=found.in_flight
    )


@bp.route("/servers/new", methods=["GET", "POST"])
def server_new() -> AnyResponse | str:
    """Add a server, after trying it."""
    form = ServerForm(obj=replace(_NEW, url=request.args.get("url", "")))
    heading = _("Add a server")
    if not form.validate_on_submit():
        return render_template("admin/servers/form.html", form=form, heading=heading)
    try:
        tried = services().servers.attempt(changed(_NEW, _values(form)))
    except InvalidRequest as error:
        into_form(form, error)
        return render_template("admin/servers/form.html", form=form, heading=heading)
    if request.form.get("do") == "test" or (tried.trouble and not request.form.get("anyway")):
        return _tried_page(form, heading, tried)
    try:
        made = services().servers.create(_values(form), actor())
    except InvalidRequest as error:
        into_form(form, error)
        return render_template("admin/servers/form.html", form=form, heading=heading)
    flash(_("“%(name)s” was added.", name=made.name), "success")
    return redirect(url_for("admin.servers"), 303)


@bp.route("/servers/<id:server_id>", methods=["GET", "POST"])
def server(server_id: int) -> AnyResponse | str:
    """Change a server; a test shows whether the new address works before it is saved."""
    found = _server(server_id)
    form = ServerForm(obj=found)
    heading = _("Edit “%(name)s”", name=found.name)
    if not form.validate_on_submit():
        return _form_page(form, heading, found)
    try:  # a header that was not typed again counts, though never at another host
        tried = services().servers.attempt(replace(changed(found, _values(form)), id=0))
    except InvalidRequest as error:
        into_form(form, error)
        return _form_page(form, heading, found)
    if request.form.get("do") == "test" or (tried.trouble and not request.form.get("anyway")):
        return _tried_page(form, heading, tried, found)
    try:
        services().servers.update(server_id, _values(form), actor())
    except InvalidRequest as error:
        into_form(form, error)
        return _form_page(form, heading, found)
    flash(_("The server was changed."), "success")
    return redirect(url_for("admin.servers"), 303)


@bp.post("/servers/<id:server_id>/probe")
def server_probe(server_id: int) -> AnyResponse:
    """Test a server now and say what came of it."""
    found = _server(server_id)
    tried = services().servers.attempt(found)
    if tried.trouble is None:
        words = ngettext("%(num)d model", "%(num)d models", len(tried.models))
        flash(_("%(name)s answers: %(models)s.", name=found.name, models=words), "success")
    else:
        message, fix = translated(tried.trouble.message), translated(tried.trouble.fix)
        flash(f"{found.name}: {message} {fix}", "danger")
    return redirect(url_for("admin.servers"), 303)


@bp.post("/servers/<id:server_id>/state")
def server_state(server_id: int) -> AnyResponse:
    """Enable, drain or disable a server."""
    found = _server(server_id)
    changes = {
        "enabled": {"enabled": True, "draining": False},
        "draining": {"draining": True},
        "disabled": {"enabled": False, "draining": False},
    }.get(request.form.get("to", ""))
    if changes is None:
        abort(400)
    services().servers.update(server_id, changes, actor())
    flash(_("“%(name)s” was changed.", name=found.name), "success")
    return redirect(url_for("admin.servers"), 303)


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
    return redirect(_back(), 303)


@bp.route("/servers/<id:server_id>/delete", methods=["GET", "POST"])
def server_delete(server_id: int) -> AnyResponse | str:
    """Remove a server, after saying which models leave with it."""
    found = _server(server_id)
    question = _delete_question(found)
    if confirm.answered(question):
        services().servers.delete(server_id, actor())
        flash(_("“%(name)s” was removed.", name=found.name), "success")
        return redirect(url_for("admin.servers"), 303)
    return confirm.page(question)


def _cards() -> list[Card]:
    waiting = services().scheduler.waiting_everywhere()
    return [
        Card(
            view,
            of(view),
            sum(view.in_flight.values()),
            sum(count for name, count in waiting.items() if name in view.names),
        )
        for view in services().scheduler.views()
    ]


def _server(server_id: int) -> Server:
    try:
        return services().catalog.server(server_id)
    except NotFound:
        abort(404)


def _values(form: ServerForm) -> dict[str, object]:
    names = ("url", "name", "weight", "slots", "tls_verify", "tls_ca_file", "tags")
    values: dict[str, object] = {name: form[name].data for name in names}
    header = request.form.get("auth_header", "").strip()  # what was typed, not what is stored
    if header:
        values["auth_header"] = header
    elif form.forget_header.data:
        values["auth_header"] = ""
    return values


def _form_page(form: ServerForm, heading: str, found: Server) -> str:
    return render_template(
        "admin/servers/form.html",
        form=form,
        heading=heading,
        server=found,
        has_header=bool(found.auth_header),
    )


def _tried_page(form: ServerForm, heading: str, tried: Tried, found: Server | None = None) -> str:
    return render_template(
        "admin/servers/form.html",
        form=form,
        heading=heading,
        server=found,
        has_header=found is not None and bool(found.auth_header),
        tried=tried,
    )


def _delete_question(found: Server) -> confirm.Question:
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
    view = next((v for v in services().scheduler.views() if v.server.id == found.id), None)
    running = sum(view.in_flight.values()) if view is not None else 0
    if running:
        effects.append(
            ngettext(
                "%(num)d running call may finish.", "%(num)d running calls may finish.", running
            )
        )
    return confirm.Question(
        title=_("Remove “%(name)s”?", name=found.name),
        yes=_("Remove server"),
        back=url_for("admin.server", server_id=found.id),
        back_words=found.name,
        effects=effects,
    )


def _back() -> str:
    if request.form.get("back") == "models":
        return url_for("admin.models")
    return url_for("admin.servers")
