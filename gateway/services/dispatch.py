"""Who runs where, and who waits: tickets in, slots out.

One lock guards stations, lanes and lines; nothing waits while holding it. `Fleet` shares it, as it
changes the same things when servers come, go, fall ill and recover.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.behaviour import Behaviour
from gateway.core.catalog import Model, Server
from gateway.core.keys import Key
from gateway.errors import (
    ClientGone,
    GatewayError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.policy import breaker
from gateway.policy.choose import Choice, choose
from gateway.policy.fair import FairLine
from gateway.services.lanes import UNKNOWN_CONTEXT, Lane, Station
from gateway.services.queue import Slot, Ticket, busy, nobody, waited

_LINES = 1024
_NOT_THE_MODEL = frozenset(
    {"upstream_unauthorized", "upstream_endpoint_missing", "tool_call_parse_error"}
)
"""Upstream errors that say nothing against this model on this server."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a server would mean to a call: what `choice` weighs there (None: it cannot run there),
    whether it would go there, and why.

    `others` counts our calls of other models there; `context_tokens` is the window the model is
    loaded with, 0 while it is not in memory or unknown.
    """

    server: Server
    choice: Choice | None
    is_chosen: bool
    words: str
    in_flight: int
    slots: int
    others: int
    context_tokens: int

    @property
    def is_usable(self) -> bool:
        """Whether a call could run there at all."""
        return self.choice is not None


class Dispatcher:
    """The lines of all models and the slots of all lanes. Thread-safe.

    `probe_now` is told of servers that look ill, `on_missing` of models a server no longer has;
    both are called without the lock.
    """

    def __init__(
        self,
        behaviour: Callable[[], Behaviour],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.RLock()
        self.stations: dict[int, Station] = {}
        self.probe_now: Callable[[int], None] = lambda server_id: None
        self.on_missing: Callable[[int, str], None] = lambda server_id, name: None
        self._behaviour = behaviour
        self._clock = clock
        self._places: dict[str, tuple[tuple[int, ...], tuple[Lane, ...]]] = {}
        self._lines: OrderedDict[str, FairLine[Ticket]] = OrderedDict()
        self._running: dict[int, Slot] = {}

    def ticket(
        self,
        model: Model,
        key: Key | None,
        num_ctx: int | None,
        prefix: str,
        exclude: frozenset[int],
    ) -> Ticket:
        """Put a call in line; see `Fleet.ticket`."""
        behaviour = self._behaviour()
        now_s = self._clock()
        prefix = prefix if behaviour.prefix_affinity else ""
        ticket = Ticket(self, model.name, key, num_ctx, prefix, exclude, now_s)
        with self.lock:
            lanes = self._lanes(model, now_s)
            line = self._line(model.name)
            found = choose(lanes, num_ctx=num_ctx, prefix=prefix, exclude=exclude)
            if found is None:
                raise nobody()
            is_free = found[1].is_free
            if is_free and not len(line):
                line.charge(ticket.key_id)
                self._grant(ticket, *found, now_s)
                return ticket
            self._join(ticket, line, behaviour, now_s)
            if is_free:
                self.serve(model.name, now_s)
        return ticket

    def routes(self, model: Model, num_ctx: int | None, prefix: str) -> tuple[Route, ...]:
        """Say where a call would go right now, and why not elsewhere; nothing is changed."""
        prefix = prefix if self._behaviour().prefix_affinity else ""
        with self.lock:
            now_s = self._clock()
            lanes = self._lanes(model, now_s)
            best = choose(lanes, num_ctx=num_ctx, prefix=prefix)
            found = []
            for lane in lanes:
                is_chosen = best is not None and best[0] is lane
                alone = best if is_chosen else choose((lane,), num_ctx=num_ctx)
                choice = None if alone is None else alone[1]
                words = lane.station.state(now_s, {})[1] if choice is None else choice.reason
                window = lane.context_tokens if lane.context_tokens > UNKNOWN_CONTEXT else 0
                found.append(
                    Route(
                        lane.station.server,
                        choice,
                        is_chosen,
                        words,
                        lane.in_flight,
                        lane.slots,
                        lane.others,
                        window,
                    )
                )
            return tuple(found)

    # -- what tickets ask ------------------------------------------------------------------------

    def take(self, ticket: Ticket) -> Slot | None:
        """Give the ticket's slot if it has one; see `Ticket.wait` for what is raised."""
        with self.lock:
            slot = ticket.claim()
            if slot is None and ticket.entry is not None and self.left_s(ticket) <= 0:
                self._line(ticket.name).leave(ticket.entry)
                ticket.settle(error=waited(self._clock() - ticket.joined_s))
                return ticket.claim()
            return slot

    def leave(self, ticket: Ticket) -> None:
        """Take a ticket out of the line; a slot it was given but never took goes on."""
        with self.lock:
            slot = ticket.withdraw()
            if ticket.entry is not None:
                self._line(ticket.name).leave(ticket.entry)
                ticket.entry = None
        if slot is not None:
            slot.release()

    def left_s(self, ticket: Ticket) -> float:
        """Give how long the ticket may still wait."""
        return max(ticket.deadline_s - self._clock(), 0.0)

    def ahead(self, ticket: Ticket) -> tuple[int, int]:
        """Give the ticket's place (0: no longer in line) and the length of its line."""
        with self.lock:
            line, entry = self._line(ticket.name), ticket.entry
            place = 0 if entry is None else line.position(entry, self._clock())
            return place, len(line)

    def eta_s(self, ticket: Ticket) -> float | None:
        """Estimate when it is the ticket's turn, seconds from now."""
        with self.lock:
            place, _ = self.ahead(ticket)
            return self._eta_s(ticket.name, place) if place else 0.0

    # -- what slots tell ---------------------------------------------------------------------------

    def note_answer(self, slot: Slot) -> None:
        """The first piece of an answer has come: the server is well, its slot is proven."""
        with self.lock:
            if slot.answered or slot.released:
                return
            slot.answered = True
            now_s = self._clock()
            lane, slots = slot.lane, slot.lane.slots
            was_cold = not lane.context_tokens
            was_ill = lane.station.breaker.retry_at_s is not None
            lane.answered(now_s)
            if was_ill:
                lane.station.look(now_s)
            if was_ill or lane.slots > slots:
                self.serve(lane.name, now_s)
        if was_cold:  # how large its window is, and what left memory for it, only a probe tells
            self.probe_now(lane.server_id)

    def note_end(self, slot: Slot, error: GatewayError | None) -> None:
        """Learn from how a call ended."""
        lane, station = slot.lane, slot.lane.station
        look_again = is_missing = False
        with self.lock:
            now_s = self._clock()
            was_well = lane.breaker.retry_at_s is None and station.breaker.retry_at_s is None
            match error:
                case None:
                    lane.succeeded()
                case ClientGone():
                    lane.breaker = breaker.forgotten(lane.breaker)
                    station.breaker = breaker.forgotten(station.breaker)
                case UpstreamUnreachable():
                    station.breaker = breaker.failed(station.breaker, now_s)
                    look_again = True
                case Unavailable():
                    lane.pause(now_s)
                case UpstreamTimeout():
                    lane.failed(now_s, stalled=True)
                    look_again = True
                case ModelNotFound():
                    lane.failed(now_s, certain=True)
                    is_missing = True
                case UpstreamError() if error.code not in _NOT_THE_MODEL:
                    lane.failed(now_s)
                    look_again = error.code == "upstream_disconnected"
                case _:
                    lane.succeeded()
            if not was_well or station.breaker.retry_at_s is not None:
                station.look(now_s)
        if look_again:
            self.probe_now(slot.server.id)
        if is_missing:
            self.on_missing(slot.server.id, lane.name)

    def release(self, slot: Slot) -> None:
        """Take a slot back and serve whoever is next."""
        with self.lock:
            if slot.released:
                return
            slot.released = True
            slot.on_lost = None
            now_s = self._clock()
            self._running.pop(id(slot), None)
            slot.lane.left(now_s, did_answer=slot.answered, lasted_s=now_s - slot.entered_s)
            self.serve(slot.lane.name, now_s)

    # -- what the fleet asks, with the lock held ---------------------------------------------------

    def waiting(self) -> Mapping[str, int]:
        """Give how many calls wait, by model."""
        return {name: len(line) for name, line in self._lines.items() if len(line)}

    def running_count(self) -> int:
        """Give how many slots are taken, whether or not somebody fetched them."""
        return len(self._running)

    def unanswered(self, station: Station) -> list[Slot]:
        """Give the slots on a server whose calls have no answer yet and want to know its end."""
        return [
            slot
            for slot in self._running.values()
            if slot.lane.station is station and not slot.answered and slot.on_lost is not None
        ]

    def stations_changed(self) -> None:
        """Forget which lanes a model has: servers or their models changed."""
        self._places.clear()

    def serve_all(self, now_s: float) -> None:
        """Serve every line."""
        for name in self.waiting():
            self.serve(name, now_s)

    def serve(self, name: str, now_s: float) -> None:
        """Give free slots to the line of a model, in its order; end those nobody can serve."""
        line = self._lines.get(name)
        if not line:
            return
        known = self._places.get(name)
        lanes = self._listed(name, now_s) if known is None else known[1]
        open_ids = {lane.server_id for lane in lanes if lane.open or lane.resting}
        for entry in [entry for entry in line if not open_ids - entry.item.exclude]:
            line.leave(entry)
            entry.item.settle(error=nobody())
        while any((lane.open or lane.resting) and lane.in_flight < lane.slots for lane in lanes):
            found: list[tuple[Lane, Choice]] = []

            def fits(ticket: Ticket, found: list[tuple[Lane, Choice]] = found) -> bool:
                best = choose(
                    lanes, num_ctx=ticket.num_ctx, prefix=ticket.prefix, exclude=ticket.exclude
                )
                if best is None or not best[1].is_free:
                    return False
                found.append(best)
                return True

            served = line.serve(now_s, fits)
            if served is None:
                return
            self._grant(served.item, *found[0], now_s)

    # -- steps -------------------------------------------------------------------------------------

    def _lanes(self, model: Model, now_s: float) -> tuple[Lane, ...]:
        known = self._places.get(model.name)
        if known is not None and known[0] == model.server_ids:
            return known[1]
        short = model.can("embedding") is True and model.can("completion") is False
        lanes = tuple(
            station.lane(model.name, now_s, short_calls=short)
            for server_id in model.server_ids
            if (station := self.stations.get(server_id)) is not None
        )
        self._places[model.name] = (model.server_ids, lanes)
        return lanes

    def _listed(self, name: str, now_s: float) -> tuple[Lane, ...]:
        """Give the lanes of a model nobody has asked for since the servers changed."""
        return tuple(
            station.lane(name, now_s) for station in self.stations.values() if name in station.names
        )

    def _line(self, name: str) -> FairLine[Ticket]:
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = FairLine()
            idle = next((other for other, old in self._lines.items() if not len(old)), name)
            if len(self._lines) > _LINES and idle != name:
                del self._lines[idle]
        return line

    def _join(
        self, ticket: Ticket, line: FairLine[Ticket], behaviour: Behaviour, now_s: float
    ) -> None:
        if len(line) >= behaviour.queue_max_waiting:
            refusal = busy(len(line), self._eta_s(ticket.name, len(line)))
            pushed_out = line.displace(ticket.key_id)
            if pushed_out is None:
                raise refusal
            pushed_out.item.settle(error=refusal)
        ticket.deadline_s = now_s + behaviour.queue_max_wait_s
        ticket.entry = line.join(ticket, ticket.key_id, ticket.priority, now_s)

    def _grant(self, ticket: Ticket, lane: Lane, choice: Choice, now_s: float) -> None:
        lane.entered(now_s)
        if lane.station.breaker.retry_at_s is not None:
            lane.station.look(now_s)
        slot = Slot(self, lane, choice, (now_s - ticket.joined_s) * 1000, now_s)
        self._running[id(slot)] = slot
        ticket.settle(slot)

    def _eta_s(self, name: str, place: int) -> float | None:
        known = self._places.get(name)
        lanes: Sequence[Lane] = [lane for lane in known[1] if lane.open] if known else ()
        times = [lane.expected_s for lane in lanes if lane.expected_s is not None]
        if not times:
            return None
        slots = sum(lane.station.server.slots or lane.learned for lane in lanes)
        return place / slots * sum(times) / len(times)
