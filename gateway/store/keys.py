"""API keys in the store: found by digest, issued, changed, revoked; `key_queries` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, bindparam, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from gateway.errors import InvalidRequest, Message
from gateway.schemas.key import Key
from gateway.store import names
from gateway.store.mapping import add, columns, fill, find, row_of, value_of, values
from gateway.store.tables import ApiKeyRow, CounterLeaseRow, KeyCounterRow, ModelRow

_api_key = cast(Table, ApiKeyRow.__table__)
TOUCH_EVERY = timedelta(seconds=10)
_TOUCH = (
    update(_api_key)
    .where(
        _api_key.c.id == bindparam("which"),
        or_(_api_key.c.last_used_at.is_(None), _api_key.c.last_used_at < bindparam("stale")),
    )
    .values(last_used_at=bindparam("seen"))
)


def find_by_digest(session: Session, digest: bytes) -> Key | None:
    """Return the key with this digest, usable or not."""
    return find(session, select(ApiKeyRow).where(ApiKeyRow.digest == digest), Key)


def anonymous(session: Session) -> list[Key]:
    """Return the keys for requests that bring none, by id; revoked ones are left out."""
    query = select(ApiKeyRow).where(ApiKeyRow.anonymous, ApiKeyRow.revoked_at.is_(None))
    return values(session, query.order_by(ApiKeyRow.id), Key)


def get(session: Session, key_id: int) -> Key:
    """Return a key by id. Raises NotFound."""
    return value_of(row_of(session, ApiKeyRow, key_id, "key"), Key)


def insert(session: Session, key: Key, digest: bytes) -> Key:
    """Store a new key (its `id` is given here). Raises InvalidRequest for a model there is not."""
    _check_models(session, key)
    return add(session, ApiKeyRow(digest=digest, **columns(key, ApiKeyRow)), Key)


def save(session: Session, key: Key) -> Key:
    """Store the changed values of a key. Raises NotFound, InvalidRequest (a model there is not)."""
    _check_models(session, key)
    return fill(session, row_of(session, ApiKeyRow, key.id, "key"), key)


def delete(session: Session, key_id: int) -> None:
    """Remove a key and its counters; its usage stays. Raises NotFound."""
    row = row_of(session, ApiKeyRow, key_id, "key")
    names.keep(session, "key", key_id, row.name)
    for table in (KeyCounterRow, CounterLeaseRow):  # first: the usage writer locks in this order
        session.execute(sql_delete(table).where(table.key_id == key_id))
    session.delete(row)


def has_lineage(session: Session, key_id: int) -> bool:
    """Whether there is still a key of these rotations; `key_id` is their first."""
    query = select(ApiKeyRow.id).where((ApiKeyRow.id == key_id) | (ApiKeyRow.lineage_id == key_id))
    return session.scalar(query.limit(1)) is not None


def touch(session: Session, used: Mapping[int, datetime]) -> None:
    """Note when keys were last used, to the nearest TOUCH_EVERY."""
    if not used:
        return
    rows = [
        {"which": key_id, "seen": at, "stale": at - TOUCH_EVERY}
        for key_id, at in sorted(used.items())
    ]
    session.connection().execute(_TOUCH, rows)


def _check_models(session: Session, key: Key) -> None:
    known = session.scalars(select(ModelRow.id).where(ModelRow.id.in_(key.model_ids)))
    if missing := set(key.model_ids).difference(known):
        message = Message("There is no model %(id)s.", id=min(missing))
        raise InvalidRequest(message, param="model_ids")
