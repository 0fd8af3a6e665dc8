"""A call's place in line for a model, and the slot it gets.

A `Ticket` belongs to one waiting call: wait on it, look at its position, cancel it from anywhere.
A `Slot` is the right to run one call on one server; it is given back exactly once, whatever
happens, and what is reported through it is what passive health checks learn from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from gateway.core.catalog import Server
from gateway.errors import ClientGone, GatewayError, Unavailable
from gateway.policy.fair_queue import Entry
from gateway.policy.server_choice import Choice, Rank
from gateway.scheduling.deployments import Lane

if TYPE_CHECKING:
    from gateway.core.keys import Key, Priority
    from gateway.ollama.client import OllamaClient
    from gateway.scheduling.scheduler import Dispatcher

_MAX_RETRY_S = 60


class Slot:
    """The right to run one call on `server`. Thread-safe; `release` may come twice.

    `on_server_down` is called, at most once, when the server is found dead before the call has
    answered: the caller may then give up and try another server.
    """

    __slots__ = (
        "_dispatcher",
        "answered",
        "choice",
        "client",
        "entered_s",
        "lane",
        "on_server_down",
        "queued_ms",
        "released",
        "server",
    )

    def __init__(
        self, dispatcher: Dispatcher, lane: Lane, choice: Choice, queued_ms: float, entered_s: float
    ) -> None:
        self._dispatcher = dispatcher
        self.lane = lane
        self.choice = choice
        self.server: Server = lane.station.server
        self.client: OllamaClient = lane.station.client
        self.queued_ms = queued_ms
        self.entered_s = entered_s
        self.answered = False
        self.released = False
        self.on_server_down: Callable[[GatewayError], None] | None = None

    @property
    def phase(self) -> Literal["loading", "prefill"]:
        """What Ollama does first: load the model, or read the prompt."""
        return "prefill" if self.choice.rank is Rank.WARM else "loading"

    @property
    def reason(self) -> str:
        """Why this server, in words."""
        return self.choice.reason

    @property
    def context_tokens(self) -> int:
        """The context window the model is loaded with; 0 while it is not loaded."""
        return self.lane.context_tokens

    def on_first_token(self) -> None:
        """Note that the first piece of the answer has come."""
        self._dispatcher.note_answer(self)

    def report(self, error: GatewayError | None) -> None:
        """Report how the call ended: None is well. What it says of the server's health is kept."""
        self._dispatcher.note_end(self, error)

    def lose(self, error: GatewayError) -> None:
        """Tell whoever runs the call, once, that its server is dead."""
        tell, self.on_server_down = self.on_server_down, None
        if tell is not None:
            tell(error)

    def release(self) -> None:
        """Release the slot to whoever is next."""
        self._dispatcher.release(self)


class Ticket:
    """A call in line for a model. Thread-safe."""

    __slots__ = (
        "_dispatcher",
        "_taken",
        "_wake",
        "cancelled",
        "deadline_s",
        "entry",
        "error",
        "exclude",
        "joined_s",
        "key_id",
        "name",
        "num_ctx",
        "prefix",
        "priority",
        "slot",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        name: str,
        key: Key | None,
        num_ctx: int | None,
        prefix: str,
        exclude: frozenset[int],
        now_s: float,
    ) -> None:
        self._dispatcher = dispatcher
        self.name = name
        self.key_id = None if key is None else key.id
        self.priority: Priority = "normal" if key is None else key.priority
        self.num_ctx = num_ctx
        self.prefix = prefix
        self.exclude = exclude
        self.joined_s = now_s
        self.deadline_s = 0.0
        self.entry: Entry[Ticket] | None = None
        self.slot: Slot | None = None
        self.error: GatewayError | None = None
        self.cancelled = False
        self._taken = False
        self._wake: threading.Event | None = None

    @property
    def position(self) -> int:
        """The place in line, 1 is next; 0 when no longer in line."""
        return self._dispatcher.ahead(self)[0]

    @property
    def ahead(self) -> tuple[int, int]:
        """The place in line and the length of the line, for `queued 2/5`."""
        return self._dispatcher.ahead(self)

    @property
    def eta_s(self) -> float | None:
        """How long it may take until it is our turn, from how long calls took lately; None while
        nobody knows."""
        return self._dispatcher.eta_s(self)

    def __enter__(self) -> Slot:
        """Wait for the slot. Raises as `wait` does; whatever is raised, nothing is held after."""
        try:
            while (slot := self.wait(self._dispatcher.left_s(self))) is None:
                pass
        except BaseException:
            self._dispatcher.leave(self, even_taken=True)
            raise
        return slot

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the slot back."""
        if self.slot is not None:
            self.slot.release()

    def wait(self, timeout_s: float) -> Slot | None:
        """Wait for the slot, at most `timeout_s`; None when the call is still in line.

        The slot belongs to the caller from then on. Raises Unavailable when the longest wait has
        passed, when no server is left, or when the call was pushed out of a full line; ClientGone
        after `cancel`.
        """
        if self.slot is None and self.error is None and not self.cancelled and timeout_s > 0:
            self._event().wait(min(timeout_s, self._dispatcher.left_s(self)))
        return self._dispatcher.take(self)

    def cancel(self) -> None:
        """Leave the line, or give back a slot nobody took; wakes whoever waits."""
        self._dispatcher.leave(self)

    def settle(self, slot: Slot | None = None, error: GatewayError | None = None) -> None:
        """End the waiting, with a slot or an error. For the dispatcher, under its lock."""
        self.entry = None
        self.slot = slot
        self.error = error
        if self._wake is not None:
            self._wake.set()

    def claim(self) -> Slot | None:
        """Hand the slot over, or raise what came instead. For the dispatcher, under its lock."""
        if self.cancelled:
            raise ClientGone("The call was cancelled while it waited in line.")
        if self.error is not None:
            raise self.error
        if self.slot is not None:
            self._taken = True
        return self.slot

    def withdraw(self, *, even_taken: bool = False) -> Slot | None:
        """Mark as cancelled; gives the slot that nobody took. For the dispatcher, under its
        lock."""
        if self.cancelled or (self._taken and not even_taken):
            return None
        self.cancelled = True
        slot, self.slot = self.slot, None
        if self._wake is not None:
            self._wake.set()
        return slot

    def _event(self) -> threading.Event:
        event = self._wake
        if event is None:
            event = self._wake = threading.Event()
            if self.slot is not None or self.error is not None or self.cancelled:
                event.set()
        return event


def nobody() -> Unavailable:
    """Return the refusal of a call that no server can take."""
    return Unavailable(
        "No server that has this model can be reached right now.", code="no_upstream_available"
    )


def waited(waited_s: float) -> Unavailable:
    """Return the refusal of a call that waited too long."""
    return Unavailable(
        f"The call waited {round(waited_s)} seconds for a free slot and gave up its place."
    )


def busy(length: int, eta_s: float | None) -> Unavailable:
    """Return the refusal of a call for which the line is too long; the true wait is in the message
    when it is longer than clients may be told to wait."""
    message = f"Too many calls wait for this model ({length})."
    if eta_s is None:
        return Unavailable(message)
    if eta_s > _MAX_RETRY_S:
        message += f" A place may be free in about {ceil(eta_s)} seconds."
        return Unavailable(message, retry_after_s=_MAX_RETRY_S, should_retry=False)
    return Unavailable(message, retry_after_s=max(ceil(eta_s), 1))
