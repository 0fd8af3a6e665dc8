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


def keys_to_choose(session: Session, most: int, chosen: int | None) -> list[tuple[int, str]]:
    """Return (id, name) of the `most` keys that were used last, of removed ones where there is
    room, and of the chosen one whatever it is, by name."""
    used = select(ApiKeyRow.id, ApiKeyRow.name).limit(most)
    used = used.order_by(ApiKeyRow.last_used_at.desc().nulls_last(), ApiKeyRow.id.desc())
    found: dict[int, str] = {row.id: row.name for row in session.execute(used)}
    removed = select(RemovedNameRow.object_id, RemovedNameRow.name)
    removed = removed.where(RemovedNameRow.kind == "key")
    room = removed.order_by(RemovedNameRow.object_id.desc()).limit(most - len(found))
    found |= {row.object_id: row.name for row in session.execute(room)}
    if chosen is not None and chosen not in found:
        row = session.get(ApiKeyRow, chosen)
        gone = session.scalar(
            select(RemovedNameRow.name).where(
                RemovedNameRow.kind == "key", RemovedNameRow.object_id == chosen
            )
        )
        found[chosen] = row.name if row else gone or str(chosen)
    return sorted(found.items(), key=lambda one: one[1].lower())


def keep(session: Session, kind: Named, id_: int, name: str) -> None:
    """Keep the name of what is being removed."""
    session.add(RemovedNameRow(kind=kind, object_id=id_, name=name))
