"""Ollama servers: list with their state, add, try, change, remove."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, body, operation
from gateway.core.chat import Json
from gateway.reports.memory import ServerMemory, by_server, sums
from gateway.schemas.server import Server, ServerView
from gateway.store.mapping import plain
from gateway.web.context import services


@bp.get("/servers")
@operation("listServers", answers.ServerList)
def list_servers() -> Response:
    """List servers with their state as this worker sees it."""
    views = {view.server.id: view for view in services().scheduler.views()}
    memory = by_server(services().store, views.values())
    found = [
        {**plain(server), **_state(views.get(server.id), memory.get(server.id))}
        for server in services().catalog.servers()
    ]
    return answer({"data": found})


@bp.post("/servers")
@operation("createServer", answers.ServerAnswer, body=Server, required=("url",), status=201)
def add_server() -> Response:
    """Add a server and ask it for its models."""
    return answer(plain(services().servers.create(body(), g.actor)), 201)


@bp.get("/servers/<id:server_id>")
@operation("getServer", answers.ServerAnswer)
def get_server(server_id: int) -> Response:
    """Return one server."""
    return answer(plain(services().catalog.server(server_id)))


@bp.patch("/servers/<id:server_id>")
@operation("updateServer", answers.ServerAnswer, body=Server)
def update_server(server_id: int) -> Response:
    """Change fields of a server; calls that run there go on."""
    return answer(plain(services().servers.update(server_id, body(), g.actor)))


@bp.post("/servers/<id:server_id>/probe")
@operation("probeServer", answers.Probe)
def probe_server(server_id: int) -> Response:
    """Try a server now, and say what is wrong with it."""
    tried = services().servers.attempt(services().catalog.server(server_id))
    return answer({"ok": tried.trouble is None, **asdict(tried)})


@bp.delete("/servers/<id:server_id>")
@operation("deleteServer", answers.Deleted)
def remove_server(server_id: int) -> Response:
    """Remove a server; models keep their settings."""
    services().servers.delete(server_id, g.actor)
    return answer({"id": server_id, "deleted": True})


def _state(view: ServerView | None, memory: ServerMemory | None) -> dict[str, Json]:
    if view is None or memory is None:
        return {"state": "unknown", "reason": ""}
    names = ("state", "reason", "healthy", "version", "latency_ms", "in_flight")
    found = {name: getattr(view, name) for name in names}
    return found | {"loaded": list(view.loaded.values()), "memory": sums(memory)}
