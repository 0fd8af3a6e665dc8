"""Ends running calls of keys that were revoked, disabled or deleted, within a second.

A new call of such a key is refused by the keyring; what already streams is looked at here whenever
the topic `keys` changes. A key that merely expires while it streams may finish.
"""

from __future__ import annotations

import logging
import threading

from gateway.calls.registry import ActiveCalls
from gateway.errors import Unauthenticated
from gateway.management.keyring import Keyring
from gateway.runtime.tasks import spawn
from gateway.runtime.versions import Revisions

log = logging.getLogger(__name__)


class Revocation:
    """Listens for changed keys and ends what they may no longer do."""

    def __init__(self, marks: Revisions, keyring: Keyring, live: ActiveCalls) -> None:
        self._keyring = keyring
        self._live = live
        self._looking = threading.Lock()
        # in a task: whoever heard of the change may be serving a request
        marks.on_change("keys", lambda: spawn(self.look))

    def look(self) -> int:
        """End the running calls of keys that are refused by now; give how many. Never raises."""
        with self._looking:
            running = {call.key_id for call in self._live.snapshot() if call.key_id is not None}
            return sum(self._check(key_id) for key_id in running)

    def _check(self, key_id: int) -> int:
        try:
            error = self._keyring.refused(key_id)
            if error is None or error.code == "api_key_expired":
                return 0
            ended = self._live.cancel_where(
                lambda stats: stats.admission.key_id == key_id,
                # one for each call: an error carries a traceback once raised
                lambda: Unauthenticated(error.message, code=error.code, should_retry=False),
            )
        except Exception:
            log.exception("running calls of key %d could not be looked at", key_id)
            return 0
        if ended:
            log.warning("%d running calls of key %d were ended: %s", ended, key_id, error.code)
        return ended
