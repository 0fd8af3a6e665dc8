"""Calls in flight: who runs what right now, in every worker, and how to end one.

Each call registers its stats and how to cancel it; a snapshot reads the tallies, which only their
own calls write. So one worker alone writes nothing anywhere.

Several workers hear of each other through the store. Whoever looks at all calls (`everywhere`)
leaves a command to be watched; for a quarter of a minute the others then write their calls once a
second. A command to cancel reaches a call in another worker within a second.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy.orm import Session

from gateway.calls.sessions import Sessions
from gateway.core.admin import Actor
from gateway.errors import GatewayError
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.identity import worker_name
from gateway.runtime.versions import ChangeVersions
from gateway.store import audit
from gateway.store.coordination import workers

if TYPE_CHECKING:
    from gateway.calls.active_call import ActiveCall
    from gateway.calls.stats import CallStats

log = logging.getLogger(__name__)

PUBLISH_S: Final = 1.0
WATCHED_S: Final = 15.0
RENEW_S: Final = 5.0
ALIVE: Final = timedelta(seconds=60)
FRESH: Final = timedelta(seconds=5)
_LATE_COMMANDS: Final = 50


@dataclass(frozen=True, slots=True)
class LiveCall:
    """One running call, as the console shows it.

    `phase` is queued, loading, prefill, thinking or answering; `tokens` those given so far, about;
    `tokens_per_s` since the first of them; `position` the place in line and `waiting` the length
    of the line, 0 when not queued.
    """

    request_id: str
    worker: str
    started_at: datetime
    elapsed_s: float
    key_id: int | None
    key_name: str
    model_id: int | None
    model: str
    endpoint: str
    streamed: bool
    phase: str
    position: int
    waiting: int
    tokens: int
    tokens_per_s: float | None
    server_id: int | None
    server_name: str
    client_ip: str
    client_app: str


def cancelled() -> GatewayError:
    """Return the error of a call that an admin ended."""
    return GatewayError(
        "An administrator ended this call.", code="cancelled", status=503, should_retry=False
    )


@dataclass(eq=False)
class ActiveCalls:
    """The calls of this worker, and a view of those of the others.

    `is_loaded` tells whether a server (by id) has a model (by id) in memory; it parts loading from
    reading the prompt.
    """

    store: Store
    versions: ChangeVersions
    is_loaded: Callable[[int, int], bool] = lambda server_id, model_id: False
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    name: Callable[[], str] = worker_name
    sessions: Sessions = field(default_factory=Sessions)
    _calls: dict[str, ActiveCall] = field(default_factory=dict)
    _seen: int = -1
    _first_command: int = 1
    _last_command: int = 0
    _obeyed: deque[int] = field(default_factory=lambda: deque(maxlen=4 * _LATE_COMMANDS))
    _watched_until_s: float = 0.0
    _published_s: float = -PUBLISH_S
    _renewed_s: float = -RENEW_S

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: ActiveCall) -> None:
        """Register a call until `remove`."""
        self._calls[call.stats.admission.request_id] = call
        if not call.is_background:
            self.sessions.begin(call.session)

    def remove(self, call: ActiveCall) -> None:
        """Forget a call; an unknown one is fine."""
        found = self._calls.pop(call.stats.admission.request_id, None)
        if found is not None and not found.is_background:
            self.sessions.end(found.session)

    # -- looking -----------------------------------------------------------------------------------

    def snapshot(self) -> list[LiveCall]:
        """Return the calls of this worker, oldest first."""
        now_s = self.clock()
        return [self._shown(call, now_s) for call in self.calls()]

    def calls(self) -> list[ActiveCall]:
        """Return what runs in this worker."""
        return list(self._calls.values())

    def taken(self) -> list[tuple[str, int, int]]:
        """Return (request id, prompt tokens, tokens of the answer) of the calls of this worker that
        have begun to answer; both are estimates."""
        stats = [call.stats for call in self.calls()]
        return [
            (each.admission.request_id, each.prompt_estimate, each.records)
            for each in stats
            if each.records
        ]

    def everywhere(self) -> list[LiveCall]:
        """Return the calls of all workers, oldest first; those of others are up to a second old.

        While the store is away these are the calls of this worker.
        """
        calls = self.snapshot()
        now, me = self.now(), self.name()
        try:
            found = self.store.read(workers.list_alive, now - ALIVE)
            others = [state for state in found if state.name != me]
            if others and self.clock() - self._renewed_s >= RENEW_S:
                self._renewed_s = self.clock()
                self.store.write(workers.send, "watch", {}, now=now)
        except StoreUnavailable:
            return calls
        for state in others:
            calls += _read_calls(state, now - FRESH)
        return sorted(calls, key=lambda call: call.started_at)

    # -- ending ------------------------------------------------------------------------------------

    def cancel(self, request_id: str, error: GatewayError | None = None) -> bool:
        """End one call of this worker; False when it does not run here."""
        found = self._calls.get(request_id)
        if found is None:
            return False
        _end(found, error or cancelled())
        return True

    def cancel_anywhere(self, request_id: str, actor: Actor) -> None:
        """End one call, whichever worker runs it; written to the audit log. Raises
        StoreUnavailable when the call runs elsewhere and the store is away."""
        is_here = self.cancel(request_id)
        now = self.now()

        def write(session: Session) -> None:
            audit.record(session, actor, "call.cancel", "call", request_id, request_id, now=now)
            if not is_here:
                payload = {"request_id": request_id}
                workers.send(session, "cancel", payload, now=now)

        try:
            self.store.write(write)
        except StoreUnavailable:
            if not is_here:
                raise
            log.warning("that %s cancelled a call could not be recorded", actor.name)

    def cancel_where(
        self, matches: Callable[[CallStats], bool], error: Callable[[], GatewayError] = cancelled
    ) -> int:
        """End the calls of this worker that match; gives how many there were."""
        calls = [call for call in self._calls.values() if matches(call.stats)]
        for call in calls:
            _end(call, error())
        return len(calls)

    # -- other workers -----------------------------------------------------------------------------

    def exchange(self) -> None:
        """Follow commands of other workers, and write what is due; a few times a second."""
        self._listen()
        self._publish()

    def _listen(self) -> None:
        version = self.versions.of("commands")
        if version == self._seen:
            return
        if self._seen == -1:  # what was commanded before we began is not for us
            self._first_command = self.store.read(workers.last_command) + 1
        # numbers are given before the commit, so a lower one may appear after a higher one
        after = max(self._first_command, self._last_command - _LATE_COMMANDS) - 1
        for command in self.store.read(workers.commands_after, after, self.name()):
            self._last_command = max(self._last_command, command.id)
            if command.id not in self._obeyed:
                self._obeyed.append(command.id)
                self._obey(command)
        self._seen = version

    def _obey(self, command: workers.Command) -> None:
        match command.kind:
            case "watch":
                self._watched_until_s = self.clock() + WATCHED_S
            case "cancel":
                self.cancel(str(command.payload.get("request_id", "")))
            case other:
                log.debug("ignoring unknown command %s", other)

    def _publish(self) -> None:
        now_s = self.clock()
        if now_s >= self._watched_until_s or now_s - self._published_s < PUBLISH_S:
            return
        self._published_s = now_s
        calls = msgspec.to_builtins(self.snapshot())
        at = self.now().isoformat()
        self.store.write(workers.publish, self.name(), {"at": at, "calls": calls})

    def _shown(self, call: ActiveCall, now_s: float) -> LiveCall:
        stats = call.stats
        admission = stats.admission
        first_s = stats.first_token_s
        speed = None
        if first_s is not None and now_s > first_s and stats.records > 1:
            speed = stats.records / (now_s - first_s)
        position, waiting = call.queue_position if stats.phase == "queued" else (0, 0)
        return LiveCall(
            request_id=admission.request_id,
            worker=admission.worker,
            started_at=admission.created_at,
            elapsed_s=now_s - stats.started_s,
            key_id=admission.key_id,
            key_name=admission.key_name,
            model_id=admission.model_id,
            model=admission.model,
            endpoint=admission.endpoint,
            streamed=admission.streamed,
            phase=self._phase(stats),
            position=position,
            waiting=waiting,
            tokens=stats.records,
            tokens_per_s=speed,
            server_id=stats.server_id,
            server_name=stats.server_name,
            client_ip=admission.client_ip,
            client_app=admission.client_app,
        )

    def _phase(self, stats: CallStats) -> str:
        model_id = stats.admission.model_id
        if stats.phase != "loading" or stats.server_id is None or model_id is None:
            return stats.phase
        return "prefill" if self.is_loaded(stats.server_id, model_id) else "loading"


def _end(call: ActiveCall, error: GatewayError) -> None:
    try:
        call.cancel(error)
    except Exception:
        log.exception("ending a call failed")


def _read_calls(state: workers.WorkerState, since: datetime) -> list[LiveCall]:
    """Read what another worker wrote since then; what cannot be read is left out."""
    at = state.snapshot.get("at")
    if not isinstance(at, str) or datetime.fromisoformat(at) < since:
        return []
    calls = []
    for entry in state.snapshot.get("calls", ()):
        try:
            calls.append(msgspec.convert(entry, LiveCall))
        except msgspec.ValidationError:
            log.debug("a call of worker %s cannot be read", state.name)
    return calls
