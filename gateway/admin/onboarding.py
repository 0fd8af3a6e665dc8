"""The first steps: connect Ollama, choose models, make a key and see its first call arrive."""

from __future__ import annotations

from flask import render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.keys.views import to_created
from gateway.errors import InvalidRequest
from gateway.management.servers import changed
from gateway.schemas.server import Server
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, translated

STEPS = ("connect", "models", "key")


@bp.get("/welcome")
def welcome() -> str:
    """Show the step that comes next, or the one the address names."""
    parts = services()
    servers = parts.catalog.servers()
    models = [model for model in parts.catalog.models() if model.available]
    step = request.args.get("step", "")
    if step not in STEPS:
        step = "connect" if not servers else "models" if not parts.keys.search(limit=1) else "key"
    tried = []
    if step == "connect" and not servers:
        tried = parts.servers.discover(parts.config.ollama_urls or ())
    return render_template(
        "admin/welcome.html",
        step=step,
        servers=servers,
        views={view.server.id: view for view in parts.scheduler.views()},
        models=models,
        found=[one for one in tried if one.trouble is None],
        missing=[one for one in tried if one.trouble is not None],
    )


@bp.post("/welcome/connect")
def welcome_connect() -> AnyResponse:
    """Add the server that was chosen or typed, if it answers."""
    values = {"url": request.form.get("url", "")}
    try:
        trouble = services().servers.attempt(changed(Server(0, "", ""), values)).trouble
        if trouble is not None:
            words = f"{translated(trouble.message)} {translated(trouble.fix)}"
            return to_page("admin.welcome", words, "danger", step="connect")
        services().servers.create(values, actor())
    except InvalidRequest as error:
        return to_page("admin.welcome", translated(error.message), "danger", step="connect")
    return to_page("admin.welcome", step="models")


@bp.post("/welcome/models")
def welcome_models() -> AnyResponse:
    """Enable the ticked models and disable the others."""
    ticked = {int(text) for text in request.form.getlist("model") if text.isdigit()}
    models = services().catalog.models()
    on = [model.id for model in models if model.id in ticked and not model.enabled]
    off = [model.id for model in models if model.id not in ticked and model.enabled]
    for ids, enabled in ((on, True), (off, False)):
        if ids:
            services().models.enable(ids, enabled, actor())
    return to_page("admin.welcome", step="key")


@bp.post("/welcome/key")
def welcome_key() -> AnyResponse:
    """Make the first key and show it."""
    name = request.form.get("name", "").strip() or _("First key")
    try:
        key, secret = services().keys.issue({"name": name[:100]}, actor())
    except InvalidRequest as error:
        return to_page("admin.welcome", translated(error.message), "danger", step="key")
    return to_created(key, secret)
