"""A call's place in the queue of a model, and the slot it gets.

A `Ticket` belongs to one waiting call: enter it to wait for the slot, look at its position. A
`Slot` is the right to run one call on one server; it is given back exactly once, whatever happens,
and what is reported through it is what passive health checks learn from.

The slot is written on the ticket before its event is set. So whoever stops waiting, for whatever
reason, finds what was given meanwhile, gives it back, and the next call gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from gateway.core.catalog import Server
from gateway.errors import ClientGone, GatewayError, Unavailable
from gateway.policy.fair_queue import Entry
from gateway.policy.server_choice import Choice, Rank
from gateway.runtime.tasks import Event
from gateway.scheduling.deployments import Deployment

if TYPE_CHECKING:
    from gateway.core.keys import Key, Priority
    from gateway.ollama.client import OllamaClient
    from gateway.scheduling.scheduler import Scheduler

_MAX_RETRY_S = 60


class Slot:
    """The right to run one call on `server`. `release` may come twice and never waits.

    `lease_id` is its name in Redis, "" without. `on_server_down` is called, at most once, when the
    server is found down before the call has answered: the caller may then give up and try another
    server.
    """

    __slots__ = (
        "_scheduler",
        "answered",
        "choice",
        "client",
        "deployment",
        "lease_id",
        "on_server_down",
        "queued_ms",
        "released",
        "server",
        "started_s",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        deployment: Deployment,
        choice: Choice,
        queued_ms: float,
        started_s: float,
        lease_id: str,
    ) -> None:
        self._scheduler = scheduler
        self.deployment = deployment
        self.choice = choice
        self.server: Server = deployment.server.server
        self.client: OllamaClient = deployment.server.client
        self.queued_ms = queued_ms
        self.started_s = started_s
        self.lease_id = lease_id
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
        return self.deployment.context_tokens

    def on_first_token(self) -> None:
        """Note that the first piece of the answer has come."""
        self._scheduler.on_first_token(self)

    def report(self, error: GatewayError | None) -> None:
        """Report how the call ended: None is well. What it says of the server's health is kept."""
        self._scheduler.on_result(self, error)

    def notify_server_down(self, error: GatewayError) -> None:
        """Report once, to whoever runs the call, that its server is down."""
        notify, self.on_server_down = self.on_server_down, None
        if notify is not None:
            notify(error)

    def release(self) -> None:
        """Grant the slot to whoever is next."""
        self._scheduler.release(self)


class Ticket:
    """A call in the queue of a model. A context manager whose block holds the slot."""

    __slots__ = (
        "_scheduler",
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
        scheduler: Scheduler,
        name: str,
        key: Key | None,
        num_ctx: int | None,
        prefix: str,
        exclude: frozenset[int],
        now_s: float,
    ) -> None:
        self._scheduler = scheduler
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
        self._wake: Event | None = None

    @property
    def ahead(self) -> tuple[int, int]:
        """The place in the queue and its length, for `queued 2/5`."""
        return self._scheduler.ahead(self)

    def __enter__(self) -> Slot:
        """Wait for the slot. Raises as `wait` does; whatever is raised, nothing is held after."""
        try:
            while (slot := self.wait(self._scheduler.left_s(self))) is None:
                pass
        except BaseException:
            self._scheduler.cancel(self, even_taken=True)
            raise
        return slot

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the slot."""
        if self.slot is not None:
            self.slot.release()

    def wait(self, timeout_s: float) -> Slot | None:
        """Wait for the slot, at most `timeout_s`; None when the call is still in the queue.

        The slot belongs to the caller from then on. Raises Unavailable when the longest wait has
        passed, when no server is left, or when the call was evicted from a full queue; ClientGone
        after `cancel`.
        """
        if self.slot is None and self.error is None and not self.cancelled and timeout_s > 0:
            self._event().wait(min(timeout_s, self._scheduler.left_s(self)))
        return self._scheduler.take(self)

    def cancel(self) -> None:
        """Leave the queue, or give back a slot nobody took; wakes whoever waits."""
        self._scheduler.cancel(self)

    def resolve(self, slot: Slot | None = None, error: GatewayError | None = None) -> None:
        """End the waiting, with a slot or an error. For the scheduler."""
        self.entry = None
        self.slot = slot
        self.error = error
        if self._wake is not None:
            self._wake.set()

    def take_result(self) -> Slot | None:
        """Hand the slot over, or raise what came instead. For the scheduler."""
        if self.cancelled:
            raise ClientGone("The call was cancelled while it waited in the queue.")
        if self.error is not None:
            raise self.error
        if self.slot is not None:
            self._taken = True
        return self.slot

    def withdraw(self, *, even_taken: bool = False) -> Slot | None:
        """Mark as cancelled; gives the slot that nobody took. For the scheduler."""
        if self.cancelled or (self._taken and not even_taken):
            return None
        self.cancelled = True
        slot, self.slot = self.slot, None
        if self._wake is not None:
            self._wake.set()
        return slot

    def _event(self) -> Event:
        event = self._wake
        if event is None:
            event = self._wake = Event()
            if self.slot is not None or self.error is not None or self.cancelled:
                event.set()
        return event


def no_server_available() -> Unavailable:
    """Return the refusal of a call that no server can take."""
    return Unavailable(
        "No server that has this model can be reached right now.", code="no_upstream_available"
    )


def queue_timeout(waited_s: float) -> Unavailable:
    """Return the refusal of a call that waited too long."""
    return Unavailable(
        f"The call waited {round(waited_s)} seconds for a free slot and gave up its place."
    )


def queue_full(length: int, eta_s: float | None) -> Unavailable:
    """Return the refusal of a call for which the queue is too long; the true wait is in the message
    when it is longer than clients may be told to wait."""
    message = f"Too many calls wait for this model ({length})."
    if eta_s is None:
        return Unavailable(message)
    if eta_s > _MAX_RETRY_S:
        message += f" A place may be free in about {ceil(eta_s)} seconds."
        return Unavailable(message, retry_after_s=_MAX_RETRY_S, should_retry=False)
    return Unavailable(message, retry_after_s=max(ceil(eta_s), 1))
