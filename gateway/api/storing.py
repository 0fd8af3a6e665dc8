"""Responses that are stored (D28): recalled while parsing, stored when they end."""

from __future__ import annotations

from gateway.calls.active_call import ActiveCall
from gateway.calls.stored_responses import Responses
from gateway.core.chat import Envelope, Json
from gateway.core.events import Batch
from gateway.dialects.base import Dialect, Reading, StoredWriter
from gateway.runtime.tasks import run_on_loop
from gateway.schemas.key import Key
from gateway.web.context import Services


def reading(parts: Services, key: Key) -> Reading:
    """Return what parsing a body of this key may need."""
    stored = parts.responses
    return Reading(
        parts.settings.behaviour(),
        lambda response_id: run_on_loop(stored.recall, key, response_id),
        lambda item_id: run_on_loop(stored.recall_item, key, item_id),
    )


def store(
    responses: Responses, active: ActiveCall, dialect: Dialect, envelope: Envelope, response: Json
) -> None:
    """Store a finished response, if API, caller and settings want that."""
    wanted = None if dialect.on_complete is None else dialect.on_complete(envelope, response)
    if wanted is not None:
        responses.save(active.prepared.key, wanted, active.prepared.run)


class StoringWriter:
    """A writer that stores the response once: before its last event is sent, so that a client may
    refer to it at once, or when the call ends without one, which `store` is to be told."""

    def __init__(
        self,
        responses: Responses,
        active: ActiveCall,
        envelope: Envelope,
        dialect: Dialect,
        writer: StoredWriter,
    ) -> None:
        self._responses = responses
        self._active = active
        self._envelope = envelope
        self._dialect = dialect
        self._writer = writer
        self._is_stored = False
        self.ended = False
        self.preamble = writer.preamble

    def write(self, batch: Batch) -> bytes:
        """Return the frames of one batch; the response is stored before the last of them."""
        data = self._writer.write(batch)
        self.ended = self._writer.ended
        if self.ended:
            self.store()
        return data

    def store(self) -> None:
        """Store the response as it is now, unless that was done."""
        if not self._is_stored:
            self._is_stored = True
            response = self._writer.abandon()
            store(self._responses, self._active, self._dialect, self._envelope, response)
