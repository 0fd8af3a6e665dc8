"""Several Ollama servers as one: who gets which call, who waits, who is well.

**What the line promises.** Each process keeps the line of the calls that came to it; `sharing`
makes one line of them. With one worker (the default) the order is that of `policy.fair_queue`,
exactly.
The workers of one machine take turns over a small file and compare what waits where: slots,
priorities, turns between keys and lengths hold among all of them. With Redis the same holds among
all instances, but for a model with many free slots, where nobody asks first. When Redis cannot be
reached each process goes on by its own count and its own line.

**What is bounded.** `queue_max_waiting` calls a model wait at most, each `queue_max_wait_s` at
most. A call that leaves, for whatever reason, frees its place at once and the next is served in
the same moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from gateway.core.behaviour import Behaviour
from gateway.core.catalog import Loaded, Model, Server, ServerView
from gateway.core.keys import Key
from gateway.errors import InvalidRequest, UpstreamUnreachable
from gateway.scheduling.deployments import Station
from gateway.scheduling.routing_preview import Route, routes
from gateway.scheduling.scheduler import Dispatcher
from gateway.scheduling.tickets import Slot, Ticket

if TYPE_CHECKING:
    from gateway.ollama.client import OllamaClient
    from gateway.scheduling.catalog import Snapshot

__all__ = ["Fleet", "Route", "Slot", "Ticket"]

log = logging.getLogger(__name__)


class Job(Protocol):
    """Something that runs beside requests."""

    def start(self) -> None:
        """Begin. Called once, after the fork."""

    def stop(self) -> None:
        """End soon."""


class Fleet:
    """All servers. Views ask for tickets and views; the prober and the catalog feed it."""

    def __init__(
        self,
        client_for: Callable[[Server], OllamaClient],
        behaviour: Callable[[], Behaviour],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client_for = client_for
        self._behaviour = behaviour
        self._clock = clock
        self._jobs: list[Job] = []
        self.dispatcher = Dispatcher(behaviour, clock)

    def ticket(
        self,
        model: Model,
        key: Key | None,
        *,
        num_ctx: int | None = None,
        prefix: str = "",
        exclude: frozenset[int] = frozenset(),
    ) -> Ticket:
        """Put a call in line; it may have its slot already.

        Raises Unavailable: `no_upstream_available` when every server that has the model is down,
        draining or excluded, `upstream_busy` when the line is full.
        """
        return self.dispatcher.ticket(model, key, num_ctx, prefix, exclude)

    def routes(
        self, model: Model, num_ctx: int | None = None, prefix: str = ""
    ) -> tuple[Route, ...]:
        """Say for each server that has the model whether a call would go there now, and why."""
        prefix = prefix if self._behaviour().prefix_affinity else ""
        return routes(self.dispatcher, model, num_ctx, prefix, self._clock())

    # -- life ------------------------------------------------------------------------------------

    def run(self, job: Job) -> None:
        """Let `job` start and stop with the fleet."""
        self._jobs.append(job)

    def start(self) -> None:
        """Start probing and whatever else runs beside requests. Called once, after the fork."""
        for job in self._jobs:
            job.start()

    def stop(self) -> None:
        """Stop what `start` started."""
        for job in reversed(self._jobs):
            job.stop()

    # -- what is known of the servers --------------------------------------------------------------

    def follow(self, snapshot: Snapshot) -> None:
        """Take in a new snapshot of the catalogue; its listener."""
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
        with self.dispatcher.lock:
            now_s = self._clock()
            before = self.dispatcher.stations
            kept: dict[int, Station] = {}
            for server in servers:
                station = before.get(server.id)
                if station is None or _line_changed(station.server, server):
                    client = self._client(server)
                    if client is None:
                        continue
                    station = Station(server, client)
                station.server = server
                station.refresh_error = refresh_errors.get(server.id, "")
                station.names = names.get(server.id, frozenset())
                station.weights = weights
                station.look(now_s)
                kept[server.id] = station
            for server_id, station in before.items():
                if kept.get(server_id) is not station:
                    station.retire(now_s)
            self.dispatcher.stations = kept
            self.dispatcher.stations_changed()
            self.dispatcher.serve_all(now_s)

    def _client(self, server: Server) -> OllamaClient | None:
        try:
            return self._client_for(server)
        except InvalidRequest as error:
            log.error("server %s cannot be used: %s", server.name, error.message)
            return None

    def stations(self) -> tuple[Station, ...]:
        """Return all servers, in the order the admin sees."""
        return tuple(self.dispatcher.stations.values())

    def client(self, server_id: int) -> OllamaClient | None:
        """Return the client of a server; None when there is no such server."""
        station = self.dispatcher.stations.get(server_id)
        return None if station is None else station.client

    def views(self) -> tuple[ServerView, ...]:
        """Return every server as it is right now."""
        with self.dispatcher.lock:
            now_s = self._clock()
            waiting = self.dispatcher.lines.in_line()
            return tuple(station.view(now_s, waiting) for station in self.stations())

    def waiting(self) -> Mapping[str, int]:
        """Return how many calls wait in this process, by model."""
        with self.dispatcher.lock:
            return self.dispatcher.lines.waiting()

    def in_line(self) -> Mapping[str, int]:
        """Return how many calls wait in all processes, by model."""
        with self.dispatcher.lock:
            return self.dispatcher.lines.in_line()

    def in_flight(self) -> Mapping[tuple[int, str], int]:
        """Return how many calls of this process run, by server and model."""
        with self.dispatcher.lock:
            return {(lane.server_id, lane.name): lane.own for lane in self.dispatcher.busy}

    # -- what probes tell --------------------------------------------------------------------------

    def probed(
        self,
        station: Station,
        at: datetime,
        loaded: Mapping[str, Loaded],
        latency_ms: float,
        version: str,
    ) -> None:
        """Take in a probe that went well, and serve whoever waited for it."""
        with self.dispatcher.lock:
            now_s = self._clock()
            was_open = station.open
            station.probed(now_s, at, loaded, latency_ms, version)
            if station.open and not was_open:
                log.info("server %s is back", station.server.name)
                self.dispatcher.serve_all(now_s)

    def unreachable(self, station: Station, at: datetime, reason: str, *, certain: bool) -> None:
        """Take in a probe that failed; calls that wait for this server's answer learn of it."""
        lost: list[Slot] = []
        with self.dispatcher.lock:
            now_s = self._clock()
            if station.unreachable(now_s, at, reason, certain=certain):
                log.warning("server %s is down: %s", station.server.name, reason)
                lost = self.dispatcher.unanswered(station)
                self.dispatcher.serve_all(now_s)
        for slot in lost:
            slot.lose(UpstreamUnreachable("The Ollama server stopped answering."))

    def tick(self) -> None:
        """Let time have its effect: pauses end, trials begin, lines without a server end.

        Called a few times a second by the prober.
        """
        with self.dispatcher.lock:
            now_s = self._clock()
            for station in self.stations():
                station.tick(now_s)
            self.dispatcher.serve_all(now_s)


def _line_changed(old: Server, new: Server) -> bool:
    return (old.url, old.auth_header, old.tls_verify, old.tls_ca_file) != (
        new.url,
        new.auth_header,
        new.tls_verify,
        new.tls_ca_file,
    )
