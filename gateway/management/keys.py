"""Issues, changes, rotates and revokes API keys: one place for console, command line and REST.

Every change is validated, stored, marked for the other workers and written to the audit log in one
transaction. A secret leaves here once, in the return value of `issue` and `rotate`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.core.chat import Json
from gateway.core.keys import Key
from gateway.core.secrets import KEY_PREFIX, digest, new_secret, shown_end, shown_prefix
from gateway.dialects import SCOPES
from gateway.errors import InvalidRequest
from gateway.policy import key_rules
from gateway.runtime.database import Store
from gateway.runtime.versions import Revisions
from gateway.store import audit, keys, responses
from gateway.store.coordination import versions

T = TypeVar("T")
Check = Callable[[Mapping[str, Json]], Mapping[str, Json]]
_MAX_GRACE_HOURS = 24 * 90


class Keys:
    """Manages keys. `check_params` validates default and forced parameters (override words)."""

    def __init__(
        self,
        store: Store,
        marks: Revisions,
        *,
        check_params: Check = dict,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._marks = marks
        self._check_params = check_params
        self._now = now
        self._random_bytes = random_bytes

    def issue(self, raw: Mapping[str, Json], actor: Actor) -> tuple[Key, str]:
        """Make a key from plain values (`policy.key_rules`); give it and its secret.

        Raises InvalidRequest.
        """
        now = self._now()
        key = self._read(raw, key_rules.blank(now), now)
        secret = new_secret(KEY_PREFIX, self._random_bytes)
        key = replace(key, prefix=shown_prefix(secret), last4=shown_end(secret))

        def change(session: Session) -> Key:
            stored = keys.insert(session, key, digest(secret), actor.name)
            self._record(session, actor, "key.create", stored, None, now)
            return stored

        return self._write(change), secret

    def update(self, key_id: int, raw: Mapping[str, Json], actor: Actor) -> Key:
        """Change fields of a key. Raises NotFound, InvalidRequest."""
        now = self._now()

        def change(session: Session) -> Key:
            before = keys.get(session, key_id)
            after = self._read(raw, before, now)
            keys.save(session, after)
            self._record(session, actor, "key.update", after, before, now)
            return after

        return self._write(change)

    def rotate(self, key_id: int, grace_hours: float, actor: Actor) -> tuple[Key, str]:
        """Return a new key with the same rights; the old one works `grace_hours` more.

        Raises NotFound, InvalidRequest.
        """
        if not 0 <= grace_hours <= _MAX_GRACE_HOURS:
            raise InvalidRequest(
                f"'grace_hours' must be from 0 to {_MAX_GRACE_HOURS}.", param="grace_hours"
            )
        now = self._now()
        secret = new_secret(KEY_PREFIX, self._random_bytes)

        def change(session: Session) -> Key:
            old = keys.get(session, key_id)
            if old.revoked_at is not None:
                raise InvalidRequest("A revoked key cannot be rotated.", param="key_id")
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
            stored = keys.insert(session, new, digest(secret), actor.name)
            ends = now + timedelta(hours=grace_hours)
            retired = replace(old, expires_at=min(ends, old.expires_at or ends))
            if grace_hours == 0:
                retired = replace(old, revoked_at=now)
            keys.save(session, retired)
            self._record(session, actor, "key.rotate", retired, old, now)
            self._record(session, actor, "key.create", stored, None, now)
            return stored

        return self._write(change), secret

    def revoke(self, key_ids: Iterable[int], actor: Actor) -> list[Key]:
        """Make keys useless for ever; running calls end within a second. Raises NotFound."""
        now = self._now()

        def change(session: Session) -> list[Key]:
            revoked = []
            for key_id in key_ids:
                before = keys.get(session, key_id)
                after = replace(before, revoked_at=before.revoked_at or now)
                revoked.append(keys.save(session, after))
                self._record(session, actor, "key.revoke", after, before, now)
            return revoked

        return self._write(change)

    def enable(self, key_ids: Iterable[int], enabled: bool, actor: Actor) -> list[Key]:
        """Switch keys on or off together. Raises NotFound."""
        now = self._now()

        def change(session: Session) -> list[Key]:
            changed = []
            for key_id in key_ids:
                before = keys.get(session, key_id)
                after = keys.save(session, replace(before, enabled=enabled))
                word = "key.enable" if enabled else "key.disable"
                self._record(session, actor, word, after, before, now)
                changed.append(after)
            return changed

        return self._write(change)

    def delete(self, key_id: int, actor: Actor) -> None:
        """Remove a key; its usage keeps its name. Its stored responses go with it, unless a key of
        the same rotations remains. Raises NotFound."""
        now = self._now()

        def change(session: Session) -> None:
            before = keys.get(session, key_id)
            keys.delete(session, key_id)
            if not keys.has_lineage(session, before.counter_id):
                responses.remove_of(session, before.counter_id)
            audit.record(
                session,
                actor,
                "key.delete",
                "key",
                key_id,
                before.name,
                now=now,
                before=keys.as_json(before),
            )
            versions.bump(session, "keys", now)

        self._write(change)

    def get(self, key_id: int) -> Key:
        """Return a key. Raises NotFound."""
        return self._store.read(keys.get, key_id)

    def search(self, text: str = "", *, limit: int = 1000, offset: int = 0) -> list[Key]:
        """Return keys, newest first, whose name, owner, prefix or end contains `text`."""
        return self._store.read(keys.search, text, limit=limit, offset=offset)

    def _read(self, raw: Mapping[str, Json], key: Key, now: datetime) -> Key:
        changed = key_rules.read(raw, key, now, SCOPES)
        if raw.get("default_params"):
            params = self._check_params(raw["default_params"])
            changed = replace(changed, default_params=params)
        if raw.get("forced_params"):
            params = self._check_params(raw["forced_params"])
            changed = replace(changed, forced_params=params)
        return changed

    def _write(self, change: Callable[[Session], T]) -> T:
        result = self._store.write(change)
        self._marks.look()
        return result

    def _record(
        self,
        session: Session,
        actor: Actor,
        word: str,
        after: Key,
        before: Key | None,
        now: datetime,
    ) -> None:
        old = None if before is None else keys.as_json(before)
        audit.record(
            session,
            actor,
            word,
            "key",
            after.id,
            after.name,
            now=now,
            before=old,
            after=keys.as_json(after),
        )
        versions.bump(session, "keys", now)
