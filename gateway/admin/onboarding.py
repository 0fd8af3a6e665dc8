"""The first steps: connect Ollama, choose or pull models, make a key and see its first request."""

from __future__ import annotations

from flask import render_template, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField

from gateway.admin import bp
from gateway.admin.answers import sent
from gateway.admin.forms.fields import schema_field
from gateway.admin.keys.views import to_created
from gateway.admin.models.list import job_rows
from gateway.management.servers import Tried, changed
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, _l, translated

STEPS = ("connect", "models", "key")
SUGGESTED = {
    "llama3.2": 2_000_000_000,
    "qwen3:4b": 2_500_000_000,
    "gemma3:4b": 3_300_000_000,
    "nomic-embed-text": 274_000_000,
}
"""Models to begin with, and the bytes of each in Ollama's library."""


class ConnectForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """The address of the first server."""

    url = schema_field(Server, "url")


class FirstPullForm(FlaskForm):  # type: ignore[misc]  # as above
    """A model to begin with, by its name in Ollama's library."""

    model = StringField(
        _l("Another model"),
        description=_l(
            "As in Ollama's library, such as llama3.2 or qwen3:8b, or hf.co/user/model."
        ),
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )


class FirstKeyForm(FlaskForm):  # type: ignore[misc]  # as above
    """The name of the first key."""

    name = schema_field(Key, "name", autofocus=True)


@bp.get("/welcome")
def welcome() -> str:
    """Show the step that comes next, or the one the address names."""
    step = request.args.get("step", "")
    if step not in STEPS:
        step = "models" if services().catalog.servers() else "connect"
    if step == "connect" and not services().catalog.servers():
        return _page(step, tried=services().servers.discover(services().config.ollama_urls or ()))
    return _page(step)


@bp.post("/welcome/connect")
def welcome_connect() -> AnyResponse | str:
    """Add the server that was chosen or typed, if it answers or is to be added anyway."""
    form = ConnectForm()
    values = {"url": form.url.data or ""}
    tried = sent(form, lambda: services().servers.attempt(changed(Server(0, "", ""), values)))
    if tried is None:
        return _page("connect", form)
    if tried.trouble is not None and "anyway" not in request.form:
        trouble = f"{translated(tried.trouble.message)} {translated(tried.trouble.fix)}"
        form.url.errors = [trouble.strip()]
        return _page("connect", form, may_add_anyway=True)
    if sent(form, lambda: services().servers.create(values, actor())) is None:
        return _page("connect", form)
    return to_page("admin.welcome", step="models")


@bp.post("/welcome/models")
def welcome_models() -> AnyResponse:
    """Enable the ticked models and disable the others of those that were listed."""
    ticked, listed = _numbers("model"), _numbers("listed")
    models = [model for model in services().catalog.models() if model.id in listed]
    on = [model.id for model in models if model.id in ticked and not model.enabled]
    off = [model.id for model in models if model.id not in ticked and model.enabled]
    for ids, enabled in ((on, True), (off, False)):
        if ids:
            services().models.enable(ids, enabled, actor())
    return to_page("admin.welcome", step="key")


@bp.post("/welcome/pull")
def welcome_pull() -> AnyResponse | str:
    """Have the first enabled server fetch the model that was chosen or typed."""
    form = FirstPullForm()
    name = request.form.get("suggested") or form.model.data or ""
    ids = [server.id for server in services().catalog.servers() if server.enabled][:1]
    if not ids:
        return to_page("admin.welcome", step="connect")
    if sent(form, lambda: services().pulls.begin(name, ids, actor())) is None:
        return _page("models", form)
    return to_page("admin.welcome", step="models")


@bp.post("/welcome/key")
def welcome_key() -> AnyResponse | str:
    """Make the first key and show it."""
    form = FirstKeyForm()
    made = sent(form, lambda: services().keys.issue({"name": form.name.data}, actor()))
    return _page("key", form) if made is None else to_created(*made)


def _page(
    step: str,
    form: FlaskForm | None = None,
    *,
    tried: list[Tried] | None = None,
    may_add_anyway: bool = False,
) -> str:
    """Return the page of a step; `form` is one that was refused, `tried` are addresses looked
    at."""
    parts, tried = services(), tried or []
    return render_template(
        "admin/welcome.html",
        step=step,
        form=form or _empty_form(step),
        servers=parts.catalog.servers(),
        views={view.server.id: view for view in parts.scheduler.views()},
        models=[model for model in parts.catalog.models() if model.available],
        jobs=job_rows(services().pulls.current()) if step == "models" else [],
        suggested=SUGGESTED,
        found=[one for one in tried if one.trouble is None],
        missing=[one for one in tried if one.trouble is not None],
        may_add_anyway=may_add_anyway,
    )


def _empty_form(step: str) -> FlaskForm:
    if step == "connect":
        return ConnectForm(formdata=None)
    if step == "models":
        return FirstPullForm(formdata=None)
    return FirstKeyForm(formdata=None, data={"name": _("First key")})


def _numbers(field: str) -> set[int]:
    return {int(text) for text in request.form.getlist(field) if text.isdigit()}
