"""A call's place in the queue of a model, and the slot it gets.

A `Ticket` belongs to one waiting call: enter it to wait for the slot, look at its position. A
`Slot` is the right to run one call on one server; it is given back exactly once, whatever happens,
and what is reported through it is what passive health checks learn from.

The slot is written on the ticket before its event is set. So whoever stops waiting, for whatever
reason, finds what was given meanwhile, gives it back, and the next call gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, Unavailable
from gateway.policy.fair_queue import Entry
from gateway.policy.server_choice import Choice
from gateway.runtime.tasks import Event
from gateway.scheduling.deployments import Deployment
from gateway.schemas.server import Server

if TYPE_CHECKING:
    from gateway.ollama.client import OllamaClient
    from gateway.scheduling.scheduler import Scheduler
    from gateway.schemas.key import Priority

_MAX_RETRY_S = 60


@dataclass(eq=False)
class Slot:
    """The right to run one call on `server`. `release` may come twice and never waits.

    `lease_id` is its name in Redis, "" without. `on_server_down` is called, at most once, when the
    server is found down before the call has answered: the caller may then give up and try another
    server.
    """

    scheduler: Scheduler
    deployment: Deployment
    choice: Choice
    server: Server
    client: OllamaClient
    queued_ms: float
    started_s: float
    lease_id: str = ""
    answered: bool = False
    released: bool = False
    on_server_down: Callable[[GatewayError], None] | None = None

    def on_first_token(self) -> None:
        """Note that the first piece of the answer has come."""
        self.scheduler.on_first_token(self)

    def report(self, error: GatewayError | None) -> None:
        """Report how the call ended: None is well. What it says of the server's health is kept."""
        self.scheduler.on_result(self, error)

    def release(self) -> None:
        """Grant the slot to whoever is next."""
        self.scheduler.release(self)


@dataclass(eq=False)
class Ticket:
    """A call in the queue of a model. A context manager whose block holds the slot."""

    scheduler: Scheduler
    name: str
    key_id: int | None
    priority: Priority
    num_ctx: int | None
    prefix: str
    exclude: frozenset[int]
    joined_s: float
    deadline_s: float = 0.0
    entry: Entry[Ticket] | None = None
    slot: Slot | None = None
    error: GatewayError | None = None
    _wake: Event | None = None

    def __enter__(self) -> Slot:
        """Wait for the slot. Raises as `wait` does; whatever is raised, nothing is held after."""
        try:
            while self.slot is None:
                self.wait(inf)
        except BaseException:
            self.close()
            raise
        return self.slot

    def __exit__(self, *exc: object) -> None:
        self.close()

    def wait(self, timeout_s: float) -> Slot | None:
        """Wait for the slot, at most `timeout_s`; None when the call is still in the queue.

        Raises Unavailable when the longest wait has passed, when no server is left, or when the
        call was evicted from a full queue.
        """
        if self.slot is None and self.error is None:
            if timeout_s > 0:
                self._wake = Event()
                self._wake.wait(min(timeout_s, self.scheduler.left_s(self)))
            if self.entry is not None and self.scheduler.left_s(self) <= 0:
                self.scheduler.give_up(self)
        if self.error is not None:
            raise self.error
        return self.slot

    def close(self) -> None:
        """Leave the queue, or release the slot. Never waits; may come twice."""
        self.scheduler.leave(self)
        if self.slot is not None:
            self.slot.release()

    def resolve(self, slot: Slot | None = None, error: GatewayError | None = None) -> None:
        """End the waiting, with a slot or an error. For the scheduler."""
        self.entry = None
        self.slot = slot
        self.error = error
        if self._wake is not None:
            self._wake.set()


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
