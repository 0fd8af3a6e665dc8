"""Models: list, change, refresh, pull, copy, erase, load, unload, pin, unpin; where calls go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, body, operation, read_body, read_query
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.errors import InvalidFields, Message
from gateway.management.model_jobs import Pull
from gateway.management.model_operations import Done, client_of
from gateway.reports.memory_need import need
from gateway.reports.model_state import state_of
from gateway.schemas.model import ModelFields
from gateway.store import catalog
from gateway.web.context import services


@bp.get("/models")
@operation("listAllModels", answers.ModelList)
def list_models() -> Response:
    """List every model, also disabled and missing ones."""
    return answer({"data": _shown(services().catalog.models())})


@bp.get("/models/<id:model_id>")
@operation("getAnyModel", answers.ModelDetail)
def get_model(model_id: int) -> Response:
    """Return one model with what Ollama tells of it."""
    (shown,) = _shown([services().catalog.model(model_id)])
    return answer({**shown, "details": services().store.read(catalog.details, model_id)})


@bp.patch("/models/<id:model_id>")
@operation("updateModel", answers.ModelAnswer, body=ModelFields)
def update_model(model_id: int) -> Response:
    """Change a model: all fields of the body, or none."""
    (shown,) = _shown([services().models.update(model_id, body(), g.actor)])
    return answer(shown)


@bp.get("/models/<id:model_id>/versions")
@operation("listModelVersions", answers.VersionList)
def list_versions(model_id: int) -> Response:
    """List the overrides a model had, newest first."""
    services().catalog.model(model_id)
    found = services().store.read(catalog.versions, model_id)
    return answer({"data": found})


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
    asked = read_body(answers.RefreshRequest, is_needed=False)
    return answer({"data": services().refresher.refresh(asked.server_id)})


@bp.get("/pulls")
@operation("listPulls", answers.PullList)
def list_pulls() -> Response:
    """List pulls: those that run, then the last that ended."""
    return answer({"data": [_pull(pull) for pull in services().pulls.all("pull")]})


@bp.post("/pulls")
@operation("createPull", answers.PullList, body=answers.PullRequest, status=202)
def begin_pull() -> Response:
    """Have servers fetch a model; joins pulls that run already."""
    asked = read_body(answers.PullRequest)
    servers = [server.id for server in services().catalog.servers() if server.enabled]
    chosen = _known(asked.server_ids or (servers if len(servers) == 1 else ()))
    begun = services().pulls.begin(asked.model, chosen, g.actor)
    return answer({"data": [_pull(pull) for pull in begun]}, 202)


@bp.get("/pulls/<id:pull_id>")
@operation("getPull", answers.PullAnswer)
def get_pull(pull_id: int) -> Response:
    """Return one pull with its layers."""
    return answer(_pull(services().pulls.get(pull_id, "pull")))


@bp.delete("/pulls/<id:pull_id>")
@operation("cancelPull", answers.PullAnswer, status=202)
def cancel_pull(pull_id: int) -> Response:
    """Stop a pull, whichever worker runs it; what is there already is kept."""
    return answer(_pull(services().pulls.cancel(pull_id, g.actor, "pull")), 202)


@bp.post("/models/<id:model_id>/load")
@operation("loadModel", answers.Outcome, body=answers.Load, needs_body=False)
def load_model(model_id: int) -> Response:
    """Bring a model into memory; answers when it is there, or after ten minutes."""
    asked = read_body(answers.Load, is_needed=False)
    name, chosen = _place(model_id, asked)
    load = services().operations.load
    return _outcomes(load(name, chosen, g.actor, keep_alive=asked.keep_alive))


@bp.post("/models/<id:model_id>/pin")
@operation("pinModel", answers.Outcome, body=answers.Servers, needs_body=False)
def pin_model(model_id: int) -> Response:
    """Bring a model into memory and keep it there; answers as `load_model` does."""
    asked = read_body(answers.Servers, is_needed=False)
    return _outcomes(services().operations.pin(*_place(model_id, asked), g.actor))


@bp.post("/models/<id:model_id>/unpin")
@operation("unpinModel", answers.Outcome, body=answers.Servers, needs_body=False)
def unpin_model(model_id: int) -> Response:
    """Have a model leave memory after its usual time again."""
    asked = read_body(answers.Servers, is_needed=False)
    return _outcomes(services().operations.unpin(*_place(model_id, asked), g.actor))


@bp.post("/models/<id:model_id>/unload")
@operation("unloadModel", answers.Outcome, body=answers.Servers, needs_body=False)
def unload_model(model_id: int) -> Response:
    """Unload a model as soon as it is idle."""
    asked = read_body(answers.Servers, is_needed=False)
    return _outcomes(services().operations.unload(*_place(model_id, asked), g.actor))


@bp.post("/models/<id:model_id>/copy")
@operation("copyModel", answers.Outcome, body=answers.Copy, required=("destination",))
def copy_model(model_id: int) -> Response:
    """Copy a model to a second name on servers."""
    asked = read_body(answers.Copy)
    name, chosen = _place(model_id, asked)
    return _outcomes(services().operations.copy(name, asked.destination, chosen, g.actor))


@bp.post("/models/<id:model_id>/erase")
@operation("eraseModel", answers.Outcome, body=answers.Servers, required=("server_ids",))
def erase_model(model_id: int) -> Response:
    """Remove a model from the disks of the servers that are named; its settings stay."""
    chosen, model = read_body(answers.Servers).server_ids, services().catalog.model(model_id)
    return _outcomes(services().operations.delete(model.name, _known(chosen), g.actor))


@bp.get("/models/<id:model_id>/memory")
@operation("estimateMemory", answers.MemoryNeed, query=answers.WindowQuery)
def estimate_memory(model_id: int) -> Response:
    """Return what a model needs in memory with a window, and on which servers that fits."""
    model = services().catalog.model(model_id)
    num_ctx = read_query(answers.WindowQuery).num_ctx
    found = need(services().store, model, services().scheduler.views(), num_ctx)
    sizes = {**asdict(found.estimate), "total_bytes": found.estimate.total_bytes}
    shown = {"num_ctx": found.num_ctx, "slots": found.slots, "data": found.servers}
    return answer({**shown, **sizes})


@bp.get("/models/<id:model_id>/routes")
@operation("listRoutes", answers.RouteList, query=answers.RouteQuery)
def list_routes(model_id: int) -> Response:
    """Return for each server that has a model whether a call would go there now, and why."""
    model = services().catalog.model(model_id)
    num_ctx = read_query(answers.RouteQuery).num_ctx
    routes = services().scheduler.routes(model, num_ctx or None)
    found = [
        {
            "server_id": route.server.id,
            "server_name": route.server.name,
            "usable": route.is_usable,
            "chosen": route.is_chosen,
            "reason": route.reason,
            "rank": None if route.choice is None else route.choice.rank.name.lower(),
            "in_flight": route.in_flight,
            "slots": route.slots,
            "others": route.others,
            "context_tokens": route.context_tokens,
            "weight": route.server.weight,
        }
        for route in routes
    ]
    return answer(
        {"data": found, "waiting": services().scheduler.waiting_everywhere().get(model.name, 0)}
    )


def _place(model_id: int, asked: answers.Servers) -> tuple[str, Sequence[int]]:
    """Return Ollama's name of a model, and the servers a body names, else all that have it."""
    model = services().catalog.model(model_id)
    return model.name, _known(asked.server_ids or model.server_ids)


def _known(server_ids: Sequence[int]) -> Sequence[int]:
    """Return servers there are, at least one. Raises InvalidRequest."""
    if not server_ids:
        raise InvalidFields([("server_ids", Message("must name a server"))])
    for one in server_ids:
        client_of(services().scheduler, one)
    return server_ids


def _outcomes(done: Sequence[Done]) -> Response:
    """Return what came of it on each server: some may have failed."""
    ok = bool(done) and not any(one.error for one in done)
    return answer({"ok": ok, "data": done})


def _pull(pull: Pull) -> dict[str, Json]:
    found = asdict(pull.job)
    del found["kind"]  # loads are not told of here
    layers = {
        digest: {"completed_bytes": done, "total_bytes": total}
        for digest, (done, total) in pull.job.layers.items()
    }
    speed = {"share": pull.share, "bytes_per_s": pull.bytes_per_s, "eta_s": pull.eta_s}
    return {**found, "layers": layers, **speed}


def _shown(models: Sequence[Model]) -> list[dict[str, Json]]:
    """Return models with the state they are in."""
    views = services().scheduler.views()
    loading = {job.model for job in services().pulls.open_loads()}
    return [
        {
            **asdict(model),
            "aliases": {alias.name: dict(alias.override) for alias in model.aliases},
            "state": state_of(model, views, is_loading=model.name in loading),
        }
        for model in models
    ]
