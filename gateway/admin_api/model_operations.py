"""Models on servers: pull, copy, erase, load, unload, pin; and where a call would go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import operation, read_query, whole
from gateway.admin_api.reading import answer, body, body_or_nothing
from gateway.core.admin import Actor
from gateway.core.chat import Json
from gateway.errors import InvalidFields, Message
from gateway.management.model_jobs import Pull
from gateway.management.model_operations import Done, client_of
from gateway.web.context import services


@bp.get("/pulls")
@operation("listPulls", answers.PullList)
def list_pulls() -> Response:
    """List pulls: those that run, then the last that ended."""
    return answer({"data": [_pull(pull) for pull in services().pulls.all("pull")]})


@bp.post("/pulls")
@operation("createPull", answers.PullList, body=answers.PullRequest, status=202)
def begin_pull() -> Response:
    """Have servers fetch a model; joins pulls that run already."""
    asked = whole(body(), answers.PullRequest)
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
    asked = whole(body_or_nothing(), answers.Load)
    model = services().catalog.model(model_id)
    chosen, keep_alive = _known(asked.server_ids or model.server_ids), asked.keep_alive
    return _outcomes(services().operations.load(model.name, chosen, g.actor, keep_alive=keep_alive))


@bp.post("/models/<id:model_id>/pin")
@operation("pinModel", answers.Outcome, body=answers.Servers, needs_body=False)
def pin_model(model_id: int) -> Response:
    """Bring a model into memory and keep it there; answers as `load_model` does."""
    return _on_servers(model_id, services().operations.pin)


@bp.post("/models/<id:model_id>/unload")
@operation("unloadModel", answers.Outcome, body=answers.Servers, needs_body=False)
def unload_model(model_id: int) -> Response:
    """Unload a model as soon as it is idle."""
    return _on_servers(model_id, services().operations.unload)


@bp.post("/models/<id:model_id>/copy")
@operation("copyModel", answers.Outcome, body=answers.Copy, required=("destination",))
def copy_model(model_id: int) -> Response:
    """Copy a model to a second name on servers."""
    asked = whole(body(), answers.Copy)
    model = services().catalog.model(model_id)
    chosen = _known(asked.server_ids or model.server_ids)
    return _outcomes(services().operations.copy(model.name, asked.destination, chosen, g.actor))


@bp.post("/models/<id:model_id>/erase")
@operation("eraseModel", answers.Outcome, body=answers.Erasure, required=("server_ids",))
def erase_model(model_id: int) -> Response:
    """Remove a model from the disks of the servers that are named; its settings stay."""
    asked = whole(body(), answers.Erasure)
    model = services().catalog.model(model_id)
    chosen = _known(asked.server_ids)
    return _outcomes(services().operations.delete(model.name, chosen, g.actor))


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


def _on_servers(
    model_id: int, work: Callable[[str, Sequence[int], Actor], Sequence[Done]]
) -> Response:
    """Do something with a model on the servers the body names, else on all that have it."""
    asked = whole(body_or_nothing(), answers.Servers)
    model = services().catalog.model(model_id)
    return _outcomes(work(model.name, _known(asked.server_ids or model.server_ids), g.actor))


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
    return answer({"ok": ok, "data": [asdict(one) for one in done]})


def _pull(pull: Pull) -> dict[str, Json]:
    found = asdict(pull.job)
    del found["kind"]  # loads are not told of here
    layers = {
        digest: {"completed_bytes": done, "total_bytes": total}
        for digest, (done, total) in pull.job.layers.items()
    }
    return {
        **found,
        "layers": layers,
        "share": pull.share,
        "bytes_per_s": pull.bytes_per_s,
        "eta_s": pull.eta_s,
    }
