"""Finds the key a caller presents: in memory, while the store says that nothing has changed.

Found keys and unknown digests are kept until the topic `keys` changes, so a warm key costs no
query and a revoked one is refused by every worker within a second (SQLite: a twentieth of one). So
are the anonymous keys, of which the first request without a key after a change reads all.

When the store is away: a key that was verified less than STALE_S ago is honoured, also if some key
was changed meanwhile; anything else is 503, never 401: a caller must not throw away a good key
because our database is down.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.core.secrets import KEY_PREFIX, digest, is_well_formed
from gateway.errors import NotFound, Unauthenticated
from gateway.policy import access
from gateway.policy.access import Network
from gateway.runtime.database import UNAVAILABLE, Store, StoreUnavailable
from gateway.runtime.versions import ChangeVersions
from gateway.schemas.key import Key
from gateway.store import keys

log = logging.getLogger(__name__)

STALE_S = 60.0
_REMEMBERED = 50_000
_UNKNOWN_REMEMBERED = 10_000


def refusal(key: Key | None, now: datetime) -> Unauthenticated | None:
    """Return why a key (None: a deleted one) may not be used now, or None."""
    if key is None:
        return Unauthenticated("This API key was deleted.", code="api_key_revoked")
    if key.revoked_at is not None and now >= key.revoked_at:
        return Unauthenticated("This API key was revoked.", code="api_key_revoked")
    if not key.enabled:
        return Unauthenticated("This API key is disabled.", code="api_key_revoked")
    if key.expires_at is not None and now >= key.expires_at:
        return Unauthenticated("This API key has expired.", code="api_key_expired")
    return None


@dataclass(eq=False)
class Keyring:
    """The keys of this worker. `find` is called once a request, `anonymous` where none came."""

    store: Store
    versions: ChangeVersions
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    _seen: int = -1
    _known: OrderedDict[bytes, Key] = field(default_factory=OrderedDict)
    _unknown: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _before: dict[bytes, tuple[Key, float]] = field(default_factory=dict)
    _anonymous: tuple[tuple[Network, Key], ...] = ()
    _anonymous_seen: int = -1
    _anonymous_verified_s: float = -math.inf

    def find(self, secret: str) -> Key:
        """Return the usable key with this secret.

        Raises Unauthenticated (unknown, revoked, disabled, expired), and StoreUnavailable when
        that cannot be known.
        """
        wanted = digest(secret)
        if wanted not in self._known and not _may_be_ours(secret):
            raise _unknown()
        key = self._look_up(wanted)
        if key is None:
            raise _unknown()
        error = refusal(key, self.now())
        if error is not None:
            raise error
        return key

    def anonymous(self, address: str) -> Key | None:
        """Return the usable key for requests without one from an address: the one with the most
        specific network, of equal ones the oldest. None where there is none.

        Raises StoreUnavailable when that cannot be known.
        """
        now = self.now()
        found = access.matching(self._anonymous_keys(), address)
        return next((key for key in found if refusal(key, now) is None), None)

    def get(self, key_id: int) -> Key | None:
        """Return a key as it is stored now, None for a deleted one. Raises StoreUnavailable."""
        try:
            return self.store.read(keys.get, key_id)
        except NotFound:
            return None

    def drop(self) -> None:
        """Forget everything; the next look-ups ask the store."""
        self._known.clear()
        self._unknown.clear()
        self._before = {}
        self._seen = self._anonymous_seen = -1
        self._anonymous_verified_s = -math.inf

    def _look_up(self, wanted: bytes) -> Key | None:
        version = self.versions.of("keys")
        if version != self._seen:
            self._set_aside()
            self._unknown.clear()
            self._seen = version
        key = self._known.get(wanted)
        if key is None and wanted not in self._unknown:
            return self._load(wanted, version)
        if self.versions.age_s() > STALE_S:
            raise StoreUnavailable(UNAVAILABLE)
        return key

    def _anonymous_keys(self) -> tuple[tuple[Network, Key], ...]:
        version = self.versions.of("keys")
        if version != self._anonymous_seen:
            return self._load_anonymous(version)
        age_s = self.versions.age_s()
        if age_s > STALE_S:
            raise StoreUnavailable(UNAVAILABLE)
        self._anonymous_verified_s = self.clock() - age_s
        return self._anonymous

    def _load_anonymous(self, version: int) -> tuple[tuple[Network, Key], ...]:
        try:
            found = self.store.read(keys.anonymous)
        except StoreUnavailable:
            if self.clock() - self._anonymous_verified_s > STALE_S:
                raise
            return self._anonymous
        self._anonymous, self._anonymous_seen = access.by_network(found), version
        self._anonymous_verified_s = self.clock()
        return self._anonymous

    def _set_aside(self) -> None:
        """Remember keys as they were before a change, with when that was."""
        now_s = self.clock()
        kept = {
            wanted: (key, verified_s)
            for wanted, (key, verified_s) in self._before.items()
            if now_s - verified_s <= STALE_S
        }
        heard_s = now_s - self.versions.age_s()
        self._before = kept | {wanted: (key, heard_s) for wanted, key in self._known.items()}
        self._known.clear()

    def _load(self, wanted: bytes, version: int) -> Key | None:
        try:
            key = self.store.read(keys.find_by_digest, wanted)
        except StoreUnavailable:
            stale, verified_s = self._before.get(wanted, (None, 0.0))
            if stale is None or self.clock() - verified_s > STALE_S:
                raise
            return stale
        if version != self._seen:
            return key  # something changed meanwhile: true now, not worth keeping
        if key is None:
            self._unknown[wanted] = None
        else:
            self._known[wanted] = key
        for kept, most in ((self._unknown, _UNKNOWN_REMEMBERED), (self._known, _REMEMBERED)):
            while len(kept) > most:
                kept.popitem(last=False)
        return key


def _may_be_ours(secret: str) -> bool:
    """Whether a secret can be a key: ours has a checksum, which saves a query; others have not."""
    return not secret.startswith(KEY_PREFIX) or is_well_formed(secret, KEY_PREFIX)


def _unknown() -> Unauthenticated:
    return Unauthenticated("The API key is not valid.")
