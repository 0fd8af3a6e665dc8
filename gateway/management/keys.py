"""Issues, changes, rotates and revokes API keys: one place for console, command line and REST.

Every change is validated, stored, marked for the other workers and written to the audit log in one
transaction. A secret leaves here once, in the return value of `issue` and `rotate`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditAction
from gateway.core.chat import Json
from gateway.core.secrets import KEY_PREFIX, digest, new_secret, shown_end, shown_prefix
from gateway.dialects import SCOPES
from gateway.errors import InvalidFields, InvalidRequest, Message
from gateway.policy import roles
from gateway.policy.overrides import rules
from gateway.runtime.database import Store
from gateway.runtime.versions import ChangeVersions
from gateway.schemas import convert
from gateway.schemas.key import Key
from gateway.store import audit, catalog, key_queries, keys, responses

T = TypeVar("T")
_MAX_GRACE_HOURS = 24 * 90


@dataclass(eq=False)
class Keys:
    """Manages keys."""

    store: Store
    versions: ChangeVersions
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    def issue(self, raw: Mapping[str, Json], actor: Actor) -> tuple[Key, str]:
        """Return a new key, and its secret.

        Raises InvalidRequest.
        """
        now = self.now()
        key = changed(Key(id=0, name="", prefix="", created_at=now), {"name": "", **raw}, now)
        secret = new_secret(KEY_PREFIX, self.random_bytes)
        key = replace(key, prefix=shown_prefix(secret), last4=shown_end(secret))

        def change(session: Session) -> Key:
            settled = with_roles(session, Key(id=0, name=""), key, raw)
            stored = keys.insert(session, settled, digest(secret))
            self._record(session, actor, "key.create", None, stored)
            return stored

        return self._write(change), secret

    def update(self, key_id: int, raw: Mapping[str, Json], actor: Actor) -> Key:
        """Change fields of a key. Raises NotFound, InvalidRequest."""
        now = self.now()

        def change(session: Session, key: Key) -> Key:
            return with_roles(session, key, changed(key, raw, now), raw)

        return self._change([key_id], "key.update", actor, change)[0]

    def rotate(self, key_id: int, grace_hours: float, actor: Actor) -> tuple[Key, str]:
        """Return a new key with the same rights; the old one works `grace_hours` more.

        Raises NotFound, InvalidRequest.
        """
        if not 0 <= grace_hours <= _MAX_GRACE_HOURS:
            raise InvalidRequest(
                f"'grace_hours' must be from 0 to {_MAX_GRACE_HOURS}.", param="grace_hours"
            )
        now = self.now()
        secret = new_secret(KEY_PREFIX, self.random_bytes)

        def change(session: Session) -> Key:
            old = keys.get(session, key_id)
            if old.revoked_at is not None:
                raise InvalidRequest(Message("A revoked key cannot be rotated."), param="key_id")
            new = replace(
                old,
                id=0,
                prefix=shown_prefix(secret),
                last4=shown_end(secret),
                created_at=now,
                last_used_at=None,
                rotated_from=old.id,
                lineage_id=old.counter_id,
                legacy=False,
            )
            stored = keys.insert(session, new, digest(secret))
            ends = now + timedelta(hours=grace_hours)
            retired = replace(old, expires_at=min(ends, old.expires_at or ends))
            if grace_hours == 0:
                retired = replace(old, revoked_at=now)
            keys.save(session, retired)
            self._record(session, actor, "key.rotate", old, retired)
            self._record(session, actor, "key.create", None, stored)
            return stored

        return self._write(change), secret

    def revoke(self, key_ids: Iterable[int], actor: Actor) -> list[Key]:
        """Revoke keys for ever; running calls end within a second. Raises NotFound."""
        now = self.now()

        def revoked(_session: Session, key: Key) -> Key:
            return replace(key, revoked_at=key.revoked_at or now)

        return self._change(key_ids, "key.revoke", actor, revoked)

    def enable(self, key_ids: Iterable[int], enabled: bool, actor: Actor) -> list[Key]:
        """Switch keys on or off together. Raises NotFound."""
        word: AuditAction = "key.enable" if enabled else "key.disable"
        return self._change(key_ids, word, actor, lambda _, key: replace(key, enabled=enabled))

    def delete(self, key_id: int, actor: Actor) -> None:
        """Remove a key; its usage keeps its name. Its stored responses go with it, unless a key of
        the same rotations remains. Raises NotFound."""

        def change(session: Session) -> None:
            before = keys.get(session, key_id)
            keys.delete(session, key_id)
            if not keys.has_lineage(session, before.counter_id):
                responses.remove_of(session, before.counter_id)
            self._record(session, actor, "key.delete", before, None)

        self._write(change)

    def get(self, key_id: int) -> Key:
        """Return a key. Raises NotFound."""
        return self.store.read(keys.get, key_id)

    def search(self, text: str = "", *, limit: int = 100, offset: int = 0) -> list[Key]:
        """Return a page of the keys whose name, owner, prefix or end contains `text`, newest
        first."""
        return self.store.read(key_queries.search, self.now(), text, limit=limit, offset=offset)

    def _record(
        self,
        session: Session,
        actor: Actor,
        word: AuditAction,
        before: Key | None,
        after: Key | None,
    ) -> None:
        audit.change(session, actor, word, before, after, now=self.now(), topics=("keys",))

    def _write(self, change: Callable[[Session], T]) -> T:
        result = self.store.write(change)
        self.versions.look()
        return result

    def _change(
        self,
        key_ids: Iterable[int],
        word: AuditAction,
        actor: Actor,
        changes: Callable[[Session, Key], Key],
    ) -> list[Key]:
        def change(session: Session) -> list[Key]:
            found = []
            for key_id in key_ids:
                before = keys.get(session, key_id)
                after = keys.save(session, changes(session, before))
                self._record(session, actor, word, before, after)
                found.append(after)
            return found

        return self._write(change)


def changed(key: Key, raw: Mapping[str, Json], now: datetime) -> Key:
    """Return `key` with the fields of `raw`, plain values as REST, forms, command line and imports
    give them. Raises InvalidRequest."""
    fields = convert.read(raw, Key)
    problems = [
        (f"scopes[{number}]", Message("must be one of %(words)s", words=", ".join(SCOPES)))
        for number, scope in enumerate(fields.get("scopes", ()))
        if scope not in SCOPES
    ]
    ends = fields.get("expires_at")
    if ends is not None and ends <= now and ends != key.expires_at:
        problems.append(("expires_at", Message("lies in the past")))
    if fields.get("anonymous", key.anonymous) and not fields.get("cidrs", key.cidrs):
        problems.append(("cidrs", Message("must say which addresses need no key")))
    if problems:
        raise InvalidFields(problems)
    if "scopes" in fields:
        fields["scopes"] = tuple(scope for scope in SCOPES if scope in fields["scopes"])
    for name in {"default_params", "forced_params"} & fields.keys():
        fields[name] = rules.validate(fields[name], force=False)
    return replace(key, **fields)


def with_roles(session: Session, before: Key, after: Key, raw: Mapping[str, Json]) -> Key:
    """Return a key that was changed by `raw` with the models of its roles settled. Raises
    InvalidFields for a model that does not exist, or that the key may not use."""
    given = roles.to_settle(before, after, raw)
    return roles.settled(after, given, catalog.all_models(session)) if given else after
