"""What keys, models and servers are called: history names them by their ids."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.store.tables import ApiKeyRow, ModelRow, RemovedNameRow, ServerRow

Named: TypeAlias = Literal["key", "model", "server"]
_COLUMNS: dict[str, tuple[Any, Any]] = {
    "key": (ApiKeyRow.id, ApiKeyRow.name),
    "model": (ModelRow.id, ModelRow.display_name),
    "server": (ServerRow.id, ServerRow.name),
}


def by_id(session: Session, kind: str) -> dict[str, str]:
    """Return the names of all keys, models or servers by id as text; those that were removed by
    their last name. Empty for any other `kind`."""
    if kind not in _COLUMNS:
        return {}
    removed = select(RemovedNameRow.object_id, RemovedNameRow.name).where(
        RemovedNameRow.kind == kind
    )
    found = {str(id_): name for id_, name in session.execute(removed)}
    return found | {str(id_): name for id_, name in session.execute(select(*_COLUMNS[kind]))}


def keep(session: Session, kind: Named, id_: int, name: str) -> None:
    """Keep the name of what is being removed."""
    session.add(RemovedNameRow(kind=kind, object_id=id_, name=name))
