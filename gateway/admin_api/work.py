"""Models on servers: pull, copy, erase, load, unload, pin; and where a call would go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import bp
from gateway.admin_api.reading import answer, body, body_or_nothing, field, number, only
from gateway.core.admin import Actor
from gateway.core.chat import Json
from gateway.errors import InvalidRequest
from gateway.management.model_jobs import Pull
from gateway.management.model_operations import Done, client_of
from gateway.web.context import services

_MOST_TOKENS = 10_000_000


@bp.get("/pulls")
def list_pulls() -> Response:
    """List pulls: those that run, then the last that ended."""
    return answer({"data": [_pull(pull) for pull in services().pulls.all("pull")]})


@bp.post("/pulls")
def begin_pull() -> Response:
    """Have servers fetch a model; joins pulls that run already."""
    raw = body()
    only(raw, "model", "server_ids")
    servers = [server.id for server in services().catalog.servers() if server.enabled]
    chosen = _servers(raw, servers if len(servers) == 1 else None)
    begun = services().pulls.begin(field(raw, "model", str), chosen, g.actor)
    return answer({"data": [_pull(pull) for pull in begun]}, 202)


@bp.get("/pulls/<id:pull_id>")
def get_pull(pull_id: int) -> Response:
    """Return one pull with its layers."""
    return answer(_pull(services().pulls.get(pull_id, "pull")))


@bp.delete("/pulls/<id:pull_id>")
def cancel_pull(pull_id: int) -> Response:
    """Stop a pull, whichever worker runs it; what is there already is kept."""
    return answer(_pull(services().pulls.cancel(pull_id, g.actor, "pull")), 202)


@bp.post("/models/<id:model_id>/load")
def load_model(model_id: int) -> Response:
    """Bring a model into memory; answers when it is there, or after ten minutes."""
    raw = body_or_nothing()
    only(raw, "server_ids", "keep_alive")
    model = services().catalog.model(model_id)
    keep_alive = field(raw, "keep_alive", (int, float, str), None)
    chosen = _servers(raw, model.server_ids)
    return _outcomes(services().operations.load(model.name, chosen, g.actor, keep_alive=keep_alive))


@bp.post("/models/<id:model_id>/pin")
def pin_model(model_id: int) -> Response:
    """Bring a model into memory and keep it there; answers as `load_model` does."""
    return _on_servers(model_id, services().operations.pin)


@bp.post("/models/<id:model_id>/unload")
def unload_model(model_id: int) -> Response:
    """Unload a model as soon as it is idle."""
    return _on_servers(model_id, services().operations.unload)


@bp.post("/models/<id:model_id>/copy")
def copy_model(model_id: int) -> Response:
    """Copy a model to a second name on servers."""
    raw = body()
    only(raw, "destination", "server_ids")
    model = services().catalog.model(model_id)
    name, chosen = field(raw, "destination", str), _servers(raw, model.server_ids)
    return _outcomes(services().operations.copy(model.name, name, chosen, g.actor))


@bp.post("/models/<id:model_id>/erase")
def erase_model(model_id: int) -> Response:
    """Remove a model from the disks of the servers that are named; its settings stay."""
    raw = body()
    only(raw, "server_ids")
    model = services().catalog.model(model_id)
    return _outcomes(services().operations.delete(model.name, _servers(raw, None), g.actor))


@bp.get("/models/<id:model_id>/routes")
def list_routes(model_id: int) -> Response:
    """Return for each server that has a model whether a call would go there now, and why."""
    model = services().catalog.model(model_id)
    num_ctx = number("num_ctx", 0, 1, _MOST_TOKENS)
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
    raw = body_or_nothing()
    only(raw, "server_ids")
    model = services().catalog.model(model_id)
    return _outcomes(work(model.name, _servers(raw, model.server_ids), g.actor))


def _servers(raw: dict[str, Json], default: Sequence[int] | None) -> list[int]:
    """Return the servers a body names, known ones. Raises InvalidRequest."""
    if "server_ids" not in raw and default is not None:
        return list(default)
    found = field(raw, "server_ids", list)
    if not found or any(type(one) is not int for one in found):
        raise InvalidRequest("'server_ids' must be a list of server ids.", param="server_ids")
    for one in found:
        client_of(services().scheduler, one)
    return list(dict.fromkeys(found))


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
