"""Who is told of alerts, in the store."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.errors import InvalidRequest, Message
from gateway.schemas.alert import AlertTarget
from gateway.store.mapping import add, columns, fill, find, row_of, value_of, values
from gateway.store.tables import AlertTargetRow

MOST = 50


def all_targets(session: Session) -> list[AlertTarget]:
    """Return every target, oldest first."""
    return values(session, select(AlertTargetRow).order_by(AlertTargetRow.id), AlertTarget)


def get(session: Session, target_id: int) -> AlertTarget:
    """Return a target. Raises NotFound."""
    return value_of(
        row_of(session, AlertTargetRow, target_id, "alert target", "alert_target_not_found"),
        AlertTarget,
    )


def find_named(session: Session, name: str) -> AlertTarget | None:
    """Return the target of this name, in whatever case, None where there is none."""
    return find(
        session,
        select(AlertTargetRow).where(func.lower(AlertTargetRow.name) == name.lower()),
        AlertTarget,
    )


def insert(session: Session, target: AlertTarget, now: datetime) -> AlertTarget:
    """Store a new target. Raises InvalidRequest if its name is taken or there are MOST."""
    _check_free(session, target)
    if (session.scalar(select(func.count(AlertTargetRow.id))) or 0) >= MOST:
        raise InvalidRequest(Message("There are at most %(most)s targets of alerts.", most=MOST))
    row = AlertTargetRow(created_at=now, **columns(target, AlertTargetRow))
    return add(session, row, AlertTarget)


def save(session: Session, target: AlertTarget) -> AlertTarget:
    """Store the changed values of a target. Raises NotFound, InvalidRequest."""
    row = row_of(session, AlertTargetRow, target.id, "alert target", "alert_target_not_found")
    _check_free(session, target)
    return fill(session, row, target)


def delete(session: Session, target_id: int) -> None:
    """Remove a target; what was sent to it stays in the log. Raises NotFound."""
    session.delete(
        row_of(session, AlertTargetRow, target_id, "alert target", "alert_target_not_found")
    )


def _check_free(session: Session, target: AlertTarget) -> None:
    taken = find_named(session, target.name)
    if taken is not None and taken.id != target.id:
        raise InvalidRequest(
            Message("There is already a target called '%(name)s'.", name=taken.name), param="name"
        )
