"""Logins of people whom the OpenID provider named, and their accounts.

An account belongs to a subject at an issuer, never to a name: who is called like a local account
gets another name. The role is the provider's at each login.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, Admin, AuditAction, Identity
from gateway.core.secrets import digest
from gateway.errors import InvalidRequest
from gateway.management.admins import LONGEST_OF_PROVIDER, Login
from gateway.openid.refusals import SignInRefused
from gateway.runtime.database import Store
from gateway.schemas.account import free_names
from gateway.store import admins, audit

_PROVIDER: Final = Actor("system", "OpenID provider")


@dataclass(eq=False)
class ProviderLogins:
    """Logs people in by the provider's word."""

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(32)

    def login(self, identity: Identity, *, ip: str = "", user_agent: str = "") -> Login:
        """Log somebody in; a second factor is the provider's affair. Raises SignInRefused."""
        secret, now = self.new_secret(), self.now()

        def change(session: Session) -> Login:
            found = self._account(session, identity)
            saved = admins.save(session, replace(found, last_login_at=now, last_login_ip=ip[:64]))
            actor = Actor("admin", saved.username, saved.id, saved.role, ip)
            audit.record(session, actor, "login", "admin", saved.id, saved.username, now=now)
            admins.start_session(
                session,
                saved,
                digest(secret),
                now=now,
                expires_at=now + LONGEST_OF_PROVIDER,
                ip=ip,
                user_agent=user_agent,
            )
            return Login(saved, secret, failed_before=0)

        return self.store.write(change)

    def use(self, state: str) -> None:
        """Use up the state of an attempt. Raises SignInRefused if it was used before."""
        if not self.store.write(admins.spend, digest(state), self.now()):
            raise SignInRefused("state")

    def failed(self, refused: SignInRefused, ip: str) -> None:
        """Record that a login failed."""
        self.store.write(
            audit.failed_login,
            "login.provider_failed",
            None,
            ip,
            now=self.now(),
            reason=refused.reason,
        )

    def _account(self, session: Session, identity: Identity) -> Admin:
        """Return the account of an identity, made at the first login, with the role it has now."""
        found = admins.find_by_subject(session, identity.issuer, identity.subject)
        if found is None:
            return self._add(session, identity)
        if not found.enabled:
            raise SignInRefused("account_disabled")
        if found.role == identity.role:
            return found
        after = replace(found, role=identity.role, epoch=found.epoch + 1)
        self._record(session, "admin.update", found, after)
        return admins.save(session, after)

    def _add(self, session: Session, identity: Identity) -> Admin:
        for name in free_names(identity.name):
            admin = Admin(
                id=0,
                username=name,
                role=identity.role,
                issuer=identity.issuer,
                subject=identity.subject,
            )
            try:
                stored = admins.insert(session, admin, self.now())
            except InvalidRequest:
                continue  # somebody else has this name
            self._record(session, "admin.create", None, stored)
            return stored
        raise SignInRefused("name_taken")

    def _record(
        self, session: Session, action: AuditAction, before: Admin | None, after: Admin
    ) -> None:
        now = self.now()
        audit.change(session, _PROVIDER, action, before, after, now=now, topics=("admins",))
