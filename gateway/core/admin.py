"""Who administers: accounts, their sessions and tokens, and the record of what they changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

from gateway.core.chat import EMPTY, Json

Role: TypeAlias = Literal["owner", "admin", "viewer"]
ROLES: tuple[Role, ...] = ("owner", "admin", "viewer")
_RANK = {"viewer": 0, "admin": 1, "owner": 2}


def role_allows(role: Role, needed: Role) -> bool:
    """Whether `role` may do what needs `needed`: viewers look, admins change, owners also manage
    accounts and tokens."""
    return _RANK[role] >= _RANK[needed]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, as the audit log names them. `kind` is admin, token, key, cli or
    system."""

    kind: Literal["admin", "token", "key", "cli", "system"]
    name: str
    id: int | None = None
    role: Role = "owner"
    ip: str = ""


AuditAction: TypeAlias = Literal[
    "admin.create", "admin.delete", "admin.seed", "admin.update",
    "alert.create", "alert.delete", "alert.import", "alert.update",
    "backup.download", "backup.failed", "backup.made",
    "call.cancel",
    "key.create", "key.delete", "key.disable", "key.enable", "key.import", "key.revoke",
    "key.rotate", "key.update",
    "login", "login.code_failed", "login.failed", "login.provider_failed",
    "model.copy", "model.delete", "model.disable", "model.enable", "model.forget", "model.import",
    "model.load", "model.load_cancel", "model.pull", "model.pull_cancel", "model.unload",
    "model.unpin", "model.update",
    "password.change", "password.set",
    "recovery_codes.create", "recovery_codes.use",
    "server.create", "server.delete", "server.import", "server.seed", "server.update",
    "session.end",
    "settings.import", "settings.update",
    "token.create", "token.revoke",
    "totp.disable", "totp.enable",
]  # fmt: skip
"""What the audit log says was done."""
AUDIT_ACTIONS: Final[tuple[AuditAction, ...]] = get_args(AuditAction)
AuditKind: TypeAlias = Literal[
    "admin", "admin_token", "alert", "backup", "call", "key", "model", "server", "settings"
]
AUDIT_KINDS: Final[tuple[AuditKind, ...]] = get_args(AuditKind)
"""What it was done to."""
SYSTEM = Actor("system", "gateway")
CLI = Actor("cli", "command line")


@dataclass(frozen=True, slots=True)
class Admin:
    """An account. `epoch` is part of each session: raising it ends them all. `issuer` and `subject`
    say whose account it is at an OpenID provider; both are None for a local one, with a password.
    """

    id: int
    username: str
    role: Role
    must_change_password: bool = False
    enabled: bool = True
    totp_enabled: bool = False
    epoch: int = 1
    preferences: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    created_at: datetime | None = None
    password_changed_at: datetime | None = None
    last_login_at: datetime | None = None
    last_login_ip: str = ""
    password_hash: str = field(default="", repr=False)
    totp_secret: str = field(default="", repr=False)
    issuer: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in at an OpenID provider: `subject` is theirs for ever at `issuer`, `name` is only
    what they would like to be called, `role` what the provider's claim gives them."""

    issuer: str
    subject: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class AdminSession:
    """A logged-in browser."""

    id: int
    account_id: int
    epoch: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A token of the admin REST API, without its secret."""

    id: int
    name: str
    role: Role
    prefix: str
    last4: str
    created_at: datetime
    account_id: int | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: who, when, what, and the values before and after, secrets left out."""

    id: int
    at: datetime
    actor_kind: str
    actor_name: str
    ip: str
    action: str
    object_kind: str
    object_id: str
    object_name: str
    before: Json = None
    after: Json = None
    actor_id: int | None = None
