"""Settings that differ from their defaults, under their names in `schemas.settings`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.store.tables import SettingRow


def load(session: Session) -> dict[str, Json]:
    """Return the stored settings."""
    return {row.name: row.value for row in session.scalars(select(SettingRow))}


def save(session: Session, values: Mapping[str, Json]) -> None:
    """Store settings."""
    for name, value in values.items():
        session.merge(SettingRow(name=name, value=value))
    session.flush()


def reset(session: Session, names: Iterable[str]) -> None:
    """Reset settings to their defaults."""
    session.execute(delete(SettingRow).where(SettingRow.name.in_(list(names))))
