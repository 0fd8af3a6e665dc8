"""The first steps: connect Ollama, choose models, make a key and see its first call arrive."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.forms.servers import ServerForm
from gateway.admin.keys.views import SLOT
from gateway.errors import InvalidRequest
from gateway.schemas.server import Server
from gateway.web.context import actor, services
from gateway.web.one_time_secret import hand_over
from gateway.web.words import _, translated

STEPS = ("connect", "models", "key")
SUGGESTED = ("llama3.2", "qwen3:4b", "gemma3:4b", "nomic-embed-text")


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
        steps=_steps(),
        servers=servers,
        views={view.server.id: view for view in parts.scheduler.views()},
        models=models,
        found=[one for one in tried if one.trouble is None],
        missing=[one for one in tried if one.trouble is not None],
        form=ServerForm(),
        suggested=SUGGESTED,
    )


@bp.post("/welcome/connect")
def welcome_connect() -> AnyResponse:
    """Add the server that was chosen or typed, if it answers."""
    form = ServerForm()
    if not form.url.validate(form):
        flash(" ".join(str(error) for error in form.url.errors), "danger")
        return redirect(url_for("admin.welcome", step="connect"), 303)
    url = form.url.data
    trouble = services().servers.attempt(Server(0, "candidate", url)).trouble
    if trouble is not None and not request.form.get("anyway"):
        flash(f"{translated(trouble.message)} {translated(trouble.fix)}", "danger")
        return redirect(url_for("admin.welcome", step="connect"), 303)
    name = urlsplit(url).hostname or "ollama"
    try:
        services().servers.create({"url": url, "name": name}, actor())
    except InvalidRequest as error:
        flash(translated(error.message), "danger")
        return redirect(url_for("admin.welcome", step="connect"), 303)
    return redirect(url_for("admin.welcome", step="models"), 303)


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
    return redirect(url_for("admin.welcome", step="key"), 303)


@bp.post("/welcome/key")
def welcome_key() -> AnyResponse:
    """Make the first key and show it."""
    name = request.form.get("name", "").strip() or _("First key")
    try:
        key, secret = services().keys.issue({"name": name[:100]}, actor())
    except InvalidRequest as error:
        flash(translated(error.message), "danger")
        return redirect(url_for("admin.welcome", step="key"), 303)
    return redirect(url_for("admin.key_created", token=hand_over(SLOT, secret, key.id)), 303)


def _steps() -> list[tuple[str, str]]:
    words = {"connect": _("Connect Ollama"), "models": _("Choose models"), "key": _("First key")}
    return [(name, words[name]) for name in STEPS]
