"""The second factor of an account: codes of an authenticator, and recovery codes for its loss.

A code of the authenticator belongs to a step of 30 seconds and works once. Recovery codes are made
together, shown once, and each works once; new ones end those before. Only their SHA-256 is kept:
80 random bits need no slow hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import pyotp
from sqlalchemy.orm import Session

from gateway.core.admin import Actor, Admin, AuditAction
from gateway.core.secrets import new_recovery_code, recovery_digest
from gateway.errors import Forbidden, InvalidRequest, Message
from gateway.runtime.database import Store
from gateway.store import admins, audit

WRONG_CODE = Message("The code is wrong or was used. Check the clock of your device.")
RECOVERY_CODES = 10
_STEP_S = 30
_ISSUER = "Ollama2OpenAI"


@dataclass(eq=False)
class TwoFactor:
    """Switches the second factor on and off, and checks its codes."""

    store: Store
    now: Callable[[], datetime]
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    def begin(self, admin_id: int) -> tuple[str, str]:
        """Return a new secret, not yet in force, and its otpauth: address.

        Raises InvalidRequest if the second factor is on, Forbidden if the provider asks for it.
        """
        secret = pyotp.random_base32()

        def change(session: Session) -> Admin:
            admin = admins.get(session, admin_id)
            if admin.issuer is not None:
                raise Forbidden(Message("The OpenID provider asks for the second factor."))
            if admin.totp_enabled:
                raise InvalidRequest("The second factor is already on.", param="code")
            return admins.save(session, replace(admin, totp_secret=secret))

        return secret, address_of(self.store.write(change).username, secret)

    def confirm(self, admin_id: int, code: str, actor: Actor) -> tuple[str, ...]:
        """Switch it on, once a code proves that the authenticator works; return the recovery codes.

        Raises InvalidRequest.
        """

        def change(session: Session) -> tuple[str, ...]:
            admin = admins.get(session, admin_id)
            step = self._matching_step(admin.totp_secret, code) if admin.totp_secret else None
            if step is None or not admins.take_totp_step(session, admin_id, step):
                raise InvalidRequest(WRONG_CODE, param="code")
            saved = admins.save(session, replace(admin, totp_enabled=True))
            self._record(session, actor, "totp.enable", saved)
            return self._make_codes(session, admin_id)

        return self.store.write(change)

    def disable(self, admin_id: int, actor: Actor) -> None:
        """Switch it off (the admin after a password check, or an owner); its codes end."""

        def change(session: Session) -> None:
            admin = admins.get(session, admin_id)
            saved = admins.save(session, replace(admin, totp_enabled=False, totp_secret=""))
            admins.replace_recovery_codes(session, admin_id, ())
            self._record(session, actor, "totp.disable", saved)

        self.store.write(change)

    def new_codes(self, admin_id: int, actor: Actor) -> tuple[str, ...]:
        """Return new recovery codes; those before end. Raises InvalidRequest if it is off."""

        def change(session: Session) -> tuple[str, ...]:
            admin = admins.get(session, admin_id)
            if not admin.totp_enabled:
                raise InvalidRequest(Message("Two-factor authentication is off."))
            self._record(session, actor, "recovery_codes.create", admin)
            return self._make_codes(session, admin_id)

        return self.store.write(change)

    def codes_left(self, admin_id: int) -> int:
        """Return how many recovery codes were not used yet."""
        return self.store.read(admins.recovery_codes_left, admin_id)

    def use(self, admin: Admin, code: str, ip: str) -> bool:
        """Use up a code of the authenticator or a recovery code; False if it is wrong or was
        used."""
        step, digest = self._matching_step(admin.totp_secret, code), recovery_digest(code)

        def change(session: Session) -> bool:
            if step is not None:
                return admins.take_totp_step(session, admin.id, step)
            if digest is None or not admins.take_recovery_code(session, admin.id, digest):
                return False
            actor = Actor("admin", admin.username, admin.id, admin.role, ip)
            self._record(session, actor, "recovery_codes.use", admin)
            return True

        return self.store.write(change)

    def _matching_step(self, secret: str, code: str) -> int | None:
        """Return the 30 s step whose code this is: the present one or a neighbour."""
        digits = code.replace(" ", "")
        if len(digits) != 6 or not digits.isdigit() or not digits.isascii():
            return None
        totp = pyotp.TOTP(secret)
        present = int(self.now().timestamp()) // _STEP_S
        for step in (present, present - 1, present + 1):
            if secrets.compare_digest(totp.generate_otp(step), digits):
                return step
        return None

    def _make_codes(self, session: Session, admin_id: int) -> tuple[str, ...]:
        codes = tuple(new_recovery_code(self.random_bytes) for _ in range(RECOVERY_CODES))
        digests = [digest for code in codes if (digest := recovery_digest(code))]
        admins.replace_recovery_codes(session, admin_id, digests)
        return codes

    def _record(self, session: Session, actor: Actor, action: AuditAction, admin: Admin) -> None:
        audit.record(session, actor, action, "admin", admin.id, admin.username, now=self.now())


def address_of(username: str, secret: str) -> str:
    """Return the otpauth: address that an authenticator reads, by link or as a QR code."""
    return str(pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=_ISSUER))
