"""Admin accounts, their sessions and tokens, and failed logins, in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gateway.core.admin import Admin, AdminSession, AdminToken
from gateway.core.chat import Json
from gateway.errors import InvalidRequest, Message
from gateway.store.database.engine import insert_for
from gateway.store.mapping import add, changed, columns, fill, find, plain, row_of, value_of, values
from gateway.store.tables import (
    AccountRow,
    AccountSessionRow,
    AdminTokenRow,
    LoginFailureRow,
    RecoveryCodeRow,
    SpentSecretRow,
)


def all_admins(session: Session) -> list[Admin]:
    """Return every account, oldest first."""
    return values(session, select(AccountRow).order_by(AccountRow.id), Admin)


def get(session: Session, admin_id: int, *, for_update: bool = False) -> Admin:
    """Return an account; `for_update` locks it until the transaction ends. Raises NotFound."""
    return value_of(_row(session, admin_id, with_for_update=for_update), Admin)


def find_by_name(session: Session, username: str) -> Admin | None:
    """Return the account of this name, in whatever case."""
    name = username.strip().lower()
    return find(session, select(AccountRow).where(AccountRow.username == name), Admin)


def find_by_subject(session: Session, issuer: str, subject: str) -> Admin | None:
    """Return the account that `subject` of the OpenID provider `issuer` has, locked until the
    transaction ends."""
    query = select(AccountRow).filter_by(issuer=issuer, subject=subject).with_for_update()
    return find(session, query, Admin)


def insert(session: Session, admin: Admin, now: datetime) -> Admin:
    """Store a new account (its `id` is given here). Raises InvalidRequest if the name is taken."""
    row = AccountRow(**columns(replace(admin, created_at=now), AccountRow))
    try:
        with session.begin_nested():
            return add(session, row, Admin)
    except IntegrityError as exc:
        raise InvalidRequest(
            Message("There is already an account '%(name)s'.", name=admin.username),
            param="username",
        ) from exc


def save(session: Session, admin: Admin) -> Admin:
    """Store the changed values of an account. Raises NotFound."""
    return fill(session, _row(session, admin.id), admin)


def delete(session: Session, admin_id: int) -> None:
    """Remove an account, its sessions and its tokens. Raises NotFound."""
    session.delete(_row(session, admin_id))


def active_owners(session: Session) -> int:
    """Return how many enabled owners have a password: they need no provider to get in."""
    query = select(func.count()).where(
        AccountRow.role == "owner", AccountRow.enabled, AccountRow.issuer.is_(None)
    )
    return session.scalar(query) or 0


def take_failed_logins(session: Session, admin_id: int) -> int:
    """Return how many logins of an account failed since the last good one, and count anew."""
    row = _row(session, admin_id)
    failed, row.failed_logins = row.failed_logins, 0
    return failed


def take_totp_step(session: Session, admin_id: int, step: int) -> bool:
    """Use up a 30 s step for a code; False if it, or a later one, was used before."""
    unused = (AccountRow.id == admin_id) & (AccountRow.totp_last_step < step)
    return bool(changed(session, update(AccountRow).where(unused).values(totp_last_step=step)))


def replace_recovery_codes(session: Session, admin_id: int, digests: Sequence[bytes]) -> None:
    """Store the digests of an account's recovery codes in the place of those before."""
    session.execute(sql_delete(RecoveryCodeRow).where(RecoveryCodeRow.account_id == admin_id))
    session.add_all(RecoveryCodeRow(account_id=admin_id, digest=one) for one in digests)
    session.flush()


def take_recovery_code(session: Session, admin_id: int, digest: bytes) -> bool:
    """Use up a recovery code; False if the account has none with this digest."""
    meant = (RecoveryCodeRow.account_id == admin_id) & (RecoveryCodeRow.digest == digest)
    return bool(changed(session, sql_delete(RecoveryCodeRow).where(meant)))


def recovery_codes_left(session: Session, admin_id: int) -> int:
    """Return how many recovery codes of an account were not used yet."""
    query = select(func.count()).where(RecoveryCodeRow.account_id == admin_id)
    return session.scalar(query) or 0


def start_session(
    session: Session,
    admin: Admin,
    digest: bytes,
    *,
    now: datetime,
    expires_at: datetime,
    ip: str,
    user_agent: str,
    pending: bool = False,
) -> AdminSession:
    """Store a login; a `pending` one waits for its second factor."""
    row = AccountSessionRow(
        digest=digest,
        account_id=admin.id,
        epoch=admin.epoch,
        pending=pending,
        created_at=now,
        seen_at=now,
        expires_at=expires_at,
        ip=ip[:64],
        user_agent=user_agent[:256],
    )
    return add(session, row, AdminSession)


def find_session(
    session: Session, digest: bytes, now: datetime, *, pending: bool = False
) -> tuple[Admin, AdminSession] | None:
    """Return a login that is still good (`pending`: lacks its second factor), and its account."""
    query = _good_sessions(now, pending).add_columns(AccountRow)
    query = query.where(AccountSessionRow.digest == digest, AccountRow.enabled)
    found = session.execute(query).first()
    return None if found is None else (value_of(found[1], Admin), value_of(found[0], AdminSession))


def touch_session(session: Session, session_id: int, now: datetime, expires_at: datetime) -> None:
    """Note that a login is in use, and let it last until `expires_at`."""
    query = update(AccountSessionRow).where(AccountSessionRow.id == session_id)
    session.execute(query.values(seen_at=now, expires_at=expires_at))


def sessions(session: Session, admin_id: int, now: datetime) -> list[AdminSession]:
    """Return the logins of an account that are still good, latest use first."""
    query = _good_sessions(now).where(AccountSessionRow.account_id == admin_id)
    return values(session, query.order_by(AccountSessionRow.seen_at.desc()), AdminSession)


def open_sessions(session: Session, now: datetime) -> dict[int, str]:
    """Return the role of its account for each login that is good, by the login's id."""
    good = _good_sessions(now).where(AccountRow.enabled, ~AccountRow.must_change_password)
    rows = session.execute(good.with_only_columns(AccountSessionRow.id, AccountRow.role))
    return {row.id: row.role for row in rows}


def end_sessions(
    session: Session, *, digest: bytes | None = None, admin_id: int = 0, session_id: int = 0
) -> int:
    """End one login, by its secret's digest or by account and id; return how many ended."""
    own = (AccountSessionRow.account_id == admin_id) & (AccountSessionRow.id == session_id)
    meant = own if digest is None else AccountSessionRow.digest == digest
    return changed(session, sql_delete(AccountSessionRow).where(meant))


def insert_token(session: Session, token: AdminToken, digest: bytes) -> AdminToken:
    """Store a token of the REST API (its `id` is given here)."""
    return add(session, AdminTokenRow(digest=digest, **columns(token, AdminTokenRow)), AdminToken)


def find_token(session: Session, digest: bytes) -> AdminToken | None:
    """Return the token with this digest, usable or not, unless its account is disabled."""
    query = (
        select(AdminTokenRow)
        .outerjoin(AccountRow)
        .where(
            AdminTokenRow.digest == digest, AccountRow.enabled | AdminTokenRow.account_id.is_(None)
        )
    )
    return find(session, query, AdminToken)


def tokens(session: Session) -> list[AdminToken]:
    """Return every token, newest first."""
    return values(session, select(AdminTokenRow).order_by(AdminTokenRow.id.desc()), AdminToken)


def revoke_token(session: Session, token_id: int, now: datetime) -> AdminToken:
    """Make a token useless. Raises NotFound."""
    row = row_of(session, AdminTokenRow, token_id, "token")
    row.revoked_at = row.revoked_at or now
    return value_of(row, AdminToken)


def touch_token(session: Session, token_id: int, now: datetime) -> None:
    """Note that a token was used."""
    query = update(AdminTokenRow).where(AdminTokenRow.id == token_id)
    session.execute(query.values(last_used_at=now))


def blocked_until(session: Session, subjects: list[str], now: datetime) -> datetime | None:
    """Return until when any of the subjects must wait, or None."""
    query = select(func.max(LoginFailureRow.blocked_until)).where(
        LoginFailureRow.subject.in_(subjects), LoginFailureRow.blocked_until > now
    )
    return session.scalar(query)


def count_failure(
    session: Session, subject: str, now: datetime, *, free: int, longest_s: int
) -> None:
    """Count a failed login; beyond `free` ones the subject waits 1, 2, 4 … `longest_s` seconds.
    An hour without failures forgives."""
    row = session.get(LoginFailureRow, subject[:160])
    if row is None:
        row = LoginFailureRow(subject=subject[:160], failures=0, last_at=now)
        session.add(row)
    if now - row.last_at > timedelta(hours=1):
        row.failures = 0
    row.failures += 1
    row.last_at = now
    over = row.failures - free
    if over > 0:
        row.blocked_until = now + timedelta(seconds=min(longest_s, 2 ** min(over - 1, 20)))
    session.flush()


def clear_failures(session: Session, subjects: list[str]) -> None:
    """Forgive after a good login."""
    session.execute(sql_delete(LoginFailureRow).where(LoginFailureRow.subject.in_(subjects)))


def spend(session: Session, digest: bytes, now: datetime) -> bool:
    """Use up what may be used once; False if it was used before."""
    statement = insert_for(session, SpentSecretRow).values(digest=digest, created_at=now)
    return bool(changed(session, statement.on_conflict_do_nothing()))


def prune(session: Session, now: datetime) -> int:
    """Delete expired sessions, old failures and marks of spent secrets; return how many."""
    old = now - timedelta(days=1)
    gone = (
        sql_delete(AccountSessionRow).where(AccountSessionRow.expires_at < now),
        sql_delete(LoginFailureRow).where(LoginFailureRow.last_at < old),
        sql_delete(SpentSecretRow).where(SpentSecretRow.created_at < old),
    )
    return sum(changed(session, each) for each in gone)


def as_json(admin: Admin) -> dict[str, Json]:
    """Return an account as plain values without its secrets, for the REST API."""
    return {name: value for name, value in plain(admin).items() if not name.startswith("has_")}


def _row(session: Session, admin_id: int, **more: Any) -> AccountRow:
    return row_of(session, AccountRow, admin_id, "account", "admin_not_found", **more)


def _good_sessions(now: datetime, pending: bool = False) -> Select[AccountSessionRow]:
    return (
        select(AccountSessionRow)
        .join(AccountRow)
        .where(
            AccountSessionRow.pending.is_(pending),
            AccountSessionRow.expires_at > now,
            AccountSessionRow.epoch == AccountRow.epoch,
        )
    )
