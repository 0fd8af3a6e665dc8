"""Targets of alerts: list, add, change, remove, try; and what was sent."""

from __future__ import annotations

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, body, operation, read_query
from gateway.core.chat import Json
from gateway.schemas.alert import AlertTarget
from gateway.store import alerts as stored
from gateway.store.mapping import plain
from gateway.web.context import services


@bp.get("/alerts")
@operation("listAlertTargets", answers.AlertTargetList)
def list_alert_targets() -> Response:
    """List who is told when something is wrong."""
    return answer({"data": [_shown(one) for one in services().alert_targets.all()]})


@bp.post("/alerts")
@operation("createAlertTarget", answers.AlertTargetAnswer, body=AlertTarget, status=201)
def add_alert_target() -> Response:
    """Add an alert target; address and token are never answered."""
    return answer(_shown(services().alert_targets.create(body(), g.actor)), 201)


@bp.get("/alerts/<id:target_id>")
@operation("getAlertTarget", answers.AlertTargetAnswer)
def get_alert_target(target_id: int) -> Response:
    """Return one target of alerts."""
    return answer(_shown(services().alert_targets.get(target_id)))


@bp.patch("/alerts/<id:target_id>")
@operation("updateAlertTarget", answers.AlertTargetAnswer, body=AlertTarget)
def update_alert_target(target_id: int) -> Response:
    """Change fields of a target of alerts."""
    return answer(_shown(services().alert_targets.update(target_id, body(), g.actor)))


@bp.delete("/alerts/<id:target_id>")
@operation("deleteAlertTarget", answers.Deleted)
def remove_alert_target(target_id: int) -> Response:
    """Remove a target of alerts; what was sent to it stays in the log."""
    services().alert_targets.delete(target_id, g.actor)
    return answer({"id": target_id, "deleted": True})


@bp.post("/alerts/<id:target_id>/test")
@operation("testAlertTarget", answers.AlertOutcome)
def test_alert_target(target_id: int) -> Response:
    """Send a test to a target, and say what came of it within five seconds."""
    return answer(services().alerts.attempt(services().alert_targets.get(target_id)))


@bp.get("/alerts/log")
@operation("listAlerts", answers.AlertLog, query=answers.AlertLogQuery)
def list_alerts() -> Response:
    """List what was sent or could not be, newest first."""
    query = read_query(answers.AlertLogQuery)
    found = services().store.read(stored.page, before=query.before, limit=query.limit + 1)
    entries = found[: query.limit]
    further = entries[-1].id if len(found) > query.limit else None
    return answer({"data": entries, "next": further})


def _shown(target: AlertTarget) -> dict[str, Json]:
    return {**plain(target), "place": target.place}
