"""Tokens of the admin REST API: made once, shown once, found by digest."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from gateway.core.admin import ROLES, Actor, AdminToken, Role, role_allows
from gateway.core.secrets import (
    TOKEN_PREFIX,
    digest,
    is_well_formed,
    new_secret,
    shown_end,
    shown_prefix,
)
from gateway.errors import Forbidden, InvalidRequest, Unauthenticated
from gateway.runtime.database import Store
from gateway.store import admins, audit

_SEEN_EVERY = timedelta(minutes=1)


class Tokens:
    """Issues, finds and revokes admin tokens."""

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._now = now
        self._random_bytes = random_bytes

    def issue(
        self, name: str, role: Role, actor: Actor, *, expires_at: datetime | None = None
    ) -> tuple[AdminToken, str]:
        """Make a token, give it and its secret. Nobody can give more than they may do.

        Raises InvalidRequest, Forbidden.
        """
        now = self._now()
        label = name.strip()
        if not 1 <= len(label) <= 200 or not label.isprintable():
            raise InvalidRequest("A token needs a name of 1 to 200 characters.", param="name")
        if role not in ROLES:
            raise InvalidRequest(f"A role is one of {', '.join(ROLES)}.", param="role")
        if not role_allows(actor.role, role):
            raise Forbidden("A token cannot have a higher role than its maker.")
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest("'expires_at' lies in the past.", param="expires_at")
        secret = new_secret(TOKEN_PREFIX, self._random_bytes)
        token = AdminToken(
            id=0,
            name=label,
            role=role,
            prefix=shown_prefix(secret),
            last4=shown_end(secret),
            created_at=now,
            admin_id=actor.id if actor.kind == "admin" else None,
            expires_at=expires_at,
        )

        def change(session: Session) -> AdminToken:
            stored = admins.insert_token(session, token, digest(secret))
            self._record(session, actor, "token.create", stored)
            return stored

        return self._store.write(change), secret

    def find(self, secret: str) -> AdminToken:
        """Return the usable token with this secret. Raises Unauthenticated."""
        if not is_well_formed(secret, TOKEN_PREFIX):
            raise Unauthenticated("The admin token is not valid.", code="invalid_admin_token")
        token = self._store.read(admins.find_token, digest(secret))
        now = self._now()
        if token is None or token.revoked_at is not None:
            raise Unauthenticated("The admin token is not valid.", code="invalid_admin_token")
        if token.expires_at is not None and now >= token.expires_at:
            raise Unauthenticated("The admin token has expired.", code="invalid_admin_token")
        if token.last_used_at is None or now - token.last_used_at > _SEEN_EVERY:
            self._store.write(admins.touch_token, token.id, now)
        return token

    def all(self) -> list[AdminToken]:
        """Return every token."""
        return self._store.read(admins.tokens)

    def revoke(self, token_id: int, actor: Actor) -> AdminToken:
        """Make a token useless. Raises NotFound."""

        def change(session: Session) -> AdminToken:
            token = admins.revoke_token(session, token_id, self._now())
            self._record(session, actor, "token.revoke", token)
            return token

        return self._store.write(change)

    def _record(self, session: Session, actor: Actor, word: str, token: AdminToken) -> None:
        audit.record(
            session,
            actor,
            word,
            "admin_token",
            token.id,
            token.name,
            now=self._now(),
            after={"name": token.name, "role": token.role, "prefix": token.prefix},
        )
