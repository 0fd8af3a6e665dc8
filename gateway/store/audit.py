"""The audit log: written in the transaction of the change, read newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, cast

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from gateway.core.admin import SYSTEM, Actor, Admin, AuditAction, AuditEntry, AuditKind
from gateway.core.chat import Json
from gateway.store.coordination import versions
from gateway.store.coordination.versions import Topic
from gateway.store.mapping import changed, plain, values
from gateway.store.tables import AccountRow, AuditRow

_SECRETS = frozenset(
    {"password", "password_hash", "totp_secret", "auth_header", "secret", "digest", "token"}
)
FailedLogin: TypeAlias = Literal["login.failed", "login.code_failed", "login.provider_failed"]
_ONE_ENTRY = timedelta(minutes=1)
_MOST_NAMED = 10
UNKNOWN_USER = "unknown user"
"""Who failed to log in where no account has the name: what was typed may be a password."""


def record(
    session: Session,
    actor: Actor,
    action: AuditAction,
    object_kind: AuditKind,
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
    action: AuditAction,
    before: Any,
    after: Any,
    *,
    now: datetime,
    topics: tuple[Topic, ...] = (),
) -> None:
    """Write what became of a noun (key, server, account …: values with id and name, None where it
    was not there before or after), and raise the versions of `topics`: workers look again.

    The kind of noun is the first word of `action`. Of one that is new or gone only what differs
    from the defaults is written.
    """
    one = after or before
    name = getattr(one, "display_name", None) or getattr(one, "name", None) or one.username
    old, new = (None if value is None else plain(value) for value in (before, after))
    if before is None or after is None:
        old, new = (_telling(one, said) if said else None for said in (old, new))
    kind = cast(AuditKind, action.partition(".")[0])
    record(session, actor, action, kind, one.id, name, now=now, before=old, after=new)
    for topic in topics:
        versions.bump(session, topic)


def failed_login(
    session: Session,
    action: FailedLogin,
    admin: Admin | None,
    ip: str,
    *,
    now: datetime,
    reason: str = "",
) -> None:
    """Record that a login failed, of an account or (None) of a name that nobody has; `reason` is
    why, where that is no secret.

    What fails for one of them within a minute is one entry that counts, so that nobody who guesses
    fills the table; of its addresses and reasons it names the first 10.
    """
    account_id = "" if admin is None else str(admin.id)
    if admin is not None:
        counted = update(AccountRow).where(AccountRow.id == admin.id)
        session.execute(counted.values(failed_logins=AccountRow.failed_logins + 1))
    row = session.scalars(
        select(AuditRow)
        .filter_by(object_kind="admin", object_id=account_id, action=action)
        .where(AuditRow.at > now - _ONE_ENTRY)
        .order_by(AuditRow.id.desc())
        .limit(1)
        .with_for_update()
    ).first()
    if row is None or row.after is None:
        name = UNKNOWN_USER if admin is None else admin.username
        said = {"attempts": 1, "addresses": [ip[:64]], **({"reasons": [reason]} if reason else {})}
        visitor = replace(SYSTEM, ip=ip)
        record(session, visitor, action, "admin", account_id, name, now=now, after=said)
        return
    said = {"attempts": row.after["attempts"] + 1, "addresses": _with(row.after, "addresses", ip)}
    if reason:
        said["reasons"] = _with(row.after, "reasons", reason)
    row.after = said
    session.flush()


def page(
    session: Session,
    *,
    before: int = 0,
    limit: int = 50,
    object_kind: str = "",
    object_id: str = "",
    actor: str = "",
    action: str = "",
    begins_with: str = "",
) -> list[AuditEntry]:
    """Return entries, newest first, older than the one with the id `before`; 0 and "" do not
    matter, and of an action `begins_with` is the beginning."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(max(1, min(limit, 500)))
    if before:
        query = query.where(AuditRow.id < before)
    wanted = {
        "object_kind": object_kind,
        "object_id": object_id,
        "actor_name": actor,
        "action": action,
    }
    query = query.filter_by(**{name: value for name, value in wanted.items() if value})
    if begins_with:
        query = query.where(AuditRow.action.startswith(begins_with, autoescape=True))
    return values(session, query, AuditEntry)


def prune(session: Session, before: datetime, limit: int) -> int:
    """Delete at most `limit` entries older than `before`; return how many."""
    old = select(AuditRow.id).where(AuditRow.at < before).order_by(AuditRow.id).limit(limit)
    ids = session.scalars(old).all()
    return changed(session, delete(AuditRow).where(AuditRow.id.in_(ids)))


def _with(said: Mapping[str, Json], name: str, one: str) -> list[str]:
    known: list[str] = said.get(name, [])
    return known if one[:64] in known or len(known) >= _MOST_NAMED else [*known, one[:64]]


def _telling(value: Any, said: Mapping[str, Json]) -> dict[str, Json]:
    """Return what differs from the defaults of a dataclass: a secret by whether there is one."""
    usual = {one.name: _default(one) for one in fields(value)}
    return {
        name: one for name, one in said.items() if one is not None and one != usual.get(name, False)
    }


def _default(one: Field[Any]) -> Any:
    made = one.default if one.default_factory is MISSING else one.default_factory()
    return list(made) if isinstance(made, tuple) else made


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
