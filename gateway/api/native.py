"""Ollama's own API beside its generating endpoints: what there is, in which version, and pulls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from weakref import WeakKeyDictionary

import orjson
from flask import Response, g, request

from gateway.api import bp
from gateway.api.answers import STREAM_HEADERS, Complete, as_json
from gateway.api.hooks import speaks
from gateway.api.inbound import read_body
from gateway.core.admin import Actor
from gateway.core.catalog import Loaded, Model, Resolved
from gateway.core.chat import Json
from gateway.dialects.native import models
from gateway.dialects.native.answer import MEDIA_TYPE
from gateway.dialects.native.pull import PULL, SUCCESS, Progress
from gateway.dialects.native.request import read_stream
from gateway.dialects.native.words import error_body
from gateway.errors import Forbidden, GatewayError, ModelNotFound, Unavailable, UpstreamError
from gateway.management.model_jobs import GB
from gateway.management.model_operations import valid_name
from gateway.policy import access
from gateway.policy.routing import Index
from gateway.scheduling.servers import described
from gateway.schemas.key import Key
from gateway.store.jobs import Job
from gateway.web.context import Services, services

_CANCELLED = "The pull was cancelled."
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
    model = services().catalog.resolve(models.read_name(body), g.key).model
    services().limiter.count(g.key, models.SHOW.vendor.name)
    return as_json(models.render_show(_description(model, services().catalog.index()), model))


@bp.post("/api/pull", strict_slashes=False)
@speaks(PULL)
def native_pull() -> Response:
    """Have a server pull a model, as a job of the console that goes on when the caller leaves."""
    parts, key = services(), g.key
    body, _ = read_body(parts)
    asked = models.read_name(body)
    _check_may_pull(asked, key, parts)
    name = _to_pull(asked, key, parts)
    is_streamed = read_stream(body)
    parts.limiter.count(key, PULL.vendor.name)
    limit_gb = parts.settings.behaviour().pull_limit_gb
    actor = Actor("key", key.name, key.id, ip=request.remote_addr or "")
    (pull,) = parts.pulls.begin(name, [_server_for(name)], actor, max_bytes=limit_gb * GB)
    if is_streamed:
        lines = _progress(parts, pull.job.id)
        return Complete(
            lines, content_type=MEDIA_TYPE, headers=STREAM_HEADERS, direct_passthrough=True
        )
    *_, job = parts.pulls.watch(pull.job.id)
    if job.state != "done":
        raise UpstreamError(job.error or _CANCELLED)
    return as_json(SUCCESS)


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
        found = described(services().scheduler.servers, model)
        if len(known) >= _KEPT:
            known.clear()
        known[model.id] = (time.monotonic(), found)
    return found


def _check_may_pull(asked: str, key: Key, parts: Services) -> None:
    """Raise Forbidden when the key may not pull. Ollama's command line pulls what it does not find,
    so a name that nobody has is said to be one."""
    try:
        access.check_scope(key, PULL.scope, PULL.label)
    except Forbidden as refused:
        try:
            parts.catalog.resolve(asked, key)
        except ModelNotFound as unknown:
            raise Forbidden(f"{unknown.message} {refused.message}") from None
        raise


def _to_pull(asked: str, key: Key, parts: Services) -> str:
    """Return Ollama's name of a model that a key wants to have pulled: one that there is, by any of
    its names, or a new one. Raises InvalidRequest, Forbidden."""
    known = Index(replace(one, enabled=True, available=True) for one in parts.catalog.models())
    found = known.find(asked, patterns=False)
    if found is None:
        name = valid_name(asked)
        found = Resolved(Model(0, name, name))
    access.check_model(key, found)
    return found.model.name


def _server_for(name: str) -> int:
    """Return the id of the first server that has the model, or else of the first one; of those
    that can be asked. Raises Unavailable."""
    servers = [one for one in services().scheduler.servers.values() if one.open]
    if not servers:
        raise Unavailable("No server can be asked to pull now; try again.")
    having = [one for one in servers if name in one.names]
    return (having or servers)[0].server.id


def _progress(parts: Services, job_id: int) -> Iterator[bytes]:
    """Yield the lines of a pull, at least one a second, so that a caller who left is noticed."""
    progress = Progress()
    try:
        for job in parts.pulls.watch(job_id):
            if parts.draining.is_set():
                raise Unavailable("The gateway is shutting down; the pull goes on after it.")
            lines = progress.lines(job.status, job.layers) if job.is_open else [_end(job)]
            yield b"".join(orjson.dumps(line) + b"\n" for line in lines)
    except GatewayError as error:
        yield orjson.dumps(error_body(error)) + b"\n"


def _end(job: Job) -> Json:
    """Return the last line of a pull."""
    return SUCCESS if job.state == "done" else {"error": job.error or _CANCELLED}
