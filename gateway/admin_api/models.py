"""Models: list, change names, parameters and fallbacks, refresh from Ollama."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import operation, whole
from gateway.admin_api.reading import answer, body, body_or_nothing
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.schemas.model import ModelFields
from gateway.store import catalog
from gateway.web.context import services


@bp.get("/models")
@operation("listAllModels", answers.ModelList)
def list_models() -> Response:
    """List every model, also disabled and missing ones."""
    return answer({"data": [_shown(model) for model in services().catalog.models()]})


@bp.get("/models/<id:model_id>")
@operation("getAnyModel", answers.ModelDetail)
def get_model(model_id: int) -> Response:
    """Return one model with what Ollama tells of it."""
    shown = _shown(services().catalog.model(model_id))
    return answer({**shown, "details": services().store.read(catalog.details, model_id)})


@bp.patch("/models/<id:model_id>")
@operation("updateModel", answers.ModelAnswer, body=ModelFields)
def update_model(model_id: int) -> Response:
    """Change a model: all fields of the body, or none."""
    return answer(_shown(services().models.update(model_id, body(), g.actor)))


@bp.get("/models/<id:model_id>/versions")
@operation("listModelVersions", answers.VersionList)
def list_versions(model_id: int) -> Response:
    """List the overrides a model had, newest first."""
    services().catalog.model(model_id)
    found = services().store.read(catalog.versions, model_id)
    return answer({"data": [asdict(version) for version in found]})


@bp.delete("/models/<id:model_id>")
@operation("forgetModel", answers.Deleted)
def forget_model(model_id: int) -> Response:
    """Forget a model that no server lists."""
    services().models.forget(model_id, g.actor)
    return answer({"id": model_id, "deleted": True})


@bp.post("/models/refresh")
@operation("refreshModels", answers.RefreshList, body=answers.RefreshRequest, needs_body=False)
def refresh_models() -> Response:
    """Ask servers for their models now; `server_id` for one."""
    asked = whole(body_or_nothing(), answers.RefreshRequest)
    done = services().refresher.refresh(asked.server_id)
    return answer({"data": [asdict(one) for one in done]})


def _shown(model: Model) -> dict[str, Json]:
    aliases = {alias.name: dict(alias.override) for alias in model.aliases}
    return {**asdict(model), "aliases": aliases}
