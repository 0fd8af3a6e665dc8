"""Changes of models in the store, without the services that check them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from gateway.store import catalog


def change(
    session: Session,
    model_id: int,
    *,
    by: str = "x",
    now: datetime | None = None,
    note: str = "",
    **fields: Any,
) -> None:
    """Store fields of a model."""
    before = catalog.fields(session, model_id)
    after = replace(before, **fields)
    at = now or datetime.now(UTC)
    catalog.save_fields(session, before, after, actor_name=by, now=at, note=note)
