"""What a call's producer hands to the greenlet that writes to the client.

    put(batch)   waits while the channel is full: a slow client slows Ollama down; long texts are
                 handed over in pieces, so that none is held more than once
    get()        all that waits, in one piece; then how it ended; then a ping
    finish(e)    the end stands beside the queue: it is never bounded, never waits, first one wins
    nudge(loud)  asks for a ping, where nothing waits and nothing has ended

Rules: no `Condition`, and nothing in here waits but `put` and `get`. What was put is sent before an
error, unless the client is gone. The error carries no traceback, because that would keep every
socket and slot of its frames alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gateway.core.events import Batch, Ping, TextDelta, ThinkingDelta, ToolCallDone
from gateway.errors import ClientGone, GatewayError
from gateway.runtime.tasks import Event

MAX_BATCHES: Final = 16
MAX_CHARACTERS: Final = 262_144
PIECE_CHARACTERS: Final = 65_536
_OVERHEAD: Final = 64


class Channel:
    """One producer or several, one consumer. `note` returns the text of a ping when it is written.

    `put_count` counts the batches, `taken` the times something was taken, `is_reading` tells that
    the consumer waits in `get`: what the monitor looks at. `ended` says that nothing more is taken
    in, `error` what it ended with.
    """

    def __init__(self, note: Callable[[], str] = lambda: "keep-alive") -> None:
        self._note = note
        self._batches: list[Batch] = []
        self._size = 0
        self._ready = Event()
        self._room: Event | None = None
        self.ended = False
        self.error: GatewayError | None = None
        self._ping: bool | None = None
        self.is_reading = False
        self.put_count = 0
        self.taken = 0

    @property
    def is_full(self) -> bool:
        """Whether the producer has to wait for the consumer."""
        return len(self._batches) >= MAX_BATCHES or self._size >= MAX_CHARACTERS

    def put(self, batch: Batch) -> None:
        """Hand a batch over, waiting for room; after the end it is dropped."""
        while not self.ended and (  # `is_full`, which would be one more call for each token
            len(self._batches) >= MAX_BATCHES or self._size >= MAX_CHARACTERS
        ):
            if self._room is None or self._room.is_set():
                self._room = Event()
            self._room.wait()
        if self.ended:
            return
        size = _OVERHEAD
        for event in batch[1]:
            if type(event) is TextDelta or type(event) is ThinkingDelta:
                size += len(event.text)
            elif type(event) is ToolCallDone:
                size += len(event.arguments)
        if size > PIECE_CHARACTERS and any(_is_long(event) for event in batch[1]):
            for piece in _pieces(batch):
                self.put(piece)
            return
        self._batches.append(batch)
        self._size += size
        self.put_count += 1
        if self.is_reading:
            self._ready.set()

    def get(self) -> list[Batch] | None:
        """Return everything that waits, or the ping that was asked for; None at the end. Raises
        the error the channel ended with."""
        while True:
            if self._batches:
                batches, self._batches = self._batches, []
                self._size = 0
                self._ping = None
                self.taken += 1
                if self._room is not None:
                    self._room.set()
                return batches
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            if self._ping is not None:
                loud, self._ping = self._ping, None
                self.taken += 1
                return [(0, (Ping(loud, self._note()),))]
            self._ready.clear()
            self.is_reading = True
            try:
                self._ready.wait()
            finally:
                self.is_reading = False

    def finish(self, error: GatewayError | None = None) -> None:
        """End the channel; with `error` where that is how the call ended."""
        if self.ended:
            return
        self.ended = True
        self.error = error
        if isinstance(error, ClientGone):
            self._batches = []
        self._ready.set()
        if self._room is not None:
            self._room.set()

    def nudge(self, *, loud: bool) -> None:
        """Ask the consumer for a ping; a `loud` one is more than a comment."""
        if not self._batches and not self.ended:
            self._ping = loud
            self._ready.set()


def _is_long(event: Event) -> bool:
    return isinstance(event, TextDelta | ThinkingDelta) and len(event.text) > PIECE_CHARACTERS


def _pieces(batch: Batch) -> Iterator[Batch]:
    """Yield a batch in several: each event for itself, texts of PIECE_CHARACTERS at most."""
    choice, events = batch
    for event in events:
        if isinstance(event, TextDelta | ThinkingDelta) and _is_long(event):
            for start in range(0, len(event.text), PIECE_CHARACTERS):
                text = event.text[start : start + PIECE_CHARACTERS]
                yield choice, (type(event)(text),)
        else:
            yield choice, (event,)
