"""Stored responses of the Responses API, each belonging to one key (D28)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.store.tables import StoredItemRow, StoredResponseRow

_LONGEST_CHAIN = 1_000


def insert(
    session: Session,
    key_id: int,
    response: Mapping[str, Json],
    previous_id: str | None,
    input_items: Sequence[Mapping[str, Json]],
    output_items: Sequence[Mapping[str, Json]],
    now: datetime,
    ttl_days: int,
) -> None:
    """Store a response with its items, in order."""
    session.add(
        StoredResponseRow(
            id=response["id"],
            key_id=key_id,
            previous_id=previous_id,
            model=str(response["model"])[:256],
            status=str(response["status"])[:64],
            body=dict(response),
            created_at=now,
            expires_at=now + timedelta(days=ttl_days) if ttl_days else None,
        )
    )
    session.flush()
    items = [("input", item) for item in input_items] + [("output", item) for item in output_items]
    session.add_all(
        StoredItemRow(
            response_id=response["id"],
            key_id=key_id,
            item_id=str(item.get("id", ""))[:96],
            kind=kind,
            position=position,
            body=dict(item),
        )
        for position, (kind, item) in enumerate(items)
    )


def find(session: Session, key_id: int, response_id: str, now: datetime) -> Json | None:
    """Return the stored response object of this key; None when there is none or it has expired."""
    row = session.get(StoredResponseRow, response_id)
    if row is None or row.key_id != key_id or _is_over(row.expires_at, now):
        return None
    return row.body


def items(session: Session, response_id: str, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the items of a response, oldest first."""
    query = select(StoredItemRow.body).where(StoredItemRow.response_id == response_id)
    if kind is not None:
        query = query.where(StoredItemRow.kind == kind)
    return list(session.scalars(query.order_by(StoredItemRow.position)))


def chain(
    session: Session, key_id: int, response_id: str, now: datetime
) -> list[dict[str, Any]] | None:
    """Return all items of a response and of those before it, oldest first; None when the response
    does not exist for this key. A chain whose beginning has expired begins later."""
    found: list[list[dict[str, Any]]] = []
    current: str | None = response_id
    while current and len(found) < _LONGEST_CHAIN:
        row = session.get(StoredResponseRow, current)
        if row is None or row.key_id != key_id or _is_over(row.expires_at, now):
            break
        found.append(items(session, current))
        current = row.previous_id
    if not found:
        return None
    return [item for part in reversed(found) for item in part]


def find_item(session: Session, key_id: int, item_id: str) -> dict[str, Any] | None:
    """Return the newest stored item of this id and key."""
    query = (
        select(StoredItemRow.body)
        .where(StoredItemRow.key_id == key_id, StoredItemRow.item_id == item_id)
        .order_by(StoredItemRow.id.desc())
        .limit(1)
    )
    return session.scalar(query)


def remove(session: Session, response_ids: Sequence[str]) -> None:
    """Forget responses and their items."""
    session.execute(delete(StoredItemRow).where(StoredItemRow.response_id.in_(response_ids)))
    session.execute(delete(StoredResponseRow).where(StoredResponseRow.id.in_(response_ids)))


def prune(session: Session, now: datetime, max_rows: int, batch: int = 500) -> int:
    """Forget what has expired and, oldest first, what is too many; at most `batch` at once.

    Gives how many were removed.
    """
    over = list(
        session.scalars(
            select(StoredResponseRow.id).where(StoredResponseRow.expires_at <= now).limit(batch)
        )
    )
    surplus = (session.scalar(select(func.count()).select_from(StoredResponseRow)) or 0) - len(over)
    if surplus > max_rows and len(over) < batch:
        over += session.scalars(
            select(StoredResponseRow.id)
            .where(StoredResponseRow.id.not_in(over))
            .order_by(StoredResponseRow.created_at, StoredResponseRow.id)
            .limit(min(surplus - max_rows, batch - len(over)))
        )
    if over:
        remove(session, over)
    return len(over)


def _is_over(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now
