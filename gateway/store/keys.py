"""API keys in the store: found by digest, listed, issued, changed, revoked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.core.keys import Budget, Key, Limits, Priority
from gateway.errors import NotFound
from gateway.store.tables import ApiKeyRow, CounterLeaseRow, KeyCounterRow

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
_LISTS = ("allow", "deny", "model_ids", "cidrs", "scopes", "tags")


def find_by_digest(session: Session, digest: bytes) -> Key | None:
    """Return the key with this digest, usable or not."""
    row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.digest == digest))
    return None if row is None else to_key(row)


def get(session: Session, key_id: int) -> Key:
    """Return a key by id. Raises NotFound."""
    return to_key(_row(session, key_id))


def all_keys(session: Session) -> list[Key]:
    """Return every key, newest first."""
    return [to_key(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id.desc()))]


def search(session: Session, text: str = "", *, limit: int = 1000, offset: int = 0) -> list[Key]:
    """Return keys whose name, owner, prefix or end contains `text`, newest first."""
    query = select(ApiKeyRow).order_by(ApiKeyRow.id.desc()).limit(limit).offset(offset)
    if text:
        query = query.where(_contains(text))
    return [to_key(row) for row in session.scalars(query)]


def count(session: Session, text: str = "") -> int:
    """Return how many keys `search` would find."""
    query = select(func.count()).select_from(ApiKeyRow)
    if text:
        query = query.where(_contains(text))
    return session.scalar(query) or 0


def insert(session: Session, key: Key, digest: bytes, created_by: str) -> Key:
    """Store a new key (its `id` is given here)."""
    row = ApiKeyRow(
        digest=digest,
        created_by=created_by[:256],
        last_used_at=key.last_used_at,
        **_columns(key),
    )
    session.add(row)
    session.flush()
    return to_key(row)


def save(session: Session, key: Key) -> Key:
    """Store the changed values of a key. Raises NotFound."""
    row = _row(session, key.id)
    for name, value in _columns(key).items():
        setattr(row, name, value)
    session.flush()
    return to_key(row)


def delete(session: Session, key_id: int) -> None:
    """Remove a key and its counters; its usage stays. Raises NotFound."""
    _row(session, key_id)
    for table in (KeyCounterRow, CounterLeaseRow):  # first: the usage writer locks in this order
        session.execute(sql_delete(table).where(table.key_id == key_id))
    session.execute(sql_delete(ApiKeyRow).where(ApiKeyRow.id == key_id))


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


def to_key(row: ApiKeyRow) -> Key:
    """Return a row as the value the rest of the gateway works with."""
    return Key(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        last4=row.last4,
        enabled=row.enabled,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        created_at=row.created_at,
        allow=tuple(row.allow),
        deny=tuple(row.deny),
        model_ids=tuple(row.model_ids),
        cidrs=tuple(row.cidrs),
        scopes=tuple(row.scopes),
        limits=Limits(
            requests_per_minute=row.requests_per_minute,
            tokens_per_minute=row.tokens_per_minute,
            concurrent=row.concurrent,
            budgets=tuple(Budget(**budget) for budget in row.budgets),
        ),
        zone=row.zone,
        priority=cast(Priority, row.priority),
        default_params=row.default_params,
        forced_params=row.forced_params,
        owner=row.owner,
        notes=row.notes,
        tags=tuple(row.tags),
        log_bodies=row.log_bodies,
        rotated_from=row.rotated_from,
        last_used_at=row.last_used_at,
        lineage_id=row.lineage_id,
        legacy=row.legacy,
    )


def as_json(key: Key) -> dict[str, Json]:
    """Return a key as plain values: for the audit log, exports and the REST API."""
    found: dict[str, Json] = {}
    for name, value in asdict(key).items():
        if isinstance(value, datetime):
            found[name] = value.isoformat()
        elif name == "limits":
            found |= {**value, "budgets": [dict(budget) for budget in value["budgets"]]}
        elif isinstance(value, tuple):
            found[name] = list(value)
        else:
            found[name] = value
    return found


def _row(session: Session, key_id: int) -> ApiKeyRow:
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        raise NotFound(f"There is no key {key_id}.", code="key_not_found")
    return row


def _contains(text: str) -> Any:
    columns = (ApiKeyRow.name, ApiKeyRow.owner, ApiKeyRow.prefix, ApiKeyRow.last4)
    return or_(*(column.icontains(text[:100], autoescape=True) for column in columns))


def _columns(key: Key) -> dict[str, Any]:
    limits = key.limits
    return {
        **{name: list(getattr(key, name)) for name in _LISTS},
        "name": key.name,
        "prefix": key.prefix,
        "last4": key.last4,
        "enabled": key.enabled,
        "legacy": key.legacy,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "rotated_from": key.rotated_from,
        "lineage_id": key.lineage_id,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent": limits.concurrent,
        "budgets": [asdict(budget) for budget in limits.budgets],
        "zone": key.zone,
        "priority": key.priority,
        "default_params": dict(key.default_params),
        "forced_params": dict(key.forced_params),
        "owner": key.owner,
        "notes": key.notes,
        "log_bodies": key.log_bodies,
    }
