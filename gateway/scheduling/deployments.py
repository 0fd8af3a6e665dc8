"""What the fleet knows of each server and of each model on it, and what follows from it.

A `Station` is one server, a `Lane` one model there. Both only keep state; `Fleet` holds the lock
around them, `Prober` feeds them.

**Slots.** Where an admin sets none they are learned, as Ollama does not tell them. A lane starts
with one, Ollama's default, and now and then lets up to twice as many calls in as it is sure of. As
soon as more calls answer at once than it was sure of, that number is proven. A trial that proves
nothing is repeated later and later, at last every ten minutes; a server that restarts is learned
anew. So Ollama's own queue, in which nobody is fair, holds at most as many calls as are running,
and only during a trial.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.core.catalog import Loaded, Server, ServerState, ServerView
from gateway.policy import breaker
from gateway.policy.breaker import Breaker

if TYPE_CHECKING:
    from gateway.ollama.client import OllamaClient

FIRST_TRIAL_PAUSE_S = 5.0
LONGEST_TRIAL_PAUSE_S = 600.0
MAX_LEARNED = 1024
SHORT_CALL_SLOTS = 4
"""What a lane of an embedding model starts with: Ollama takes such calls one by one, and a short
queue there keeps it busy between them."""
UNKNOWN_CONTEXT = 1
"""In memory, with a window nobody told us."""
_BUSY_PAUSE_S = 1.0
_AVERAGE = 0.2
_LATENCIES = 60


class Lane:
    """One model on one server; a `policy.choose.Place`.

    `in_flight` counts our calls here and those other processes told us of (`foreign`). `own_slots`
    is what this process would let in at once, `slots` takes in what the others learned.
    """

    __slots__ = (
        "_first_slots",
        "_foreign_answering",
        "_foreign_slots",
        "_settled_s",
        "_trial_pause_s",
        "answering",
        "breaker",
        "context_tokens",
        "foreign",
        "in_flight",
        "learned",
        "name",
        "open",
        "own_slots",
        "paused_until_s",
        "resting",
        "server_id",
        "slots",
        "stalled",
        "station",
        "trial_at_s",
        "weight",
    )

    def __init__(self, station: Station, name: str, now_s: float, *, short_calls: bool) -> None:
        self.station = station
        self.name = name
        self.server_id = station.server.id
        self.weight = station.server.weight
        self.breaker = Breaker(limit=3, window_s=60.0, first_pause_s=5.0, longest_pause_s=300.0)
        self._first_slots = SHORT_CALL_SLOTS if short_calls else 1
        self.learned = self._first_slots
        self.trial_at_s = 0.0
        self._trial_pause_s = FIRST_TRIAL_PAUSE_S
        self.paused_until_s = 0.0
        self.in_flight = 0
        self.foreign = 0
        self._foreign_answering = 0
        self._foreign_slots = 0
        self.answering = 0
        self.context_tokens = 0
        self._settled_s: float | None = None
        self.slots = 1
        self.own_slots = 1
        self.open = True
        self.resting = False
        self.stalled = False
        self.look(now_s)

    @property
    def others(self) -> int:
        """Calls of other models on this server."""
        return self.station.in_flight - self.in_flight

    @property
    def own(self) -> int:
        """Calls of this process here."""
        return self.in_flight - self.foreign

    @property
    def expected_s(self) -> float | None:
        """How long a call took lately, seconds; None before the first has ended."""
        return self._settled_s

    def look(self, now_s: float) -> None:
        """Find out anew whether calls may come, and how many at once."""
        self.open = (
            self.station.open
            and now_s >= self.paused_until_s
            and (self.breaker.retry_at_s is None or self.breaker.allows(now_s))
        )
        self.resting = self.station.open and not self.open and not self.stalled
        fixed = self.station.server.slots
        is_trying = now_s >= self.trial_at_s
        own = min(self.learned * 2, MAX_LEARNED) if is_trying else self.learned
        self.own_slots = fixed or own
        self.slots = fixed or max(own, self._foreign_slots)
        if self.open and (fixed or is_trying):
            self.station.passing.discard(self)
        else:
            self.station.passing.add(self)

    def hear(self, running: int, answering: int, slots: int, now_s: float) -> None:
        """Take in what other processes run here, how many of these calls answer, and how many the
        boldest of them would let in at once."""
        self.in_flight += running - self.foreign
        self.station.in_flight += running - self.foreign
        self.foreign = running
        self._foreign_answering = answering
        if slots != self._foreign_slots:
            self._foreign_slots = slots
            self.look(now_s)

    def entered(self, now_s: float) -> None:
        """Count a call that begins."""
        self.in_flight += 1
        self.station.in_flight += 1
        self.breaker = breaker.called(self.breaker, now_s)
        self.station.breaker = breaker.called(self.station.breaker, now_s)
        self.look(now_s)

    def answered(self, now_s: float) -> None:
        """Count a call whose first piece of answer has come: it holds one of Ollama's slots."""
        self.answering += 1
        at_once = self.answering + self._foreign_answering
        if at_once > self.learned:
            self.learned = min(at_once, MAX_LEARNED)
            self._trial_pause_s = FIRST_TRIAL_PAUSE_S
        self.succeeded()
        self.look(now_s)

    def left(self, now_s: float, *, did_answer: bool, lasted_s: float) -> None:
        """Count a call that ended, however it did."""
        was_trying = self.in_flight > self.learned and now_s >= self.trial_at_s
        self.in_flight -= 1
        self.station.in_flight -= 1
        if did_answer:
            self.answering -= 1
            before = lasted_s if self._settled_s is None else self._settled_s
            self._settled_s = before + (lasted_s - before) * _AVERAGE
        if was_trying and did_answer:
            # a slot came free while extra calls still waited for one: there may be no more
            self.trial_at_s = now_s + self._trial_pause_s
            self._trial_pause_s = min(self._trial_pause_s * 2, LONGEST_TRIAL_PAUSE_S)
        self.look(now_s)

    def succeeded(self) -> None:
        """Note that a call went well: nothing is held against lane or server."""
        self.stalled = False
        self.breaker = breaker.succeeded(self.breaker)
        self.station.breaker = breaker.succeeded(self.station.breaker)
        if not self.context_tokens:
            self.context_tokens = UNKNOWN_CONTEXT

    def failed(self, now_s: float, *, certain: bool = False, stalled: bool = False) -> None:
        """Note a failure of this model here. One that `stalled` kept its caller waiting: until the
        model works again, others are spared that even where no other server is left."""
        self.stalled = stalled
        self.breaker = breaker.failed(self.breaker, now_s, certain=certain)
        self.look(now_s)

    def pause(self, now_s: float) -> None:
        """Let the server breathe: it said that it is busy."""
        self.paused_until_s = now_s + _BUSY_PAUSE_S
        self.look(now_s)

    def forget_slots(self) -> None:
        """Learn the slots anew: the server was restarted."""
        self.learned = self._first_slots
        self.trial_at_s = 0.0
        self._trial_pause_s = FIRST_TRIAL_PAUSE_S


class Station:
    """One server: its client, its health, its lanes."""

    def __init__(self, server: Server, client: OllamaClient) -> None:
        self.server = server
        self.client = client
        self.breaker = Breaker()
        self.lanes: dict[str, Lane] = {}
        self.passing: set[Lane] = set()
        """Lanes whose state changes by the mere passing of time."""
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
        self.seen_dead = False
        self.refresh_error = ""
        self.next_probe_s = 0.0
        self.probing = False

    def lane(self, name: str, now_s: float, *, short_calls: bool = False) -> Lane:
        """Return the lane of model `name`, made on first use."""
        lane = self.lanes.get(name)
        if lane is None:
            lane = self.lanes[name] = Lane(self, name, now_s, short_calls=short_calls)
            loaded = self.in_memory(name)
            if loaded is not None:
                lane.context_tokens = loaded.context_tokens or UNKNOWN_CONTEXT
        return lane

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

    def look(self, now_s: float) -> None:
        """Find out anew whether calls may come, for the server and each of its lanes."""
        server = self.server
        self.open = (
            server.enabled
            and not server.draining
            and not self.seen_dead
            and (self.breaker.retry_at_s is None or self.breaker.allows(now_s))
        )
        for lane in self.lanes.values():
            lane.weight = server.weight
            lane.look(now_s)

    def tick(self, now_s: float) -> None:
        """Let time have its effect, where it can have one."""
        if self.breaker.retry_at_s is not None:
            self.look(now_s)
        else:
            for lane in tuple(self.passing):
                lane.look(now_s)

    def probed(
        self,
        now_s: float,
        at: datetime,
        loaded: Mapping[str, Loaded],
        latency_ms: float,
        version: str,
    ) -> None:
        """Take in a probe that went well."""
        restarted = self.seen_dead or (bool(self.version) and version != self.version)
        if restarted:
            self.breaker = breaker.succeeded(self.breaker)
            for lane in self.lanes.values():
                lane.breaker = breaker.succeeded(lane.breaker)
                lane.forget_slots()
        self.seen_dead = False
        self.failed_probes = 0
        self.probe_error = ""
        self.version = version
        self.latency_ms = latency_ms
        self.latencies_ms.append(latency_ms)
        self.checked_at = at
        self.loaded = loaded
        for name, lane in self.lanes.items():
            model = self.in_memory(name)
            lane.context_tokens = 0 if model is None else model.context_tokens or UNKNOWN_CONTEXT
        self.look(now_s)

    def unreachable(self, now_s: float, at: datetime, reason: str, *, certain: bool) -> bool:
        """Take in a probe that failed; True when the server has just been found dead.

        A refused connection is `certain`; silence counts when it is met twice.
        """
        self.failed_probes += 1
        self.probe_error = reason
        self.checked_at = at
        was_dead = self.seen_dead
        self.seen_dead = was_dead or certain or self.failed_probes >= 2
        if self.seen_dead:
            self.loaded = {}
            for lane in self.lanes.values():
                lane.context_tokens = 0
        self.look(now_s)
        return self.seen_dead and not was_dead

    def retire(self, now_s: float) -> None:
        """Close a server that is gone; calls still running there end by themselves."""
        self.seen_dead = True
        self.probe_error = "It was removed."
        self.look(now_s)

    def state(self, now_s: float, waiting: Mapping[str, int]) -> tuple[ServerState, str]:
        """Return the state and its reason in words. `waiting` counts queued calls by model."""
        server = self.server
        if not server.enabled:
            return "draining", "It is switched off."
        if server.draining:
            running = _calls(self.in_flight)
            return "draining", f"It takes no new calls; {running} still running."
        if self.seen_dead:
            return "down", self.probe_error
        match self.breaker.state(now_s):
            case "open":
                return "down", "Too many calls failed; it is tried again in a moment."
            case "half_open":
                return "degraded", "It failed and is on trial with one call."
            case "closed":
                pass
        if self.checked_at is None:
            return "unknown", "It has not been asked yet."
        if self.probe_error:
            return "degraded", self.probe_error
        return self._working_state(now_s, waiting)

    def _working_state(self, now_s: float, waiting: Mapping[str, int]) -> tuple[ServerState, str]:
        ill = [lane.name for lane in self.lanes.values() if lane.breaker.retry_at_s is not None]
        if ill:
            return "degraded", f"Calls of {', '.join(sorted(ill))} fail here."
        if self.refresh_error:
            return "degraded", f"The list of models is old: {self.refresh_error}"
        lanes = self.lanes.values()
        loading = [lane.name for lane in lanes if lane.in_flight and not lane.context_tokens]
        if loading:
            return "loading", f"It is loading {', '.join(sorted(loading))}."
        full = [lane for lane in lanes if lane.in_flight >= lane.slots]
        queued = sum(waiting.get(lane.name, 0) for lane in full)
        if queued:
            return "busy", f"{_calls(self.in_flight)} running, {queued} waiting."
        return (
            "ready",
            "It answers." if not self.in_flight else f"{_calls(self.in_flight)} running.",
        )

    def view(self, now_s: float, waiting: Mapping[str, int]) -> ServerView:
        """Return what the console and the tests may see."""
        state, reason = self.state(now_s, waiting)
        lanes = self.lanes.values()
        return ServerView(
            server=self.server,
            state=state,
            reason=reason,
            healthy=self.open,
            version=self.version,
            names=self.names,
            loaded=dict(self.loaded),
            in_flight={lane.name: lane.in_flight for lane in lanes if lane.in_flight},
            slots=self.server.slots or max((lane.learned for lane in lanes), default=1),
            checked_at=self.checked_at,
            latency_ms=self.latency_ms,
            latencies_ms=tuple(self.latencies_ms),
        )


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"
