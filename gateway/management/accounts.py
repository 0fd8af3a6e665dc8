"""Manages admin accounts: who exists, with which role; there is always an owner who can log in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, Admin, AdminToken, AuditAction, Role, role_allows
from gateway.core.chat import Json
from gateway.core.secrets import (
    TOKEN_PREFIX,
    digest,
    is_well_formed,
    new_secret,
    shown_end,
    shown_prefix,
)
from gateway.errors import Forbidden, InvalidFields, Message, Unauthenticated
from gateway.runtime.database import Store
from gateway.schemas import convert
from gateway.schemas.account import AccountChange, AccountFields, TokenFields
from gateway.store import admins, audit


@dataclass(eq=False)
class Accounts:
    """Creates, changes and removes accounts. `hashed(password, username)` checks and hashes."""

    store: Store
    hashed: Callable[[str, str], str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def all(self) -> list[Admin]:
        """Return every account."""
        return self.store.read(admins.all_admins)

    def get(self, admin_id: int) -> Admin:
        """Return an account. Raises NotFound."""
        return self.store.read(admins.get, admin_id)

    def find(self, username: str) -> Admin | None:
        """Return the account of this name."""
        return self.store.read(admins.find_by_name, username)

    def is_last_owner(self, admin: Admin) -> bool:
        """Return whether nobody else is an owner who can log in with a password."""
        owners = self.store.read(admins.active_owners)
        return owners == 1 and admin.role == "owner" and admin.enabled and admin.issuer is None

    def create(
        self,
        username: str,
        password: str,
        role: Role,
        actor: Actor,
        *,
        must_change: bool = True,
    ) -> Admin:
        """Make an account. Raises InvalidRequest with the field in `param`."""
        said = convert.read({"username": username, "role": role}, AccountFields)
        hashed = self.hashed(password, said["username"])
        now = self.now()
        admin = Admin(
            id=0,
            **said,
            password_hash=hashed,
            must_change_password=must_change,
            password_changed_at=now,
        )

        def change(session: Session) -> Admin:
            stored = admins.insert(session, admin, now)
            self._record(session, actor, "admin.create", None, stored)
            return stored

        return self.store.write(change)

    def update(self, admin_id: int, changes: Mapping[str, Json], actor: Actor) -> Admin:
        """Change an account's role or switch it on or off; both end its logins.

        Raises NotFound, InvalidFields, and Forbidden if no owner would be left.
        """
        said = convert.read(changes, AccountChange)

        def change(session: Session) -> Admin:
            before = admins.get(session, admin_id)
            after = replace(before, **said)
            if after.role != before.role and before.issuer is not None:
                raise Forbidden(Message("The OpenID provider gives this account its role."))
            if after != before:
                after = replace(after, epoch=before.epoch + 1)
            admins.save(session, after)
            _check_owner_left(session)
            self._record(session, actor, "admin.update", before, after)
            return after

        return self.store.write(change)

    def delete(self, admin_id: int, actor: Actor) -> None:
        """Remove an account with its sessions and tokens. Raises NotFound, Forbidden."""

        def change(session: Session) -> None:
            before = admins.get(session, admin_id)
            admins.delete(session, admin_id)
            _check_owner_left(session)
            self._record(session, actor, "admin.delete", before, None)

        self.store.write(change)

    def prefer(self, admin_id: int, **choices: object) -> Admin:
        """Store an admin's own choices (theme, language, time zone); None forgets one."""

        def change(session: Session) -> Admin:
            admin = admins.get(session, admin_id)
            merged = {**admin.preferences, **choices}
            kept = {name: value for name, value in merged.items() if value is not None}
            return admins.save(session, replace(admin, preferences=kept))

        return self.store.write(change)

    def _record(
        self,
        session: Session,
        actor: Actor,
        word: AuditAction,
        before: Admin | None,
        after: Admin | None,
    ) -> None:
        now = self.now()
        audit.change(session, actor, word, before, after, now=now, topics=("admins",))


def _check_owner_left(session: Session) -> None:
    if admins.active_owners(session) == 0:
        raise Forbidden(Message("There must be an owner who can log in."))


_SEEN_EVERY = timedelta(minutes=1)


@dataclass(eq=False)
class Tokens:
    """Issues, finds and revokes admin tokens."""

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    def issue(
        self, name: str, role: Role, actor: Actor, *, expires_at: datetime | None = None
    ) -> tuple[AdminToken, str]:
        """Return a new token and its secret. Nobody can give more than they may do.

        Raises InvalidFields, Forbidden.
        """
        now = self.now()
        given = {"name": name, "role": role, "expires_at": expires_at}
        said = convert.read(given, TokenFields)
        if not role_allows(actor.role, said["role"]):
            raise Forbidden(Message("A token cannot have a higher role than its maker."))
        if said["expires_at"] is not None and said["expires_at"] <= now:
            raise InvalidFields([("expires_at", Message("lies in the past"))])
        secret = new_secret(TOKEN_PREFIX, self.random_bytes)
        token = AdminToken(
            id=0,
            **said,
            prefix=shown_prefix(secret),
            last4=shown_end(secret),
            created_at=now,
            account_id=actor.id if actor.kind == "admin" else None,
        )

        def change(session: Session) -> AdminToken:
            stored = admins.insert_token(session, token, digest(secret))
            self._record(session, actor, "token.create", stored)
            return stored

        return self.store.write(change), secret

    def find(self, secret: str) -> AdminToken:
        """Return the usable token with this secret. Raises Unauthenticated."""
        if not is_well_formed(secret, TOKEN_PREFIX):
            raise Unauthenticated("The admin token is not valid.", code="invalid_admin_token")
        token = self.store.read(admins.find_token, digest(secret))
        now = self.now()
        if token is None or token.revoked_at is not None:
            raise Unauthenticated("The admin token is not valid.", code="invalid_admin_token")
        if token.expires_at is not None and now >= token.expires_at:
            raise Unauthenticated("The admin token has expired.", code="invalid_admin_token")
        if token.last_used_at is None or now - token.last_used_at > _SEEN_EVERY:
            self.store.write(admins.touch_token, token.id, now)
        return token

    def all(self) -> list[AdminToken]:
        """Return every token."""
        return self.store.read(admins.tokens)

    def revoke(self, token_id: int, actor: Actor) -> AdminToken:
        """Revoke a token. Raises NotFound."""

        def change(session: Session) -> AdminToken:
            token = admins.revoke_token(session, token_id, self.now())
            self._record(session, actor, "token.revoke", token)
            return token

        return self.store.write(change)

    def _record(self, session: Session, actor: Actor, word: AuditAction, token: AdminToken) -> None:
        facts = {"name": token.name, "role": token.role, "prefix": token.prefix}
        audit.record(
            session,
            actor,
            word,
            "admin_token",
            token.id,
            token.name,
            now=self.now(),
            after=facts,
        )
