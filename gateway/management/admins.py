"""Admins: how they prove who they are, and how long that holds.

A login makes a row; the browser holds a random secret whose digest is in it. Logging out, changing
the password, or revoking from the list ends the row, wherever the cookie is. Who guesses is slowed
(`limits/login_attempts.py`); an unknown name costs the same time and gets the same words. Passwords
are checked in real threads, so that many logins never hold up API traffic.

Checking a password takes a while. What follows from it is written only if the account is still what
was checked: enabled, with the same password and the same epoch.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, Admin, AdminSession, AuditAction
from gateway.core.passwords import MAX_LENGTH, problem
from gateway.core.secrets import digest
from gateway.errors import Forbidden, InvalidRequest, Message, Unauthenticated
from gateway.limits.login_attempts import Attempt, LoginAttempts, attempt
from gateway.management.accounts import Accounts, Tokens
from gateway.management.two_factor import WRONG_CODE, TwoFactor
from gateway.runtime.database import Store
from gateway.runtime.tasks import run_blocking
from gateway.store import admins, audit, passwords
from gateway.store.coordination import versions

log = logging.getLogger(__name__)

IDLE = timedelta(hours=24)
LONGEST = timedelta(days=30)
LONGEST_OF_PROVIDER = timedelta(hours=12)
"""After that the OpenID provider is asked again who somebody is, and with which role."""
CODE_WITHIN = timedelta(minutes=5)
NO_PASSWORD = Message("This account signs in through the OpenID provider and has no password.")
WRONG = Message("The name or the password is wrong.")
_SEEN_EVERY = timedelta(minutes=1)


class LoginRefused(Unauthenticated):
    """Wrong name, password or code; the words do not tell which."""

    code = "login_refused"


class CodeNeeded(Unauthenticated):
    """The password was right; a code of the second factor is missing. `secret` is for the browser's
    cookie: with it and the code, `finish_login` signs in."""

    code = "code_needed"

    def __init__(self, secret: str) -> None:
        super().__init__("Enter the code of your authenticator.")
        self.secret = secret


class LoginExpired(Unauthenticated):
    """The code came too late, or its login was used or ended meanwhile."""

    code = "login_expired"

    def __init__(self) -> None:
        super().__init__(Message("That took too long. Sign in again."))


class Login(NamedTuple):
    """A login that succeeded: the account, the secret for the browser's cookie, and how many logins
    of the account failed since the last good one."""

    admin: Admin
    secret: str
    failed_before: int


class Admins:
    """Logins, sessions, passwords; `accounts`, `two_factor` and `tokens` manage the rest."""

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._store = store
        self._now = now
        self._new_secret = new_secret
        self._attempts = LoginAttempts(store, now)
        self.accounts = Accounts(store, self.hashed, now=now)
        self.tokens = Tokens(store, now=now)
        self.two_factor = TwoFactor(store, now)

    def login(
        self,
        username: str,
        password: str,
        *,
        is_local: bool = False,
        ip: str = "",
        user_agent: str = "",
        device: tuple[int, str] | None = None,
    ) -> Login:
        """Check a name and a password.

        `is_local`: the caller sits on this machine or a private network, by an address we can
        trust; only from there the first password (of the installation) is accepted. `device`: the
        account this browser signed in to before, and the browser's id.
        Raises LoginRefused, CodeNeeded, RateLimited (wait `retry_after_s`), Forbidden.
        """
        admin = self._store.read(admins.find_by_name, username[:64])
        tried = _attempt(admin, username, ip, device)
        self._attempts.check(tried)
        right = self.is_password_of(admin, password, tried)
        if admin is None or not right or not admin.enabled:
            self._failed("login.failed", admin, tried)
            raise LoginRefused(WRONG)
        if is_first_password(admin) and not is_local:
            raise Forbidden(
                Message(
                    "The first sign-in works only from this machine or a private network, and not "
                    "through an unknown proxy. Set ADMIN_PASSWORD, or run 'ollama2openai "
                    "account set-password', to sign in from elsewhere."
                )
            )
        fresh = ""
        if passwords.needs_rehash(admin.password_hash):
            fresh = run_blocking(passwords.hash_password, password)
        needs_code = admin.totp_enabled
        begun = self._start(admin, ip, user_agent, tried, fresh=fresh, needs_code=needs_code)
        if needs_code:
            raise CodeNeeded(begun.secret)
        return begun

    def finish_login(
        self,
        secret: str,
        code: str,
        *,
        ip: str = "",
        user_agent: str = "",
        device: tuple[int, str] | None = None,
    ) -> Login:
        """Check the second factor of the login that `CodeNeeded.secret` stands for, which is good
        for CODE_WITHIN and one right code, of the authenticator or for recovery.

        Raises LoginExpired, LoginRefused, RateLimited.
        """
        found = self._store.read(admins.find_session, digest(secret), self._now(), pending=True)
        if found is None:
            raise LoginExpired
        admin, _pending = found
        tried = _attempt(admin, admin.username, ip, device)
        self._attempts.check(tried)
        if not self.two_factor.use(admin, code, ip):
            self._failed("login.code_failed", admin, tried)
            raise LoginRefused(WRONG_CODE)
        return self._start(admin, ip, user_agent, tried, ends=digest(secret))

    def session(self, secret: str) -> tuple[Admin, AdminSession] | None:
        """Return the account and login of a cookie's secret, or None if it is no longer good."""
        if not secret or len(secret) > 200:
            return None
        now = self._now()
        found = self._store.read(admins.find_session, digest(secret), now)
        if found is None:
            return None
        admin, login = found
        if now - login.seen_at > _SEEN_EVERY:
            longest = LONGEST if admin.issuer is None else LONGEST_OF_PROVIDER
            expires_at = min(now + IDLE, login.created_at + longest)
            self._store.write(admins.touch_session, login.id, now, expires_at)
        return found

    def logout(self, secret: str) -> None:
        """End the login of a cookie's secret."""
        self._store.write(admins.end_sessions, digest=digest(secret))

    def sessions(self, admin_id: int) -> list[AdminSession]:
        """Return the logins of an account."""
        return self._store.read(admins.sessions, admin_id, self._now())

    def end_session(self, admin_id: int, session_id: int, actor: Actor) -> bool:
        """End one login of an account; False if there was none."""

        def change(session: Session) -> bool:
            ended = admins.end_sessions(session, admin_id=admin_id, session_id=session_id)
            self._record(session, actor, "session.end", admins.get(session, admin_id))
            return bool(ended)

        return self._store.write(change)

    def change_password(self, admin_id: int, current: str, new: str, actor: Actor) -> Admin:
        """Set an admin's own password; ends all logins of the account.

        Raises InvalidRequest with the field in `param`.
        """
        admin = self._store.read(admins.get, admin_id)
        if not self.is_password_of(admin, current):
            raise InvalidRequest(Message("The current password is wrong."), param="current")
        if current == new:
            raise InvalidRequest(Message("The new password is the old one."), param="new")
        return self._set_password(
            admin, new, actor, "password.change", must_change=False, only_if_unchanged=True
        )

    def choose_password(self, admin_id: int, new: str, actor: Actor) -> Admin:
        """Replace a password that must be changed; once, whoever comes first.

        Raises InvalidRequest: in `password` what is wrong with it, without a field when somebody
        has chosen one meanwhile.
        """
        admin = self._store.read(admins.get, admin_id)
        if not admin.must_change_password:
            raise InvalidRequest(Message("The password was changed meanwhile."))
        return self._set_password(
            admin, new, actor, "password.set", must_change=False, only_if_unchanged=True
        )

    def set_password(
        self, admin_id: int, new: str, actor: Actor, *, must_change: bool = False
    ) -> Admin:
        """Set somebody's password (owner, command line).

        Raises InvalidRequest, NotFound, Forbidden for an account of the OpenID provider.
        """
        admin = self._store.read(admins.get, admin_id)
        return self._set_password(admin, new, actor, "password.set", must_change=must_change)

    def hashed(self, password: str, username: str) -> str:
        """Check a new password and give its hash. Raises InvalidRequest."""
        wrong = problem(password, username)
        if wrong is not None:
            sentence = Message("The password %(problem)s.", problem=wrong)
            raise InvalidRequest(sentence, param="password")
        with self._attempts.turn():
            return run_blocking(passwords.hash_password, password)

    def is_password_of(
        self, admin: Admin | None, password: str, tried: Attempt | None = None
    ) -> bool:
        """Whether this is the account's password, of a login (`tried`) or of somebody signed in;
        without an account that takes as long."""
        if len(password) > MAX_LENGTH * 4:
            return False
        stored = "" if admin is None else admin.password_hash
        network, is_known = ("", True) if tried is None else (tried.network, tried.is_known)
        with self._attempts.turn(network, is_known=is_known):
            return run_blocking(passwords.verify, stored, password)

    def _failed(
        self,
        action: audit.FailedLogin,
        admin: Admin | None,
        tried: Attempt,
    ) -> None:
        """Count a failed login against who tries, and record it."""
        self._attempts.failed(tried)
        self._store.write(audit.failed_login, action, admin, tried.address, now=self._now())

    def _start(
        self,
        admin: Admin,
        ip: str,
        user_agent: str,
        tried: Attempt,
        *,
        fresh: str = "",
        needs_code: bool = False,
        ends: bytes | None = None,
    ) -> Login:
        """Store a login, `needs_code` one that waits for its second factor; `ends` is the digest of
        the one that waited."""
        secret, now = self._new_secret(), self._now()

        def change(session: Session) -> Login:
            current, failed = _unchanged(session, admin), 0
            if current is None:
                raise LoginRefused(WRONG)
            if ends is not None and not admins.end_sessions(session, digest=ends):
                raise LoginExpired
            current = replace(current, password_hash=fresh or current.password_hash)
            if not needs_code:
                current = replace(current, last_login_at=now, last_login_ip=ip[:64])
                admins.clear_failures(session, list(tried.subjects))
                failed = admins.take_failed_logins(session, current.id)
                actor = Actor("admin", current.username, current.id, current.role, ip)
                self._record(session, actor, "login", current)
            saved = admins.save(session, current)
            admins.start_session(
                session,
                saved,
                digest(secret),
                now=now,
                expires_at=now + (CODE_WITHIN if needs_code else IDLE),
                ip=ip,
                user_agent=user_agent,
                pending=needs_code,
            )
            return Login(saved, secret, failed)

        return self._store.write(change)

    def _set_password(
        self,
        admin: Admin,
        new: str,
        actor: Actor,
        word: AuditAction,
        *,
        must_change: bool,
        only_if_unchanged: bool = False,
    ) -> Admin:
        if admin.issuer is not None:
            raise Forbidden(NO_PASSWORD)
        hashed = self.hashed(new, admin.username)
        now = self._now()

        def change(session: Session) -> Admin:
            current = admins.get(session, admin.id)
            if only_if_unchanged and _unchanged(session, admin) is None:
                raise InvalidRequest("The password was changed meanwhile.")
            saved = admins.save(
                session,
                replace(
                    current,
                    password_hash=hashed,
                    must_change_password=must_change,
                    password_changed_at=now,
                    epoch=current.epoch + 1,
                ),
            )
            self._record(session, actor, word, saved)
            versions.bump(session, "admins")
            return saved

        return self._store.write(change)

    def _record(self, session: Session, actor: Actor, word: AuditAction, admin: Admin) -> None:
        """Record what was done to an account."""
        audit.record(session, actor, word, "admin", admin.id, admin.username, now=self._now())


def is_first_password(admin: Admin) -> bool:
    """Whether the account still has the password the installation gave it."""
    return admin.must_change_password and admin.password_changed_at is None


def _attempt(
    admin: Admin | None, username: str, ip: str, device: tuple[int, str] | None
) -> Attempt:
    is_known = admin is not None and device is not None and device[0] == admin.id
    return attempt(username, ip, device[1] if is_known and device else "")


def _unchanged(session: Session, checked: Admin) -> Admin | None:
    """Return the account as it is now, unless what was checked of it has changed meanwhile."""
    current = admins.get(session, checked.id, for_update=True)
    if not current.enabled or (current.epoch, current.password_hash) != (
        checked.epoch,
        checked.password_hash,
    ):
        return None
    return current
