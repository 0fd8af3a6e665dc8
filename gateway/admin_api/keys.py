"""API keys: list, issue, change, rotate, revoke, delete."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, body, operation, read_body, read_query
from gateway.core.chat import Json
from gateway.policy import access, roles
from gateway.reports.key_status import state
from gateway.schemas.key import Key
from gateway.store import key_queries
from gateway.store.mapping import plain
from gateway.web.context import services


@bp.get("/keys")
@operation("listKeys", answers.KeyList, query=answers.KeyQuery)
def list_keys() -> Response:
    """List keys, newest first, with what they used of their budgets."""
    wanted = read_query(answers.KeyQuery)
    found = services().keys.search(wanted.search, limit=wanted.limit, offset=wanted.offset)
    total = services().store.read(key_queries.count, datetime.now(UTC), wanted.search)
    return answer({"data": _shown(found), "total": total})


@bp.post("/keys")
@operation("createKey", answers.NewKey, body=Key, status=201)
def create_key() -> Response:
    """Issue a key; its secret is in this answer and nowhere else."""
    key, secret = services().keys.issue(body(), g.actor)
    return answer({**_shown([key])[0], "secret": secret}, 201)


@bp.get("/keys/<id:key_id>")
@operation("getKey", answers.KeyAnswer)
def get_key(key_id: int) -> Response:
    """Return one key."""
    return answer(_shown([services().keys.get(key_id)])[0])


@bp.patch("/keys/<id:key_id>")
@operation("updateKey", answers.KeyAnswer, body=Key)
def update_key(key_id: int) -> Response:
    """Change fields of a key; what is not named stays."""
    return answer(_shown([services().keys.update(key_id, body(), g.actor)])[0])


@bp.post("/keys/<id:key_id>/rotate")
@operation("rotateKey", answers.NewKey, body=answers.Rotation, needs_body=False, status=201)
def rotate_key(key_id: int) -> Response:
    """Issue a successor; the old key works `grace_hours` more."""
    hours = read_body(answers.Rotation, is_needed=False).grace_hours
    key, secret = services().keys.rotate(key_id, hours, g.actor)
    return answer({**_shown([key])[0], "secret": secret}, 201)


@bp.post("/keys/<id:key_id>/revoke")
@operation("revokeKey", answers.KeyAnswer)
def revoke_key(key_id: int) -> Response:
    """Make a key useless for ever; running calls end within a second."""
    return answer(_shown(services().keys.revoke([key_id], g.actor))[0])


@bp.delete("/keys/<id:key_id>")
@operation("deleteKey", answers.Deleted)
def delete_key(key_id: int) -> Response:
    """Remove a key; its usage stays."""
    services().keys.delete(key_id, g.actor)
    return answer({"id": key_id, "deleted": True})


def _shown(found: list[Key]) -> list[dict[str, Json]]:
    now = datetime.now(UTC)
    spent = services().store.read(key_queries.spent, found, now)
    shown = []
    snapshot = services().catalog.snapshot()
    for key in found:
        used = [
            {"metric": metric, "period": period, "used": units}
            for (metric, period), units in spent[key.id].items()
        ]
        told = {
            "state": state(key, now),
            "budgets_used": used,
            "unknown_models": access.unmatched(key, snapshot.models),
            "ignored_roles": roles.ignored(key, snapshot.index),
        }
        shown.append({**plain(key), **told})
    return shown
