"""The audit log: written in the transaction of the change, read newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditEntry
from gateway.core.chat import Json
from gateway.store.coordination import versions
from gateway.store.coordination.versions import Topic
from gateway.store.mapping import changed, plain, values
from gateway.store.tables import AuditRow

_SECRETS = frozenset(
    {"password", "password_hash", "totp_secret", "auth_header", "secret", "digest", "token"}
)


def record(
    session: Session,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: object,
    object_name: str,
    *,
    now: datetime,
    before: Json = None,
    after: Json = None,
) -> None:
    """Write who did what; only what differs is kept of `before` and `after`, secrets masked."""
    old, new = _differences(before, after)
    session.add(
        AuditRow(
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name[:256],
            ip=actor.ip[:64],
            action=action,
            object_kind=object_kind,
            object_id=str(object_id)[:64],
            object_name=object_name[:256],
            before=old,
            after=new,
        )
    )
    session.flush()


def change(
    session: Session,
    actor: Actor,
    action: str,
    before: Any,
    after: Any,
    *,
    now: datetime,
    topics: tuple[Topic, ...] = (),
) -> None:
    """Write what became of a noun (key, server, account …: values with id and name, None where it
    was not there before or after), and raise the versions of `topics`: workers look again.

    The kind of noun is the first word of `action`.
    """
    one = after or before
    name = getattr(one, "display_name", None) or getattr(one, "name", None) or one.username
    old, new = (None if value is None else plain(value) for value in (before, after))
    kind = action.partition(".")[0]
    record(session, actor, action, kind, one.id, name, now=now, before=old, after=new)
    for topic in topics:
        versions.bump(session, topic)


def page(
    session: Session,
    *,
    before: int = 0,
    limit: int = 50,
    object_kind: str = "",
    object_id: str = "",
    actor: str = "",
    action: str = "",
) -> list[AuditEntry]:
    """Return entries, newest first, older than the one with the id `before`; 0 and "" do not
    matter, and of `action` the beginning counts."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(max(1, min(limit, 500)))
    if before:
        query = query.where(AuditRow.id < before)
    wanted = {"object_kind": object_kind, "object_id": object_id, "actor_name": actor}
    query = query.filter_by(**{name: value for name, value in wanted.items() if value})
    if action:
        query = query.where(AuditRow.action.startswith(action, autoescape=True))
    return values(session, query, AuditEntry)


def prune(session: Session, before: datetime, limit: int) -> int:
    """Delete at most `limit` entries older than `before`; return how many."""
    old = select(AuditRow.id).where(AuditRow.at < before).order_by(AuditRow.id).limit(limit)
    ids = session.scalars(old).all()
    return changed(session, delete(AuditRow).where(AuditRow.id.in_(ids)))


def _differences(before: Json, after: Json) -> tuple[Json, Json]:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return _masked(before), _masked(after)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    old, new = ({name: one[name] for name in names if name in one} for one in (before, after))
    return _masked(old), _masked(new)


def _masked(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {
            name: ("***" if inner else inner) if name in _SECRETS else _masked(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value
