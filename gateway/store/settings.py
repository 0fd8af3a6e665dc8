"""Settings that differ from their defaults, under their names in `schemas.settings`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.store.tables import SettingRow


def load(session: Session) -> dict[str, Json]:
    """Return the stored settings."""
    return {row.name: row.value for row in session.scalars(select(SettingRow))}


def save(session: Session, values: Mapping[str, Json], actor_name: str, now: datetime) -> None:
    """Store settings."""
    for name, value in values.items():
        row = SettingRow(name=name, value=value, updated_at=now, updated_by=actor_name[:256])
        session.merge(row)
    session.flush()


def reset(session: Session, names: Iterable[str]) -> None:
    """Reset settings to their defaults."""
    session.execute(delete(SettingRow).where(SettingRow.name.in_(list(names))))
