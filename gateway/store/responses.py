"""Stored responses of the Responses API, each belonging to one key and its rotations (D28)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.schemas.settings import RuntimeSettings
from gateway.store.tables import ResponseItemRow, ResponseRow

_LONGEST_CHAIN = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: responses in all, bytes of one key, bytes in all."""

    rows: int
    key_bytes: int
    all_bytes: int


def bounds(behaviour: RuntimeSettings) -> Bounds:
    """Return how much the settings allow."""
    return Bounds(
        behaviour.responses_store_max_rows,
        behaviour.responses_store_key_mb << 20,
        behaviour.responses_store_mb << 20,
    )


def insert(
    session: Session,
    key_id: int,
    response: Mapping[str, Json],
    previous_id: str | None,
    items: Sequence[tuple[str, Mapping[str, Json]]],
    size_bytes: int,
    now: datetime,
    ttl_days: int,
) -> None:
    """Store a response of `size_bytes`; `items` are its (kind, item), in order."""
    session.add(
        ResponseRow(
            id=response["id"],
            key_id=key_id,
            previous_id=previous_id,
            body={name: value for name, value in response.items() if name != "output"},
            size_bytes=size_bytes,
            created_at=now,
            expires_at=now + timedelta(days=ttl_days) if ttl_days else None,
        )
    )
    session.flush()
    session.add_all(
        ResponseItemRow(
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
    row = _kept(session, key_id, response_id, now)
    if row is None:
        return None
    return {"output": items(session, response_id, "output"), **row.body}


def items(session: Session, response_id: str, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the items of a response, oldest first."""
    query = select(ResponseItemRow.body).where(ResponseItemRow.response_id == response_id)
    if kind is not None:
        query = query.where(ResponseItemRow.kind == kind)
    return list(session.scalars(query.order_by(ResponseItemRow.position)))


def chain(
    session: Session, key_id: int, response_id: str, now: datetime
) -> list[dict[str, Any]] | None:
    """Return all items of a response and of those before it, oldest first; None when the response
    does not exist for this key. A chain whose beginning has expired begins later."""
    found: list[list[dict[str, Any]]] = []
    current: str | None = response_id
    while current and len(found) < _LONGEST_CHAIN:
        row = _kept(session, key_id, current, now)
        if row is None:
            break
        found.append(items(session, current))
        current = row.previous_id
    if not found:
        return None
    return [item for part in reversed(found) for item in part]


def find_item(session: Session, key_id: int, item_id: str) -> dict[str, Any] | None:
    """Return the newest stored item of this id and key."""
    query = (
        select(ResponseItemRow.body)
        .where(ResponseItemRow.key_id == key_id, ResponseItemRow.item_id == item_id)
        .order_by(ResponseItemRow.id.desc())
        .limit(1)
    )
    return session.scalar(query)


def remove(session: Session, response_ids: Sequence[str]) -> None:
    """Forget responses and their items."""
    session.execute(delete(ResponseRow).where(ResponseRow.id.in_(response_ids)))


def remove_of(session: Session, key_id: int) -> None:
    """Forget all responses of a key."""
    session.execute(delete(ResponseRow).where(ResponseRow.key_id == key_id))


def prune(session: Session, now: datetime, bounds: Bounds, batch: int = 500) -> int:
    """Forget what has expired, else what is too much: the oldest of the key that has most.

    At most `batch` at once; returns how many were removed.
    """
    expired = select(ResponseRow.id).where(ResponseRow.expires_at <= now).limit(batch)
    over = session.scalars(expired).all() or _too_much(session, bounds, batch)
    remove(session, over)
    return len(over)


def _too_much(session: Session, bounds: Bounds, batch: int) -> list[str]:
    """Return the oldest responses of the key that has most, as many as are too many.

    It keeps no less than the key after it, so that nobody pushes out what others stored.
    """
    own = ResponseRow
    held = session.execute(
        select(own.key_id, func.count(), func.sum(own.size_bytes)).group_by(own.key_id)
    ).all()
    counts = sorted(((rows, key) for key, rows, _ in held), reverse=True)
    sizes = sorted(((int(size or 0), key) for key, _, size in held), reverse=True)
    few, small = _surplus(counts, bounds.rows), _surplus(sizes, bounds.all_bytes)
    if sizes and sizes[0][0] > bounds.key_bytes:
        key, small = sizes[0][1], max(small, sizes[0][0] - bounds.key_bytes)
    elif small:
        key = sizes[0][1]
    elif few:
        key = counts[0][1]
        batch = min(few, batch)
    else:
        return []
    oldest = session.execute(
        select(own.id, own.size_bytes)
        .where(own.key_id == key)
        .order_by(own.created_at, own.id)
        .limit(batch)
    ).all()
    if not small:
        return [response_id for response_id, _ in oldest]
    before = accumulate((size for _, size in oldest), initial=0)
    return [found[0] for found, freed in zip(oldest, before, strict=False) if freed < small]


def _surplus(held: list[tuple[int, int]], most: int) -> int:
    """Return how much the first of `held`, the largest, has to give up now."""
    over = sum(amount for amount, _ in held) - most
    if over <= 0:
        return 0
    second = held[1][0] if len(held) > 1 else 0
    return min(over, max(1, held[0][0] - second))


def _kept(session: Session, key_id: int, response_id: str, now: datetime) -> ResponseRow | None:
    row = session.get(ResponseRow, response_id)
    if row is None or row.key_id != key_id:
        return None
    return row if row.expires_at is None or row.expires_at > now else None
