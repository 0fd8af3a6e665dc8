"""Who runs where, and who waits: tickets in, slots out.

One lock guards stations, lanes and lines; nothing waits while holding it. `Fleet` shares it, as it
changes the same things when servers come, go, fall ill and recover.

Other processes may run calls on the same servers. Then slots are only given during our turn among
them (`scheduling.sharing`): either taken in passing, wherever slots are given (`turns`), or `ask`ed
for, and whoever gives it calls `serve_in_turn`. Alone, every moment is our turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from gateway.core.behaviour import Behaviour
from gateway.core.catalog import Model
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
from gateway.policy.fair_queue import Entry, FairLine
from gateway.policy.server_choice import Choice, choose
from gateway.scheduling.deployments import Lane, Station
from gateway.scheduling.queues import Lines
from gateway.scheduling.tickets import Slot, Ticket, busy, nobody, waited

AMPLE = 8
"""So many free slots need no asking: what others took in the meantime can hardly be as many."""
ALONE: AbstractContextManager[None] = nullcontext()
"""The turn of a process that has no neighbours."""
_NOT_THE_MODEL = frozenset(
    {"upstream_unauthorized", "upstream_endpoint_missing", "tool_call_parse_error"}
)
"""Upstream errors that say nothing against this model on this server."""


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
        self.lines = Lines()
        self.busy: set[Lane] = set()
        """Where calls of this process run."""
        self.foreign: Mapping[tuple[int, str], tuple[int, int, int]] = {}
        """By server and model, what others run there: see `Lane.hear`."""
        self.turns = ALONE
        self.ask: Callable[[], None] | None = None
        self.probe_now: Callable[[int], None] = lambda server_id: None
        self.on_missing: Callable[[int, str], None] = lambda server_id, name: None
        self._behaviour = behaviour
        self._clock = clock
        self._places: dict[str, tuple[tuple[int, ...], tuple[Lane, ...]]] = {}
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
        with self.lock, self.turns:
            lanes = self.lanes_of(model, now_s)
            found = choose(lanes, num_ctx=num_ctx, prefix=prefix, exclude=exclude)
            if found is None:
                raise nobody()
            line = self.lines.of(model.name)
            ask, free = self.ask, found[1].free
            if free > (0 if ask is None else AMPLE) and not line.total:
                line.charge(ticket.key_id)
                self._grant(ticket, *found, now_s)
            else:
                self._join(ticket, line, behaviour, now_s)
                if free and ask is None:
                    self.serve_in_turn(model.name, now_s)
            if ask is not None:
                ask()
        return ticket

    # -- what tickets ask ------------------------------------------------------------------------

    def take(self, ticket: Ticket) -> Slot | None:
        """Return the ticket's slot if it has one; see `Ticket.wait` for what is raised."""
        with self.lock:
            slot = ticket.claim()
            if slot is None and ticket.entry is not None and self.left_s(ticket) <= 0:
                self._drop(ticket, waited(self._clock() - ticket.joined_s))
                return ticket.claim()
            return slot

    def leave(self, ticket: Ticket, *, even_taken: bool = False) -> None:
        """Take a ticket out of the line; a slot it was given but never took goes on."""
        with self.lock, self.turns:
            slot = ticket.withdraw(even_taken=even_taken)
            if ticket.entry is not None:
                self._drop(ticket)
        if slot is not None:
            slot.release()

    def left_s(self, ticket: Ticket) -> float:
        """Return how long the ticket may still wait."""
        return max(ticket.deadline_s - self._clock(), 0.0)

    def ahead(self, ticket: Ticket) -> tuple[int, int]:
        """Return the ticket's place (0: no longer in line) and the length of its line."""
        with self.lock:
            line, entry = self.lines.get(ticket.name), ticket.entry
            if line is None:
                return 0, 0
            place = 0 if entry is None else line.position(entry, self._clock())
            return place, line.total

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
        lane = slot.lane
        with self.lock, self.turns:
            if slot.released:
                return
            slot.released = True
            slot.on_server_down = None
            now_s = self._clock()
            self._running.pop(id(slot), None)
            lane.left(now_s, did_answer=slot.answered, lasted_s=now_s - slot.entered_s)
            if not lane.own:
                self.busy.discard(lane)
            if self.ask is None:
                self.serve_in_turn(lane.name, now_s)
            else:
                self.ask()
            self._forget(lane.name)

    # -- what the fleet asks, with the lock held ---------------------------------------------------

    def lanes_of(self, model: Model, now_s: float) -> tuple[Lane, ...]:
        """Return the lanes of a model, where the servers have it."""
        known = self._places.get(model.name)
        if known is not None and known[0] == model.server_ids:
            return known[1]
        short = model.can("embedding") is True and model.can("completion") is False
        lanes = tuple(
            station.lane(model.name, now_s, short_calls=short)
            for server_id in model.server_ids
            if (station := self.stations.get(server_id)) is not None
        )
        for lane in lanes:
            lane.hear(*self.foreign.get((lane.server_id, lane.name), (0, 0, 0)), now_s)
        self._places[model.name] = (model.server_ids, lanes)
        return lanes

    def wants_turn(self) -> bool:
        """Whether somebody has joined a line here, or waits for a model that has a free slot."""
        return self.lines.has_news() or any(
            (lane.open or lane.resting) and lane.in_flight < lane.slots
            for name in self.lines.waiting()
            for lane in self._places.get(name, ((), ()))[1]
        )

    def running_count(self) -> int:
        """Return how many slots are taken, whether or not somebody fetched them."""
        return len(self._running)

    def unanswered(self, station: Station) -> list[Slot]:
        """Return the slots on a server whose calls have no answer yet and want to know its end."""
        return [
            slot
            for slot in self._running.values()
            if slot.lane.station is station
            and not slot.answered
            and slot.on_server_down is not None
        ]

    def stations_changed(self) -> None:
        """Forget which lanes a model has: servers or their models changed."""
        self._places.clear()

    def serve_all(self, now_s: float) -> None:
        """Serve every line."""
        for name in self.lines.waiting():
            self.serve(name, now_s)

    def serve(self, name: str, now_s: float) -> None:
        """Assign free slots to the line of a model, now or as soon as it is our turn."""
        if not self.lines.get(name):
            return
        if self.ask is None:
            with self.turns:
                self.serve_in_turn(name, now_s)
        else:
            self._end_hopeless(name, now_s)
            self.ask()

    def serve_in_turn(self, name: str, now_s: float) -> None:
        """Assign free slots to the line of a model, in its order; end those nobody can serve.

        To be called during our turn among the processes.
        """
        line = self.lines.get(name)
        if not line:
            return
        lanes = self._end_hopeless(name, now_s)
        while any((lane.open or lane.resting) and lane.in_flight < lane.slots for lane in lanes):
            found: list[tuple[Lane, Choice]] = []
            is_over = False

            def fits(entry: Entry[Ticket], found: list[tuple[Lane, Choice]] = found) -> bool:
                nonlocal is_over
                if is_over:
                    return False
                ticket = entry.item
                best = choose(
                    lanes, num_ctx=ticket.num_ctx, prefix=ticket.prefix, exclude=ticket.exclude
                )
                if (
                    best is None
                    or not best[1].is_free
                    or line.goes_elsewhere(entry, best[0].server_id, now_s)
                ):
                    is_over = not ticket.exclude  # then nobody behind can go either
                    return False
                found.append(best)
                return True

            served = line.serve(now_s, fits)
            if served is None:
                return
            self._grant(served.item, *found[0], now_s)
        line.elsewhere.was_given()

    def shed(self, name: str) -> None:
        """Push out our share of what is too much in the line of a model, here and elsewhere."""
        line = self.lines.of(name)
        limit = self._behaviour().queue_max_waiting
        if line.total > limit:
            refusal = busy(line.total, self._eta_s(name, line.total))
            for entry in line.shed(limit):
                entry.item.settle(error=refusal)

    # -- steps -------------------------------------------------------------------------------------

    def _listed(self, name: str, now_s: float) -> tuple[Lane, ...]:
        """Return the lanes of a model nobody has asked for since the servers changed."""
        return tuple(
            station.lane(name, now_s) for station in self.stations.values() if name in station.names
        )

    def _end_hopeless(self, name: str, now_s: float) -> Sequence[Lane]:
        """End the waiting of those whom no server can take; give the lanes of the model."""
        line = self.lines.of(name)
        known = self._places.get(name)
        lanes = self._listed(name, now_s) if known is None else known[1]
        open_ids = {lane.server_id for lane in lanes if lane.open or lane.resting}
        for entry in [entry for entry in line if not open_ids - entry.item.exclude]:
            self._drop(entry.item, nobody())
        return lanes

    def _join(
        self, ticket: Ticket, line: FairLine[Ticket], behaviour: Behaviour, now_s: float
    ) -> None:
        if line.total >= behaviour.queue_max_waiting:
            refusal = busy(line.total, self._eta_s(ticket.name, line.total))
            if not line.has_room_for(ticket.key_id):
                self._forget(ticket.name)
                raise refusal
            pushed_out = line.displace()
            if pushed_out is not None:
                pushed_out.item.settle(error=refusal)
        ticket.deadline_s = now_s + behaviour.queue_max_wait_s
        ticket.entry = line.join(ticket, ticket.key_id, ticket.priority, now_s)

    def _drop(self, ticket: Ticket, error: GatewayError | None = None) -> None:
        """Take a ticket out of its line, with an error for whoever waits."""
        entry, ticket.entry = ticket.entry, None
        if entry is not None:
            self.lines.of(ticket.name).leave(entry)
            self._forget(ticket.name)
        if error is not None:
            ticket.settle(error=error)

    def _forget(self, name: str) -> None:
        if all(lane.name != name for lane in self.busy):
            self.lines.forget(name)

    def _grant(self, ticket: Ticket, lane: Lane, choice: Choice, now_s: float) -> None:
        lane.entered(now_s)
        self.busy.add(lane)
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
