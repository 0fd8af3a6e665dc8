"""Probes every server again and again, beside the requests.

A healthy server is asked for its loaded models every few seconds, an unhealthy one every second;
times are spread at random, so that servers (and workers) are not asked all at once. Each probe is a
task of its own, so that one server that hangs keeps no other waiting. A failure that a call met has
the server probed at once.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.errors import GatewayError
from gateway.ollama.diagnosis import explain
from gateway.runtime import tasks
from gateway.scheduling.memory import MemoryLog
from gateway.scheduling.scheduler import Scheduler
from gateway.scheduling.servers import ServerState

HEALTHY_S = 5.0
UNHEALTHY_S = 1.0
SPREAD = 0.2
LIMIT_S = 3.0
VERSION_EVERY = 12
"""Probes between two questions for the version of a healthy server (about a minute)."""


@dataclass(eq=False)
class Prober:
    """Keeps the scheduler's view of its servers fresh. One a worker."""

    scheduler: Scheduler
    memory: MemoryLog | None = None
    clock: Callable[[], float] = time.monotonic
    random_number: Callable[[], float] = random.random
    limit_s: float = LIMIT_S
    _probes: dict[int, int] = field(default_factory=dict)

    def run_once(self) -> None:
        """Probe the servers that are due, and let time have its effect."""
        self.scheduler.on_time_passed()
        for server in self.due():
            tasks.spawn(self.probe, server)

    def due(self) -> list[ServerState]:
        """Return the servers to be probed now, and mark them as being probed."""
        now_s = self.clock()
        found = [
            server
            for server in self.scheduler.servers.values()
            if server.server.enabled and not server.probing and now_s >= server.next_probe_s
        ]
        for server in found:
            server.probing = True
        return found

    def probe(self, server: ServerState) -> None:
        """Probe one server now and tell the scheduler. Never raises."""
        server.next_probe_s = math.inf  # who asks meanwhile lowers it: this answer may be too old
        try:
            self._probe(server)
        except Exception as error:
            tasks.note_failure(f"probing server {server.server.id}", error)
        finally:
            pause_s = UNHEALTHY_S if server.probe_error else HEALTHY_S
            spread = 1 + SPREAD * (2 * self.random_number() - 1)
            server.next_probe_s = min(server.next_probe_s, self.clock() + pause_s * spread)
            server.probing = False

    def _probe(self, server: ServerState) -> None:
        client, now = server.client, datetime.now(UTC)
        started_s = self.clock()
        try:
            loaded = client.ps(timeout_s=self.limit_s)
            latency_ms = (self.clock() - started_s) * 1000
            version = self._version(server)
        except GatewayError as error:
            trouble = explain(error, server.server.url)
            self.scheduler.on_probe_failure(server, now, trouble.message, certain=trouble.certain)
            return
        models = {model.name: model for model in loaded}
        self.scheduler.on_probe_success(server, now, models, latency_ms, version)
        if self.memory is not None:
            self.memory.note(server.server.id, models, now)

    def _version(self, server: ServerState) -> str:
        """Return the version, asked anew where it may have changed."""
        server_id = server.server.id
        probes_before = self._probes.get(server_id, 0)
        self._probes[server_id] = probes_before + 1
        if server.version and not server.probe_error and probes_before % VERSION_EVERY:
            return server.version
        return server.client.version(timeout_s=self.limit_s)
