"""Ends running calls that their keys may not begin any more, within a second.

A new call of a key that was revoked, disabled or deleted, has expired, or whose models, endpoints
or networks were narrowed, is refused; what already runs is looked at here whenever the topic `keys`
changes, and when a key expires. What a key did not allow before either is no reason: the playground
calls from anywhere.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from gateway.calls.active_call import ActiveCall
from gateway.calls.registry import ActiveCalls
from gateway.core.catalog import Resolved
from gateway.dialects import ENDPOINTS
from gateway.errors import GatewayError
from gateway.management.keyring import Keyring, refusal
from gateway.policy import access
from gateway.runtime.database import StoreUnavailable
from gateway.runtime.tasks import note_failure, spawn
from gateway.runtime.versions import ChangeVersions
from gateway.schemas.key import Key

log = logging.getLogger(__name__)

LOOK_S = 0.25
_ENDPOINTS = {endpoint.name: endpoint for endpoint in ENDPOINTS}


class Revocation:
    """Listens for changed keys and ends what they may no longer do."""

    def __init__(self, versions: ChangeVersions, keyring: Keyring, live: ActiveCalls) -> None:
        self._keyring = keyring
        self._live = live
        self._looking = threading.Lock()
        # in a task: whoever heard of the change may be serving a request
        versions.on_change("keys", lambda: spawn(self.look))

    def look_for_expired(self) -> None:
        """End the running calls of keys that have expired. To be called every `LOOK_S`."""
        now = self._keyring.now()
        if any(call.expires_at and call.expires_at <= now for call in self._live.calls()):
            self.look()

    def look(self) -> int:
        """End the running calls that would be refused by now; give how many. Never raises."""
        with self._looking:
            calls: defaultdict[int, list[ActiveCall]] = defaultdict(list)
            for call in self._live.calls():
                if call.stats.admission.key_id is not None:
                    calls[call.stats.admission.key_id].append(call)
            return sum(self._check(key_id, found) for key_id, found in calls.items())

    def _check(self, key_id: int, calls: list[ActiveCall]) -> int:
        ended = 0
        try:
            key = self._keyring.get(key_id)
            for call in calls:
                call.expires_at = key.expires_at if key else None
                # one for each call: an error carries a traceback once raised
                error: GatewayError | None = refusal(key, self._keyring.now())
                if error is None and key is not None:
                    error = _narrowed(key, call)
                if error is not None:
                    error.should_retry = False
                    ended += self._live.cancel(call.stats.admission.request_id, error)
        except StoreUnavailable:
            return 0
        except Exception as failure:
            note_failure("ending calls of changed keys", failure)
        if ended:
            log.warning("%d running calls of key %d were ended", ended, key_id)
        return ended


def _narrowed(key: Key, call: ActiveCall) -> GatewayError | None:
    """Return why a key does not allow a call that it allowed when the call began, or None."""
    endpoint, prepared = _ENDPOINTS[call.stats.admission.endpoint], call.prepared
    resolved = Resolved(prepared.model, prepared.alias)
    for check in (
        partial(access.check_scope, scope=endpoint.scope, label=endpoint.label),
        partial(access.check_address, address=call.caller.address),
        partial(access.check_model, resolved=resolved),
    ):
        error = _raised(check, key)
        if error is not None and _raised(check, prepared.key) is None:
            return error
    return None


def _raised(check: Callable[[Key], None], key: Key) -> GatewayError | None:
    try:
        check(key)
    except GatewayError as error:
        return error.with_traceback(None)
    return None
