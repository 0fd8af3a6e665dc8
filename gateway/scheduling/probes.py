"""Asks every server how it is, again and again, beside the requests.

A well server is asked for its loaded models every few seconds, an ill one every second; times are
spread by chance, so that servers (and workers) are not asked all at once. Each look has its own
thread, so that one server that hangs keeps nobody waiting. A failure that a call met has the
server asked at once.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.errors import GatewayError
from gateway.ollama.diagnosis import explain
from gateway.runtime import tasks
from gateway.scheduling.deployments import Station
from gateway.scheduling.servers import Fleet

log = logging.getLogger(__name__)

TICK_S = 0.2
WELL_S = 5.0
ILL_S = 1.0
SPREAD = 0.2
LIMIT_S = 3.0
VERSION_EVERY = 12
"""Looks between two questions for the version of a well server (about a minute)."""


class Prober:
    """Keeps the fleet's view of its servers fresh. One a worker."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._fleet = fleet
        self._clock = clock
        self._chance = chance
        self._limit_s = limit_s
        self._stop: threading.Event | None = None
        self._looks: dict[int, int] = {}
        fleet.dispatcher.probe_now = self.soon

    def start(self) -> None:
        """Begin to look."""
        self._stop = tasks.every(TICK_S, self.turn, "prober")

    def stop(self) -> None:
        """Look no more; looks under way end by themselves."""
        if self._stop is not None:
            self._stop.set()

    def soon(self, server_id: int) -> None:
        """Have a server asked at the next turn."""
        for station in self._fleet.stations():
            if station.server.id == server_id:
                station.next_probe_s = 0.0

    def turn(self) -> None:
        """Ask whoever is due, and let time have its effect. Never raises."""
        try:
            self._fleet.tick()
            for station in self.due():
                tasks.spawn(self.look, station)
        except Exception:
            log.exception("looking after the servers failed")

    def due(self) -> list[Station]:
        """Return the servers whose turn it is, and mark them as being asked."""
        now_s = self._clock()
        found = [
            station
            for station in self._fleet.stations()
            if station.server.enabled and not station.probing and now_s >= station.next_probe_s
        ]
        for station in found:
            station.probing = True
        return found

    def look(self, station: Station) -> None:
        """Ask one server now and tell the fleet. Never raises."""
        try:
            self._look(station)
        except Exception:
            log.exception("asking server %s failed", station.server.name)
        finally:
            pause_s = ILL_S if station.probe_error else WELL_S
            spread = 1 + SPREAD * (2 * self._chance() - 1)
            station.next_probe_s = self._clock() + pause_s * spread
            station.probing = False

    def _look(self, station: Station) -> None:
        client, now = station.client, datetime.now(UTC)
        started_s = self._clock()
        try:
            loaded = client.ps(timeout_s=self._limit_s)
            latency_ms = (self._clock() - started_s) * 1000
            version = self._version(station)
        except GatewayError as error:
            trouble = explain(error, station.server.url)
            self._fleet.unreachable(station, now, trouble.message, certain=trouble.certain)
            return
        models = {model.name: model for model in loaded}
        self._fleet.probed(station, now, models, latency_ms, version)

    def _version(self, station: Station) -> str:
        """Return the version, asked anew where it may have changed."""
        server_id = station.server.id
        looks = self._looks.get(server_id, 0)
        self._looks[server_id] = looks + 1
        if station.version and not station.probe_error and looks % VERSION_EVERY:
            return station.version
        return station.client.version(timeout_s=self._limit_s)
