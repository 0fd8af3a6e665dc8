"""What one try of a call holds: its place in line, its slot, its upstream call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypedDict

from gateway.calls.prepare import Prepared
from gateway.calls.stats import Tally
from gateway.core.behaviour import Behaviour
from gateway.core.chat import ChatRequest, Request
from gateway.errors import ClientGone, GatewayError
from gateway.ollama import wire
from gateway.ollama.client import Upstream
from gateway.scheduling.loading import kept
from gateway.scheduling.tickets import Slot, Ticket

NEVER_S: Final = 1_000_000.0
"""No limit: twelve days, as the system's poll counts milliseconds in 31 bits."""


class Limits(TypedDict):
    """The time limits of `OllamaClient.call`, in seconds."""

    idle_timeout_s: float
    total_timeout_s: float | None
    first_timeout_s: float


class Hold:
    """What one attempt holds, known to its answer, given back once."""

    __slots__ = ("_held", "_stopped", "_tally", "lost", "reported", "slot", "ticket", "upstream")

    def __init__(
        self, tally: Tally, held: list[Hold], stopped: Callable[[], GatewayError | None]
    ) -> None:
        self._tally = tally
        self._held = held
        self._stopped = stopped
        self.ticket: Ticket | None = None
        self.slot: Slot | None = None
        self.upstream: Upstream | None = None
        self.lost: GatewayError | None = None
        self.reported = False

    def report(self, error: GatewayError | None) -> None:
        """Report once to the scheduler how the call ended."""
        if self.slot is not None and not self.reported:
            self.reported = True
            self.slot.report(error)

    def lose(self, error: GatewayError) -> None:
        """Give up waiting: the server was found dead."""
        self.lost = error
        self.cancel()

    def __enter__(self) -> Hold:
        stopped = self._stopped()
        if stopped is not None:
            raise stopped
        self._held.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def cancel(self) -> None:
        """Wake whoever waits on what we hold."""
        if self.upstream is not None:
            self.upstream.cancel()
        elif self.ticket is not None and self.slot is None:
            self.ticket.cancel()

    def release(self) -> None:
        """Close the call, free the slot, leave the queue."""
        self.report(self._tally.error or self._stopped() or ClientGone("abandoned"))
        with suppress(ValueError):
            self._held.remove(self)
        upstream, self.upstream = self.upstream, None
        slot, self.slot = self.slot, None
        ticket, self.ticket = self.ticket, None
        if upstream is not None:
            upstream.close()
        if slot is not None:
            slot.release()
        elif ticket is not None:
            ticket.cancel()


def start(
    slot: Slot, prepared: Prepared, request: Request, choice: int, behaviour: Behaviour
) -> Upstream:
    """Encode the request for this server; nothing is sent yet."""
    name = prepared.model.name
    if prepared.may_be_pinned:
        request = replace(request, params=kept(request.params, prepared.model, slot.server.id))
    if isinstance(request, ChatRequest):
        path, body = "/api/chat", wire.encode_chat(request, name, choice)
    else:
        prompt = request.prompts[choice // request.n]
        path = "/api/generate"
        body = wire.encode_generate(request, name, prompt, choice % request.n)
    return slot.client.call(path, body, **limits(prepared, behaviour))


def patience_s(prepared: Prepared, behaviour: Behaviour) -> float:
    """Return how long a call waits for a server whose own queue is full: as long as in our line,
    but not at all where another model can take over."""
    return 0.0 if prepared.model.fallbacks else float(behaviour.queue_max_wait_s)


def limits(prepared: Prepared, behaviour: Behaviour) -> Limits:
    """Return the time limits of an upstream call.

    One that somebody asked for bounds the whole call. The setting does so too for an answer that is
    not streamed; a stream that has begun may go on as long as it moves. How long Ollama takes to
    load the model and to read the prompt is no silence.
    """
    given_s = prepared.timeout_ms / 1000 if prepared.timeout_ms else None
    idle_s = float(behaviour.idle_timeout_s)
    if prepared.limits_start_only:
        return Limits(
            idle_timeout_s=idle_s, total_timeout_s=None, first_timeout_s=given_s or NEVER_S
        )
    return Limits(idle_timeout_s=idle_s, total_timeout_s=given_s, first_timeout_s=NEVER_S)
