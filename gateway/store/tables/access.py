"""Tables of the people and programs that administer: accounts, sessions, tokens, audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables.base import Base, JsonColumn, Name, PrimaryKey, ShortText


class AccountRow(Base):
    """A person who may log in. `username` is kept in lower case; `role` is owner, admin or viewer.

    `epoch` is part of every session: raising it ends them all. `totp_secret` counts only once
    `totp_enabled`; `totp_last_step` is the last 30 s step that was used, so no code works twice.
    `failed_logins` are those since the last good one. Accounts of an OpenID provider have its
    `issuer`, their `subject` there, and an empty `password_hash`.
    """

    __tablename__ = "account"
    __table_args__ = (Index("ix_account_issuer_subject", "issuer", "subject", unique=True),)

    id: Mapped[PrimaryKey]
    username: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[ShortText]
    password_hash: Mapped[str]
    must_change_password: Mapped[bool] = mapped_column(default=False)
    failed_logins: Mapped[int] = mapped_column(default=0)
    enabled: Mapped[bool] = mapped_column(default=True)
    totp_secret: Mapped[str] = mapped_column(String(64), default="")
    totp_enabled: Mapped[bool] = mapped_column(default=False)
    totp_last_step: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=1)
    preferences: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    password_changed_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    last_login_ip: Mapped[str] = mapped_column(String(64), default="")
    issuer: Mapped[str | None] = mapped_column(String(512))
    subject: Mapped[str | None] = mapped_column(String(255))


class RecoveryCodeRow(Base):
    """The SHA-256 digest of a code that signs in once in the place of an authenticator's."""

    __tablename__ = "recovery_code"

    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)


class AccountSessionRow(Base):
    """A logged-in browser. Only the SHA-256 of the cookie's random id is kept. A `pending` one
    opens nothing: its password was right, the second factor is still to come."""

    __tablename__ = "account_session"

    id: Mapped[PrimaryKey]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    epoch: Mapped[int]
    pending: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ip: Mapped[ShortText]
    user_agent: Mapped[Name]


class AdminTokenRow(Base):
    """A token of the admin REST API; its role caps what it may do."""

    __tablename__ = "admin_token"

    id: Mapped[PrimaryKey]
    account_id: Mapped[int | None] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[Name]
    role: Mapped[ShortText]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    prefix: Mapped[ShortText]
    last4: Mapped[str] = mapped_column(String(4))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class LoginFailureRow(Base):
    """Failed logins of one subject (`user:name@network`, `ip:address` or `device:id`) and how long
    it must wait."""

    __tablename__ = "login_failure"

    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)
    blocked_until: Mapped[datetime | None]


class SpentSecretRow(Base):
    """The SHA-256 digest of what a page may show once, and when it was shown."""

    __tablename__ = "spent_secret"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)


class AuditRow(Base):
    """One change somebody made. A trigger forbids updates, except of the counts of failed logins;
    only retention deletes rows."""

    __tablename__ = "audit"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "object_kind", "object_id", "id"),
    )

    id: Mapped[PrimaryKey]
    at: Mapped[datetime] = mapped_column("created_at")
    actor_kind: Mapped[ShortText]
    actor_id: Mapped[int | None]
    actor_name: Mapped[Name]
    ip: Mapped[ShortText]
    action: Mapped[ShortText]
    object_kind: Mapped[ShortText]
    object_id: Mapped[ShortText]
    object_name: Mapped[Name]
    before: Mapped[Any | None] = mapped_column(JsonColumn)
    after: Mapped[Any | None] = mapped_column(JsonColumn)
