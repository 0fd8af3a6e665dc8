"""Responses that are kept (D28): recalled while parsing, stored when they end."""

from __future__ import annotations

from gateway.calls.active_call import Running
from gateway.calls.relay import Answer
from gateway.core.chat import Envelope, Json
from gateway.core.events import Batch
from gateway.core.keys import Key
from gateway.dialects.base import Dialect, Reading, StoredWriter
from gateway.errors import ClientGone
from gateway.web.context import Services


def reading(parts: Services, key: Key) -> Reading:
    """Return what parsing a body of this key may need."""
    stored = parts.responses
    return Reading(
        parts.settings.behaviour(),
        lambda response_id: stored.recall(key, response_id),
        lambda item_id: stored.recall_item(key, item_id),
    )


def keep(running: Running[Answer], dialect: Dialect, envelope: Envelope, response: Json) -> None:
    """Store a finished response, if API, caller and settings want that."""
    kept = None if dialect.on_complete is None else dialect.on_complete(envelope, response)
    if kept is not None:
        running.services.responses.save(running.prepared.key, kept)


class Keeper:
    """A writer that stores the response once: before its last event is sent, so that a client may
    refer to it at once, or when the client has left, which `keep` is to be told."""

    def __init__(
        self, running: Running[Answer], envelope: Envelope, dialect: Dialect, builder: StoredWriter
    ) -> None:
        self._running = running
        self._envelope = envelope
        self._dialect = dialect
        self._builder = builder
        self._kept = False
        self.over = False
        self.open = builder.open
        self.piece = builder.piece

    def feed(self, batch: Batch) -> bytes:
        """Return the frames of one batch; the response is stored before the last of them."""
        if isinstance(self._running.answer.stopped, ClientGone):
            self.over = True
            return b""  # nobody listens; what came so far is kept as incomplete
        data = self._builder.feed(batch)
        self.over = self._builder.over
        if self.over:
            self.keep()
        return data

    def keep(self) -> None:
        """Store the response as it is now, unless that was done."""
        if not self._kept:
            self._kept = True
            keep(self._running, self._dialect, self._envelope, self._builder.abandon())
