"""Models: list, change names, parameters and fallbacks, refresh from Ollama."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import bp
from gateway.admin_api.reading import answer, body, body_or_nothing, field, only
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.store import catalog
from gateway.web.context import services


@bp.get("/models")
def list_models() -> Response:
    """List every model, also disabled and missing ones."""
    return answer({"data": [_shown(model) for model in services().catalog.models()]})


@bp.get("/models/<id:model_id>")
def get_model(model_id: int) -> Response:
    """Return one model with what Ollama tells of it."""
    shown = _shown(services().catalog.model(model_id))
    return answer({**shown, "details": services().store.read(catalog.details, model_id)})


@bp.patch("/models/<id:model_id>")
def update_model(model_id: int) -> Response:
    """Change a model: all fields of the body, or none."""
    return answer(_shown(services().models.update(model_id, body(), g.actor)))


@bp.get("/models/<id:model_id>/versions")
def list_versions(model_id: int) -> Response:
    """List the overrides a model had, newest first."""
    services().catalog.model(model_id)
    found = services().store.read(catalog.versions, model_id)
    return answer({"data": [asdict(version) for version in found]})


@bp.delete("/models/<id:model_id>")
def forget_model(model_id: int) -> Response:
    """Forget a model that no server lists."""
    services().models.forget(model_id, g.actor)
    return answer({"id": model_id, "deleted": True})


@bp.post("/models/refresh")
def refresh_models() -> Response:
    """Ask servers for their models now; `server_id` for one."""
    raw = body_or_nothing()
    only(raw, "server_id")
    done = services().refresher.refresh(field(raw, "server_id", int, None))
    return answer({"data": [asdict(one) for one in done]})


def _shown(model: Model) -> dict[str, Json]:
    aliases = {alias.name: dict(alias.override) for alias in model.aliases}
    return {**asdict(model), "aliases": aliases}
