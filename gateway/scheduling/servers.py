"""The Ollama servers: their clients, their health, their deployments. They only keep state;
`Scheduler` changes it, `Prober` feeds it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gateway.core.catalog import Loaded, Model
from gateway.core.chat import Json
from gateway.errors import GatewayError, InvalidRequest, Message, Unavailable
from gateway.policy import breaker, loads
from gateway.policy.breaker import Breaker
from gateway.scheduling.clients import address_of
from gateway.scheduling.deployments import UNKNOWN_CONTEXT, Deployment
from gateway.schemas.server import Server, ServerStatus, ServerView

if TYPE_CHECKING:
    from gateway.ollama.client import OllamaClient

log = logging.getLogger(__name__)

_LATENCIES: Final = 60


class ServerState:
    """One server as this process knows it."""

    def __init__(self, server: Server, client: OllamaClient) -> None:
        self.server = server
        self.client = client
        self.breaker = Breaker()
        self.deployments: dict[str, Deployment] = {}
        self.time_dependent: set[Deployment] = set()
        """Deployments whose state changes by the mere passing of time."""
        self.names: frozenset[str] = frozenset()
        self.in_flight = 0
        self.open = server.enabled and not server.draining
        self.version = ""
        self.loaded: Mapping[str, Loaded] = {}
        self.weights: Mapping[str, str] = {}
        """By model, what stands for its files."""
        self.latency_ms: float | None = None
        self.latencies_ms: deque[float] = deque(maxlen=_LATENCIES)
        self.checked_at: datetime | None = None
        self.probe_error = ""
        self.failed_probes = 0
        self.is_down = False
        self.refresh_error = ""
        self.next_probe_s = 0.0
        self.probing = False

    def deployment(self, name: str, now_s: float, *, short_calls: bool = False) -> Deployment:
        """Return the deployment of model `name`, made on first use."""
        found = self.deployments.get(name)
        if found is None:
            found = Deployment(self, name, now_s, short_calls=short_calls)
            self.deployments[name] = found
            loaded = self.in_memory(name)
            if loaded is not None:
                found.context_tokens = loaded.context_tokens or UNKNOWN_CONTEXT
        return found

    def in_memory(self, name: str) -> Loaded | None:
        """Return a model as it is in memory, under its own name or that of a model with the same
        weights: Ollama lists a runner under the name that started it."""
        found = self.loaded.get(name)
        weights = self.weights.get(name)
        if found is not None or not weights:
            return found
        return next(
            (one for other, one in self.loaded.items() if self.weights.get(other) == weights), None
        )

    def refresh(self, now_s: float) -> None:
        """Compute anew whether calls may come, for the server and each of its deployments."""
        server = self.server
        self.open = (
            server.enabled
            and not server.draining
            and not self.is_down
            and (self.breaker.retry_at_s is None or self.breaker.allows(now_s))
        )
        for deployment in self.deployments.values():
            deployment.weight = server.weight
            deployment.refresh(now_s)

    def on_time_passed(self, now_s: float) -> None:
        """Compute anew what changes by the passing of time."""
        if self.breaker.retry_at_s is not None:
            self.refresh(now_s)
        else:
            for deployment in tuple(self.time_dependent):
                deployment.refresh(now_s)

    def on_probe_success(
        self,
        now_s: float,
        at: datetime,
        loaded: Mapping[str, Loaded],
        latency_ms: float,
        version: str,
    ) -> bool:
        """Record a probe that went well. Returns whether the server was restarted."""
        restarted = self.is_down or (bool(self.version) and version != self.version)
        if restarted:
            self.breaker = breaker.succeeded(self.breaker)
            for deployment in self.deployments.values():
                deployment.breaker = breaker.succeeded(deployment.breaker)
                deployment.reset_slots()
        self.is_down = False
        self.failed_probes = 0
        self.probe_error = ""
        self.version = version
        self.latency_ms = latency_ms
        self.latencies_ms.append(latency_ms)
        self.checked_at = at
        before, self.loaded = self.loaded, loaded
        for name, deployment in self.deployments.items():
            model = self.in_memory(name)
            if model is None and name in before:
                deployment.gone = loads.why_gone(before[name], loaded, before, at)
            tokens = 0 if model is None else model.context_tokens or UNKNOWN_CONTEXT
            deployment.context_tokens = tokens
            if not deployment.in_flight:
                deployment.sent_window = 0
        self.refresh(now_s)
        return restarted

    def on_probe_failure(self, now_s: float, at: datetime, reason: str, *, certain: bool) -> bool:
        """Record a probe that failed. Returns whether the server was found down by it.

        A refused connection is `certain`; silence counts when it is met twice.
        """
        self.failed_probes += 1
        self.probe_error = reason
        self.checked_at = at
        was_down = self.is_down
        self.is_down = was_down or certain or self.failed_probes >= 2
        if self.is_down:
            self.loaded = {}
            for deployment in self.deployments.values():
                if deployment.context_tokens:
                    deployment.gone = "restarted"
                deployment.context_tokens = 0
        self.refresh(now_s)
        return self.is_down and not was_down

    def remove(self, now_s: float) -> None:
        """Close a server that is gone; calls still running there end by themselves."""
        self.is_down = True
        self.probe_error = Message("It was removed.")
        self.refresh(now_s)

    def status(self, now_s: float, waiting: Mapping[str, int]) -> tuple[ServerStatus, str]:
        """Return the status and its reason in words. `waiting` counts queued calls by model."""
        server = self.server
        if not server.enabled:
            return "draining", Message("It is switched off.")
        if server.draining:
            running = _requests(self.in_flight)
            return "draining", Message(
                "It takes no new requests; %(running)s still running.", running=running
            )
        if self.is_down:
            return "down", self.probe_error
        match self.breaker.state(now_s):
            case "open":
                return "down", Message("Too many requests failed; it is tried again in a moment.")
            case "half_open":
                return "degraded", Message("It failed and is tried with one request.")
            case "closed":
                pass
        if self.checked_at is None:
            return "unknown", Message("It has not been asked yet.")
        if self.probe_error:
            return "degraded", self.probe_error
        return self._working_status(waiting)

    def _working_status(self, waiting: Mapping[str, int]) -> tuple[ServerStatus, str]:
        deployments = self.deployments.values()
        failing = [one.name for one in deployments if one.breaker.retry_at_s is not None]
        if failing:
            return "degraded", Message(
                "Requests for %(names)s fail here.", names=", ".join(sorted(failing))
            )
        if self.refresh_error:
            return "degraded", Message(
                "The list of models is old: %(reason)s", reason=self.refresh_error
            )
        loading = [one.name for one in deployments if one.in_flight and not one.context_tokens]
        if loading:
            return "loading", Message("It is loading %(names)s.", names=", ".join(sorted(loading)))
        full = [one for one in deployments if one.in_flight >= one.slots]
        queued = sum(waiting.get(one.name, 0) for one in full)
        if queued:
            return "busy", Message(
                "%(running)s running, %(queued)s waiting.",
                running=_requests(self.in_flight),
                queued=queued,
            )
        return (
            "ready",
            Message("It answers.")
            if not self.in_flight
            else Message("%(running)s running.", running=_requests(self.in_flight)),
        )

    def view(self, now_s: float, waiting: Mapping[str, int]) -> ServerView:
        """Return what the console and the tests may see."""
        status, reason = self.status(now_s, waiting)
        deployments = self.deployments.values()
        return ServerView(
            server=self.server,
            state=status,
            reason=reason,
            healthy=self.open,
            version=self.version,
            names=self.names,
            loaded=dict(self.loaded),
            in_flight={one.name: one.in_flight for one in deployments if one.in_flight},
            slots=self.server.slots or max((one.learned_slots for one in deployments), default=1),
            checked_at=self.checked_at,
            latency_ms=self.latency_ms,
            latencies_ms=tuple(self.latencies_ms),
        )


class ServerStates:
    """All servers, and where each model runs."""

    def __init__(self, client_for: Callable[[Server], OllamaClient]) -> None:
        self._client_for = client_for
        self.by_id: dict[int, ServerState] = {}
        self._deployments: dict[str, tuple[tuple[int, ...], tuple[Deployment, ...]]] = {}

    def update(
        self,
        servers: Sequence[Server],
        names: Mapping[int, frozenset[str]],
        refresh_errors: Mapping[int, str],
        weights: Mapping[str, str],
        now_s: float,
    ) -> None:
        """Apply the servers as the admin has them now; see `Scheduler.know`."""
        kept: dict[int, ServerState] = {}
        for server in servers:
            state = self.by_id.get(server.id)
            if state is None or address_of(state.server) != address_of(server):
                client = self._client(server)
                if client is None:
                    continue
                state = ServerState(server, client)
            state.server = server
            state.refresh_error = refresh_errors.get(server.id, "")
            state.names = names.get(server.id, frozenset())
            state.weights = weights
            state.refresh(now_s)
            kept[server.id] = state
        for server_id, state in self.by_id.items():
            if kept.get(server_id) is not state:
                state.remove(now_s)
        self.by_id = kept
        self._deployments.clear()

    def deployments_of(self, model: Model, now_s: float) -> tuple[Deployment, ...]:
        """Return the deployments of a model, where the servers have it."""
        known = self._deployments.get(model.name)
        if known is not None and known[0] == model.server_ids:
            return known[1]
        short = model.can("embedding") is True and model.can("completion") is False
        deployments = tuple(
            state.deployment(model.name, now_s, short_calls=short)
            for server_id in model.server_ids
            if (state := self.by_id.get(server_id)) is not None
        )
        self._deployments[model.name] = (model.server_ids, deployments)
        return deployments

    def waited_for(self, name: str, now_s: float) -> Sequence[Deployment]:
        """Return the deployments of a model that calls wait for."""
        known = self._deployments.get(name)
        if known is not None:
            return known[1]
        return tuple(
            state.deployment(name, now_s) for state in self.by_id.values() if name in state.names
        )

    def _client(self, server: Server) -> OllamaClient | None:
        try:
            return self._client_for(server)
        except InvalidRequest as error:
            log.error("server %s cannot be used: %s", server.name, error.message)
            return None


def _requests(number: int) -> Message:
    return Message("1 request") if number == 1 else Message("%(count)s requests", count=number)


def described(servers: Mapping[int, ServerState], model: Model) -> Json:
    """Return what the first server that can be asked says of a model. Raises the error of the last
    one that was asked, and Unavailable where none can be."""
    error: GatewayError = Unavailable("No server that has this model can be asked now; try again.")
    for server_id in model.server_ids:
        server = servers.get(server_id)
        if server is None or not server.open:
            continue
        try:
            return server.client.description(model.name)
        except GatewayError as failure:
            error = failure
    raise error
