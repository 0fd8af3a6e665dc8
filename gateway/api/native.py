"""Ollama's own API beside its generating endpoints: what there is, and in which version."""

from __future__ import annotations

import time
from weakref import WeakKeyDictionary

from flask import Response, g

from gateway.api import bp
from gateway.api.answers import as_json
from gateway.api.hooks import speaks
from gateway.api.inbound import read_body
from gateway.core.catalog import Loaded, Model
from gateway.core.chat import Json
from gateway.dialects.native import models
from gateway.errors import Forbidden, GatewayError, Unavailable
from gateway.policy import access, roles
from gateway.policy.routing import Index
from gateway.web.context import services

_KEPT_FOR_S = 60.0
_KEPT = 64
_descriptions: WeakKeyDictionary[Index, dict[int, tuple[float, Json]]] = WeakKeyDictionary()
"""What servers said of models, by model id, with the time it was said. A model whose files change
is one of another index."""


@bp.get("/api/version", strict_slashes=False)
@speaks(models.VERSION)
def native_version() -> Response:
    """Return the version of Ollama behind the gateway."""
    servers = services().scheduler.servers.values()
    enabled = [server.version for server in servers if server.server.enabled]
    return as_json(models.render_version(enabled))


@bp.get("/api/tags", strict_slashes=False)
@speaks(models.TAGS)
def native_tags() -> Response:
    """List the models of the key."""
    access.check_scope(g.key, models.TAGS.scope, models.TAGS.label)
    visible = access.visible(g.key, services().catalog.index().models)
    return as_json(models.render_tags(visible))


@bp.get("/api/ps", strict_slashes=False)
@speaks(models.PS)
def native_ps() -> Response:
    """List the models of the key that are in memory."""
    access.check_scope(g.key, models.PS.scope, models.PS.label)
    visible = access.visible(g.key, services().catalog.index().models)
    return as_json(models.render_ps(visible, _loaded()))


@bp.post("/api/show", strict_slashes=False)
@speaks(models.SHOW)
def native_show() -> Response:
    """Describe a model of the key, as the first server describes it that can be asked."""
    access.check_scope(g.key, models.SHOW.scope, models.SHOW.label)
    body, _ = read_body(services())
    index = services().catalog.index()
    model = roles.resolve(models.read_name(body), g.key, index).model
    services().limiter.count(g.key, models.SHOW.vendor.name)
    return as_json(models.render_show(_description(model, index), model))


@bp.post("/api/pull", strict_slashes=False)
@bp.post("/api/push", strict_slashes=False)
@bp.post("/api/create", strict_slashes=False)
@bp.post("/api/copy", strict_slashes=False)
@bp.delete("/api/delete", strict_slashes=False)
@bp.route("/api/blobs/<digest>", methods=["HEAD", "POST"], strict_slashes=False)
@speaks(models.TAGS)
def native_refused(digest: str = "") -> Response:
    """Refuse: models are managed in the console."""
    raise Forbidden("A key may not change what models there are: they are managed in the console.")


def _loaded() -> dict[str, Loaded]:
    """Return each model in memory, by Ollama's name, as the server has it with the largest
    window."""
    found: dict[str, Loaded] = {}
    for server in services().scheduler.servers.values():
        for name, one in server.loaded.items():
            known = found.get(name)
            if known is None or known.context_tokens < one.context_tokens:
                found[name] = one
    return found


def _description(model: Model, index: Index) -> Json:
    """Return what a server says of a model, or said within the last minute. Raises GatewayError."""
    known = _descriptions.setdefault(index, {})
    asked_s, found = known.get(model.id, (0.0, None))
    if found is None or time.monotonic() - asked_s > _KEPT_FOR_S:
        found = _described(model.name, model.server_ids)
        if len(known) >= _KEPT:
            known.clear()
        known[model.id] = (time.monotonic(), found)
    return found


def _described(name: str, server_ids: tuple[int, ...]) -> Json:
    """Return what a server says of a model. Raises the error of the last one that was asked."""
    error: GatewayError = Unavailable("No server that has this model can be asked now; try again.")
    servers = services().scheduler.servers
    for server_id in server_ids:
        server = servers.get(server_id)
        if server is None or not server.open:
            continue
        try:
            return server.client.description(name)
        except GatewayError as failure:
            error = failure
    raise error
