"""Deletes what is kept long enough, a piece at a time so that nobody waits for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.orm import Session

from gateway.store.mapping import changed
from gateway.store.tables import RequestLogBodyRow, RequestLogRow, UsageHourRow


def delete_bodies(session: Session, before: datetime, limit: int) -> int:
    """Delete at most `limit` kept prompts and answers older than `before`; return how many."""
    bodies = RequestLogBodyRow
    old = select(bodies.request_log_id).where(bodies.created_at < before).limit(limit)
    ids = session.scalars(old).all()
    return changed(session, delete(bodies).where(bodies.request_log_id.in_(ids)))


def delete_usage_before(session: Session, before: datetime, limit: int) -> int:
    """Delete at most `limit` settled calls older than `before`; rollups and counters stay."""
    query = select(RequestLogRow.id).where(
        RequestLogRow.created_at < before, RequestLogRow.settled_at.is_not(None)
    )
    return _delete_calls(session, query.order_by(RequestLogRow.created_at), limit)


def delete_usage_beyond(session: Session, most: int, limit: int) -> int:
    """Delete at most `limit` of the oldest settled calls, as long as there are more than `most`.

    Ids are given in order and without gaps worth counting, so their distance is the number of
    rows: counting millions would take seconds.
    """
    first, last = session.execute(
        select(func.min(RequestLogRow.id), func.max(RequestLogRow.id))
    ).one()
    if last is None or last - first + 1 <= most:
        return 0
    query = select(RequestLogRow.id).where(
        RequestLogRow.id <= last - most, RequestLogRow.settled_at.is_not(None)
    )
    return _delete_calls(session, query.order_by(RequestLogRow.id), limit)


def delete_hours(session: Session, before: datetime) -> int:
    """Delete hourly sums older than `before`; the daily ones stay."""
    return changed(session, delete(UsageHourRow).where(UsageHourRow.start < before))


def tidy(session: Session) -> None:
    """Refresh what SQLite's planner knows; quick."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA optimize"))


def _delete_calls(session: Session, query: Select[int], limit: int) -> int:
    ids = session.scalars(query.limit(limit)).all()  # their bodies go with them
    return changed(session, delete(RequestLogRow).where(RequestLogRow.id.in_(ids)))
