"""Who runs where, and who waits: tickets in, slots out, over several Ollama servers.

**What the queue promises.** Each process keeps the queue of the calls that came to it, in the order
of `policy.fair_queue`. `queue_max_waiting` calls of a model wait at most, each `queue_max_wait_s`
at most. A call that leaves, for whatever reason, frees its place at once and the next is served in
the same moment.

**Several processes** share counts, not queues: with Redis a slot is taken there for the first call
of the queue (`shared_slots`), so the slots of a server hold over all processes, while order,
priorities and lengths are those of each process.

**No locks.** Everything in here runs in the event loop and does not wait, so each method is one
step. Threads outside the event loop must not come here.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.core.catalog import Loaded, Model
from gateway.errors import GatewayError, ModelNotFound, UpstreamUnreachable
from gateway.policy.fair_queue import FairQueue
from gateway.policy.server_choice import Choice, choose
from gateway.scheduling.deployments import Deployment
from gateway.scheduling.queue import NO_SERVERS, Next, eta_s, next_call
from gateway.scheduling.routing_preview import Route, routes
from gateway.scheduling.servers import ServerState, ServerStates
from gateway.scheduling.shared_slots import SharedSlots
from gateway.scheduling.tickets import Slot, Ticket, no_server_available, queue_full, queue_timeout
from gateway.schemas.key import Key, Priority
from gateway.schemas.server import Server, ServerView
from gateway.schemas.settings import RuntimeSettings

if TYPE_CHECKING:
    from gateway.ollama.client import OllamaClient
    from gateway.runtime.shared_counts import SharedCounts
    from gateway.scheduling.catalog import Snapshot

log = logging.getLogger(__name__)


class Scheduler:
    """The queues of all models and the slots of all servers.

    `on_missing` is called with models a server no longer has. `counts` are those of all processes;
    None: there is only this one.
    """

    def __init__(
        self,
        client_for: Callable[[Server], OllamaClient],
        behaviour: Callable[[], RuntimeSettings],
        clock: Callable[[], float] = time.monotonic,
        counts: SharedCounts | None = None,
        on_missing: Callable[[int, str], None] = lambda server_id, name: None,
    ) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._states = ServerStates(client_for)
        self.queues: defaultdict[str, FairQueue[Ticket]] = defaultdict(FairQueue)
        """By model; one is forgotten when no call of its model runs or waits here."""
        self.shared = None if counts is None else SharedSlots(self, counts, clock)
        self._on_missing = on_missing
        self._busy: set[Deployment] = set()
        """Where calls of this process run."""
        self._running: dict[int, Slot] = {}

    @property
    def servers(self) -> Mapping[int, ServerState]:
        """All servers by their ids, in the order the admin sees."""
        return self._states.by_id

    def probe_now(self, server_id: int) -> None:
        """Have a server probed as soon as the prober looks: it may be down, or changed."""
        server = self.servers.get(server_id)
        if server is not None:
            server.next_probe_s = 0.0

    # -- calls -------------------------------------------------------------------------------------

    def ticket(
        self,
        model: Model,
        key: Key | None,
        *,
        num_ctx: int | None = None,
        prefix: str = "",
        exclude: frozenset[int] = NO_SERVERS,
        is_background: bool = False,
    ) -> Ticket:
        """Put a call in the queue; it may have its slot already. Background calls go last, whatever
        the priority of their key.

        Raises Unavailable: `no_upstream_available` when every server that has the model is down,
        draining or excluded, `upstream_busy` when the queue is full.
        """
        behaviour = self._behaviour()
        now_s = self._clock()
        prefix = prefix if behaviour.prefix_affinity else ""
        key_id = None if key is None else key.id
        priority: Priority = "normal" if key is None else key.priority
        if is_background:
            priority = "batch"
        ticket = Ticket(self, model.name, key_id, priority, num_ctx, prefix, exclude, now_s)
        deployments = self._states.deployments_of(model, now_s)
        best = choose(deployments, num_ctx=num_ctx, prefix=prefix, exclude=exclude)
        if best is None:
            raise no_server_available()
        queue = self.queues[model.name]
        if self.shared is None and best[1].is_free and not len(queue):
            queue.record_served(ticket.key_id)
            self._assign(ticket, *best, now_s)
        else:
            self._join(ticket, queue, behaviour, now_s)
            if self.shared is not None or best[1].is_free:
                self.serve(model.name, now_s)
        return ticket

    def left_s(self, ticket: Ticket) -> float:
        """Return how long the ticket may still wait."""
        return max(ticket.deadline_s - self._clock(), 0.0)

    def give_up(self, ticket: Ticket) -> None:
        """End the waiting of a ticket that has waited for as long as it may."""
        self.leave(ticket, queue_timeout(self._clock() - ticket.joined_s))

    def leave(self, ticket: Ticket, error: GatewayError | None = None) -> None:
        """Remove a ticket from its queue, with an error for whoever waits."""
        entry, ticket.entry = ticket.entry, None
        if entry is not None:
            self.queues[ticket.name].leave(entry)
            self._discard_empty(ticket.name)
        if error is not None:
            ticket.resolve(error=error)

    def position(self, ticket: Ticket) -> tuple[int, int]:
        """Return the ticket's place (0: no longer waiting) and the length of its queue."""
        queue, entry = self.queues.get(ticket.name), ticket.entry
        if queue is None:
            return 0, 0
        return 0 if entry is None else queue.position(entry, self._clock()), len(queue)

    def on_first_token(self, slot: Slot) -> None:
        """The first piece of an answer has come: the server is well, its slot is proven."""
        if slot.answered or slot.released:
            return
        slot.answered = True
        now_s = self._clock()
        deployment, server = slot.deployment, slot.deployment.server
        slots, was_cold = deployment.slots, not deployment.context_tokens
        was_failing = server.breaker.retry_at_s is not None
        deployment.on_first_token(now_s)
        if self.shared is not None and not deployment.has_fixed_slots:
            self.shared.counts.note_answer(slot.lease_id)
        if was_failing:
            server.refresh(now_s)
        if was_failing or deployment.slots > slots:
            self.serve(deployment.name, now_s)
        if was_cold:  # how large its window is, and what left memory for it, only a probe tells
            self.probe_now(deployment.server_id)

    def on_result(self, slot: Slot, error: GatewayError | None) -> None:
        """Learn from how a call ended."""
        deployment = slot.deployment
        if deployment.on_result(error, self._clock()):
            self.probe_now(slot.server.id)
        if isinstance(error, ModelNotFound):
            self._on_missing(slot.server.id, deployment.name)

    def release(self, slot: Slot) -> None:
        """Release a slot and serve whoever is next."""
        if slot.released:
            return
        slot.released = True
        slot.on_server_down = None
        now_s = self._clock()
        deployment = slot.deployment
        self._running.pop(id(slot), None)
        deployment.on_finish(now_s, did_answer=slot.answered, lasted_s=now_s - slot.started_s)
        if not deployment.local_in_flight:
            self._busy.discard(deployment)
        if self.shared is not None:
            self.shared.counts.release(slot.lease_id)
        self.serve(deployment.name, now_s)
        self._discard_empty(deployment.name)

    # -- the queue ---------------------------------------------------------------------------------

    def serve(self, name: str, now_s: float) -> None:
        """Assign free slots to the queue of a model, and end what no server can take."""
        queue = self.queues.get(name)
        if not queue:
            return
        self._fail_unservable(name, queue, now_s)
        if self.shared is not None:
            self.shared.wake(name)
            return
        while (following := self.next_call(name, now_s)) is not None:
            self.assign(following)

    def serve_all(self, now_s: float) -> None:
        """Serve every queue."""
        for name in tuple(self.waiting()):
            self.serve(name, now_s)

    def next_call(self, name: str, now_s: float, skip: Collection[int] = NO_SERVERS) -> Next | None:
        """Return the first call that can run now on a server not in `skip`; it goes on to wait."""
        queue = self.queues.get(name)
        return (
            next_call(queue, self._states.waited_for(name, now_s), now_s, skip) if queue else None
        )

    def assign(self, following: Next, lease_id: str = "") -> bool:
        """Grant the slot to a call; False when it waits no longer."""
        queue, entry = self.queues.get(following.entry.item.name), following.entry
        if queue is None or not queue.take(entry):
            return False
        self._assign(entry.item, following.deployment, following.choice, self._clock(), lease_id)
        return True

    # -- what the console sees ---------------------------------------------------------------------

    def routes(
        self, model: Model, num_ctx: int | None = None, prefix: str = ""
    ) -> tuple[Route, ...]:
        """Return for each server that has the model whether a call would go there now, and why."""
        prefix = prefix if self._behaviour().prefix_affinity else ""
        now_s = self._clock()
        return routes(self._states.deployments_of(model, now_s), num_ctx, prefix, now_s)

    def views(self) -> tuple[ServerView, ...]:
        """Return every server as it is right now."""
        now_s = self._clock()
        waiting = self.waiting()
        return tuple(server.view(now_s, waiting) for server in self.servers.values())

    def waiting(self) -> Mapping[str, int]:
        """Return how many calls wait in this process, by model."""
        return {name: len(queue) for name, queue in self.queues.items() if len(queue)}

    def waiting_everywhere(self) -> Mapping[str, int]:
        """Return how many calls wait in all processes, by model. Asks Redis: for pages only."""
        ours = self.waiting()
        return ours if self.shared is None else self.shared.counts.remote_waiting() + Counter(ours)

    def state(self) -> Mapping[str, object]:
        """Return where slots are counted: for the health page."""
        if self.shared is None:
            return {"backend": "local", "degraded": False}
        return self.shared.counts.state()

    def in_flight(self) -> Mapping[tuple[int, str], int]:
        """Return how many calls of this process run, by server and model."""
        return {(one.server_id, one.name): one.local_in_flight for one in self._busy}

    # -- what is known of the servers --------------------------------------------------------------

    def follow(self, snapshot: Snapshot) -> None:
        """Apply a new snapshot of the catalogue; its listener."""
        errors = {server_id: note.error for server_id, note in snapshot.notes.items()}
        weights = {model.name: model.weights for model in snapshot.models}
        self.know(snapshot.servers, snapshot.names, errors, weights)

    def know(
        self,
        servers: Sequence[Server],
        names: Mapping[int, frozenset[str]],
        refresh_errors: Mapping[int, str] = MappingProxyType({}),
        weights: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Record the servers as the admin has them now, the models each one lists, why that list
        is old where it is, and what stands for the weights of each model.

        A server whose address or credentials changed starts anew; running calls end undisturbed.
        """
        now_s = self._clock()
        self._states.update(servers, names, refresh_errors, weights, now_s)
        self.serve_all(now_s)

    def on_probe_success(
        self,
        server: ServerState,
        at: datetime,
        loaded: Mapping[str, Loaded],
        latency_ms: float,
        version: str,
    ) -> None:
        """Record a probe that went well, and serve whoever waited for it."""
        now_s = self._clock()
        was_open = server.open
        restarted = server.on_probe_success(now_s, at, loaded, latency_ms, version)
        if restarted and self.shared is not None:
            self.shared.forget_proven(server)
        if server.open and not was_open:
            log.info("server %s is back", server.server.name)
            self.serve_all(now_s)

    def on_probe_failure(
        self, server: ServerState, at: datetime, reason: str, *, certain: bool
    ) -> None:
        """Record a probe that failed; calls that wait for this server's answer learn of it."""
        now_s = self._clock()
        if not server.on_probe_failure(now_s, at, reason, certain=certain):
            return
        log.warning("server %s is down: %s", server.server.name, reason)
        self.serve_all(now_s)
        for slot in tuple(self._running.values()):
            notify = slot.on_server_down
            if slot.deployment.server is server and not slot.answered and notify is not None:
                slot.on_server_down = None
                notify(UpstreamUnreachable("The Ollama server stopped answering."))

    def on_time_passed(self) -> None:
        """Run what is due: pauses end, slots are probed for, calls without a server end.

        Called a few times a second by the prober.
        """
        now_s = self._clock()
        for server in self.servers.values():
            server.on_time_passed(now_s)
        self.serve_all(now_s)

    # -- steps -------------------------------------------------------------------------------------

    def _fail_unservable(self, name: str, queue: FairQueue[Ticket], now_s: float) -> None:
        """End the waiting of those whom no server can take."""
        open_ids = {
            one.server_id
            for one in self._states.waited_for(name, now_s)
            if one.open or one.cooling_down
        }
        for entry in [entry for entry in queue if not open_ids - entry.item.exclude]:
            self.leave(entry.item, no_server_available())

    def _join(
        self, ticket: Ticket, queue: FairQueue[Ticket], behaviour: RuntimeSettings, now_s: float
    ) -> None:
        if len(queue) >= behaviour.queue_max_waiting:
            refusal = queue_full(len(queue), self._eta_s(ticket.name, len(queue)))
            if not queue.has_room_for(ticket.key_id):
                self._discard_empty(ticket.name)
                raise refusal
            evicted = queue.evict_one()
            if evicted is not None:
                evicted.item.resolve(error=refusal)
        ticket.deadline_s = now_s + behaviour.queue_max_wait_s
        ticket.entry = queue.join(ticket, ticket.key_id, ticket.priority, now_s)

    def _discard_empty(self, name: str) -> None:
        if not self.queues.get(name) and all(one.name != name for one in self._busy):
            self.queues.pop(name, None)

    def _assign(
        self,
        ticket: Ticket,
        deployment: Deployment,
        choice: Choice,
        now_s: float,
        lease_id: str = "",
    ) -> None:
        deployment.on_start(now_s)
        self._busy.add(deployment)
        server = deployment.server
        if server.breaker.retry_at_s is not None:
            server.refresh(now_s)
        queued_ms = (now_s - ticket.joined_s) * 1000
        slot = Slot(
            self, deployment, choice, server.server, server.client, queued_ms, now_s, lease_id
        )
        self._running[id(slot)] = slot
        ticket.resolve(slot)

    def _eta_s(self, name: str, place: int) -> float | None:
        return eta_s(self._states.waited_for(name, self._clock()), place)
