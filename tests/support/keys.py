"""Keys in the store, many at once, without the services that check them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from gateway.schemas.key import Key
from gateway.store import keys


def insert_many(session: Session, count: int) -> list[int]:
    """Store keys called `app 0000` and so on; return their ids."""
    now = datetime.now(UTC)
    return [
        keys.insert(
            session,
            Key(id=0, name=f"app {number:04}", prefix="sk-o2a-", created_at=now),
            number.to_bytes(32, "big"),
        ).id
        for number in range(count)
    ]
