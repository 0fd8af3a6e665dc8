"""One admitted call from its first check to its last count, with everything it holds.

    consumer   the greenlet of the request: reads the channel and writes to the client
    producers  tasks that make the choices, each of them one after another: wait for a slot, read
               Ollama, fill the channel
    monitor    looks at every active call a few times a second, and may cancel it

`cancel` is one thing for every reason: client gone, administrator, revoked key, shutdown, time
limit. The first reason wins; the channel ends at once, then the producers are interrupted. Leaving
the block ends whatever still runs and settles the record, exactly once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.calls.attempts import Attempt
from gateway.calls.channel import Channel
from gateway.calls.explanation import explain, header_of, params_of
from gateway.calls.prepare import PreparedCall, Preparer, measure
from gateway.calls.records import Caller, CallRecords, admission_of
from gateway.calls.sessions import Session
from gateway.calls.stats import CallStats
from gateway.core.chat import EMPTY, Envelope, Json
from gateway.core.events import Batch, Event, Finish, TextDelta
from gateway.core.usage import Settlement
from gateway.errors import ClientGone, ContextOverflow, GatewayError, Unavailable, fault
from gateway.limits.limiter import Lease, Limiter
from gateway.logs import REQUEST_ID
from gateway.policy import background
from gateway.policy.estimate import Factors
from gateway.runtime import tasks
from gateway.scheduling.scheduler import Scheduler
from gateway.schemas.settings import RuntimeSettings

if TYPE_CHECKING:
    from gateway.calls.monitor import Monitor
    from gateway.calls.registry import ActiveCalls

log = logging.getLogger(__name__)

_JOIN_S = 1.0
"""How long the end of a call waits for its producers; the monitor interrupts them again."""


@dataclass(frozen=True, slots=True)
class CallParts:
    """What calls use. `max_calls` is how many a process may hold: health and the console need some
    connections as well (load-8)."""

    behaviour: Callable[[], RuntimeSettings]
    preparer: Preparer
    scheduler: Scheduler
    limiter: Limiter
    registry: ActiveCalls
    monitor: Monitor
    records: CallRecords
    factors: Factors
    max_calls: int


class ActiveCall:
    """A call in progress. A context manager; `cancel` may come from anywhere.

    `attempts` are the tries under way, one a choice. `committed` tells that the head of a stream
    has left: an error is an event from then on, and no other model may answer.
    """

    def __init__(
        self, parts: CallParts, prepared: PreparedCall, caller: Caller, body: Mapping[str, Json]
    ) -> None:
        self.parts = parts
        self.prepared = prepared
        self.caller = caller
        self.behaviour = behaviour = parts.behaviour()
        self.is_background = background.is_background(prepared.call, caller.application)
        self.session: Session = (
            prepared.key.id,
            background.session_of(prepared.call.body, caller.session, caller.address),
            prepared.model.weights or prepared.model.name,
        )
        self.created = int(time.time())
        self.seed = os.urandom(16).hex()
        self.stats = CallStats(
            admission_of(prepared, caller),
            choices_a_prompt=prepared.request.n,
            prompt_estimate=prepared.estimate,
            has_one_prompt=prepared.has_one_prompt,
        )
        log_bodies = prepared.key.log_bodies
        if behaviour.log_bodies if log_bodies is None else log_bodies:
            self.stats.keep_bodies(body, behaviour.body_max_kb << 10)
        self.channel = Channel(self._ping_note)
        self.attempts: list[Attempt] = []
        self.reason: GatewayError | None = None
        self.consumer = tasks.getcurrent()
        self.committed = False
        self.expires_at = prepared.key.expires_at
        self.tasks: list[tasks.Task[None]] = []
        self._running = 0
        self._endings: dict[int, Sequence[Event]] = {}
        self._lease: Lease | None = None
        self._is_closed = False

    # -- from admission to settlement ----------------------------------------------------------

    def __enter__(self) -> ActiveCall:
        parts, stats = self.parts, self.stats
        parts.records.admit(stats.admission)
        try:
            if len(parts.registry) >= parts.max_calls:
                raise Unavailable(
                    "The gateway holds as many calls as it can; try again.",
                    headers={"Connection": "close"},
                )
            self._lease = parts.limiter.admit(
                self.prepared.key,
                self.prepared.reservation,
                prompt=self.prepared.estimate,
                form=self.caller.form,
            )
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self.prepared = self._bounded(self.prepared)
        parts.registry.add(self)
        parts.monitor.watch(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, GatewayError):
            self.stats.fail(error)
        elif isinstance(error, Exception):
            self.stats.fail(fault(self.caller.request_id))
        self.close()

    def close(self) -> None:
        """End what still runs and settle. Only the first time; waits a second at most."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            running = [task for task in self.tasks if not task.ended]
            if running:
                self.cancel(ClientGone("The client closed the connection."))
                end_s = time.monotonic() + _JOIN_S
                for task in running:
                    task.wait(max(end_s - time.monotonic(), 0.0))
        finally:
            self.parts.monitor.unwatch(self)
            self.parts.registry.remove(self)
            self._settle()

    def start(self, work: Callable[[int], None], choices: int = 1) -> None:
        """Run `work(choice)` for each choice, as many at once as the key may run calls."""
        self._running = choices
        at_once = (self._lease.concurrent if self._lease else 0) or choices
        rest = iter(range(choices))
        self.tasks = [tasks.spawn(self._produce, work, rest) for _ in range(min(choices, at_once))]
        if self.reason is not None:  # cancelled before there was anything to interrupt
            self._interrupt(self.reason)

    def cancel(self, reason: GatewayError) -> None:
        """End the call; `reason` says why. From anywhere; never waits."""
        if self.reason is None:
            self.reason = reason
            self.channel.finish(reason)
            self._interrupt(reason)

    def _interrupt(self, reason: GatewayError) -> None:
        for task in self.tasks:
            task.interrupt(reason)

    # -- the producers -------------------------------------------------------------------------

    def put(self, choice: int, events: Sequence[Event]) -> None:
        """Count events of a choice and hand them to the consumer. The end of a choice waits until
        its task holds nothing any more."""
        stats = self.stats
        if stats.answers and type(events[-1]) is TextDelta:  # nearly always: a token of text
            stats.records += len(events)
        else:
            stats.on_events(events, choice)
        if type(events[-1]) is Finish:
            self._endings[choice] = events
        else:
            self.channel.put((choice, events))

    def fall_back(self, failed: PreparedCall, error: GatewayError) -> PreparedCall | None:
        """Return the call as another model may answer it after a failure; None when the failure
        stands. Then it says all it can."""
        if isinstance(error, ContextOverflow):
            measure(error, failed, self.stats.window)
        if self.committed or self.channel.put_count or self.reason is not None:
            return None
        following = self.parts.preparer.fall_back(failed, error)
        if following is not None:
            self.prepared = following = self._bounded(following)
            self.stats.on_fallback(following.model)
        return following

    def _produce(self, work: Callable[[int], None], rest: Iterator[int]) -> None:
        REQUEST_ID.set(self.caller.request_id)
        try:
            if self.is_background:
                self.stats.on_held_back(self.parts.registry.sessions.wait(self.session))
            for choice in rest:
                work(choice)
                self._end(choice)
        except GatewayError as error:
            self._fail(error)
        except Exception:
            log.exception("a call failed in the gateway")
            self._fail(fault(self.caller.request_id))

    def _fail(self, error: GatewayError) -> None:
        """End the call with an error, without what would keep sockets and slots of its frames."""
        error.__cause__ = error.__context__ = None
        self.cancel(error.with_traceback(None))

    def _end(self, choice: int) -> None:
        """Hand over the end of a choice. A client that reacts to it at once finds the slot free and
        its key's limits given back."""
        self._running -= 1
        if not self._running:
            with tasks.shield():  # counts that were given back by half would stay taken
                self._give_back(self.stats.settlement(time.monotonic()))
        ending = self._endings.pop(choice, None)
        if ending is not None:
            self.channel.put((choice, ending))
        if not self._running:
            self.channel.finish()

    # -- the consumer --------------------------------------------------------------------------

    def first(self) -> list[Batch] | None:
        """Wait for the first events, or until the head has to leave without any (D33). Raises the
        error that came instead: it is still a status."""
        batches = self.channel.get()
        self.committed = self.stats.head_sent = True
        return batches

    def batches(self) -> Iterator[Batch]:
        """Yield what the producers give, to the end. Raises the error the call ends with."""
        while (batches := self.channel.get()) is not None:
            yield from batches

    def envelope(self) -> Envelope:
        """Return what the answer carries around the model's words."""
        prepared, behaviour = self.prepared, self.behaviour
        return Envelope(
            seed=self.seed,
            created=self.created,
            call=prepared.call,
            request_id=self.caller.request_id,
            prompt_estimate=prepared.estimate,
            reasoning_field=prepared.reasoning_field,
            usage_on_finish_chunk=behaviour.usage_on_finish_chunk,
            sse_keepalive=behaviour.sse_keepalive,
            choices=prepared.request.choices,
        )

    def headers(self) -> dict[str, str]:
        """Return the headers of ignored fields, server, fallback, window, queue and limits."""
        lease, prepared, stats = self._lease, self.prepared, self.stats
        found = {} if lease is None else dict(lease.headers_for(self.caller.form))
        ignored = (*prepared.call.ignored, *prepared.ignored, *stats.ignored)
        if ignored:
            found["x-gateway-ignored"] = ", ".join(dict.fromkeys(ignored))[:1000]
        if self.behaviour.server_header and stats.server_name:
            found["x-gateway-server"] = _header(stats.server_name)
        if prepared.fallback_of:
            found["x-gateway-fallback"] = _header(prepared.model.display_name)
        if stats.window and prepared.has_one_prompt:
            prompt = prepared.estimate if stats.usage is None else stats.usage.prompt_tokens
            found["x-gateway-context"] = f"{prompt}/{stats.window}"
        position, length = self.queue_position
        if position:
            found["x-gateway-queue"] = f"{position}/{length}"
        return found

    def reasons(self) -> dict[str, str]:
        """Return the headers for a client that asks why: parameters, and the choice of the server
        as far as it is made."""
        found = {
            "x-gateway-explain-params": header_of(params_of(self.prepared, self.stats.sent)),
            "x-gateway-explain-route": _header(self.stats.route_reason),
        }
        return {name: value for name, value in found.items() if value}

    def explanation(self) -> Mapping[str, Json]:
        """Return which parameters are in force, who decided them, and what went to Ollama."""
        return explain(self.prepared, self.stats.sent)

    @property
    def queue_position(self) -> tuple[int, int]:
        """The place in the queue and its length; (0, 0) while the call does not wait."""
        for attempt in self.attempts:
            if attempt.slot is None and attempt.ticket is not None:
                position, length = self.parts.scheduler.position(attempt.ticket)
                return (position, length) if position else (0, 0)
        return 0, 0

    def _ping_note(self) -> str:
        position, length = self.queue_position
        return f"keep-alive, queued {position}/{length}" if position else "keep-alive"

    def _bounded(self, prepared: PreparedCall) -> PreparedCall:
        """Bound each choice to what is left of a budget beside the prompt (and at least one)."""
        room = None if self._lease is None else self._lease.holds.room
        if room is None:
            return prepared
        request = prepared.request
        limit = max(1, (room - prepared.estimate) // request.choices)
        asked = request.params.options.get("num_predict")
        if not isinstance(asked, int) or asked < 0 or asked > limit:
            options = {**request.params.options, "num_predict": limit}
            params = replace(request.params, options=options)
            provenance = {**prepared.provenance, "num_predict": "budget"}
            prepared = replace(
                prepared, request=replace(request, params=params), provenance=provenance
            )
        return replace(prepared, most_tokens=limit)

    # -- settling --------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Report the end to whoever counts. One that fails is logged and does not stop the next.

        The record comes first: it never waits, and a worker that ends kills whoever waits here.
        """
        stats, error = self.stats, self.channel.error
        if stats.error is None and (error is not None or not stats.finish):
            stats.fail(error or ClientGone("The client closed the connection."))
        explained, body = EMPTY, None
        try:
            explained, body = self.explanation(), stats.upstream_body
        except Exception:
            log.exception("explaining a call failed")
        settlement = stats.settlement(time.monotonic(), explained, body)
        for report in (self._report, self._learn, self._give_back):
            try:
                report(settlement)
            except Exception:
                log.exception("settling a call failed")

    def _give_back(self, settlement: Settlement) -> None:
        if self._lease is not None:
            self._lease.settle(settlement.total_tokens, counted=settlement.is_counted)

    def _learn(self, settlement: Settlement) -> None:
        """Teach the estimates what the prompt took, unless the count is a sum of passes or what was
        left of a prompt that Ollama cut."""
        prepared, usage = self.prepared, self.stats.usage
        is_sum = self.stats.upstream_calls > prepared.request.choices
        if usage is not None and not (usage.estimated or settlement.cut or is_sum):
            self.parts.factors.learn(prepared.model.name, prepared.size, usage.prompt_tokens)

    def _report(self, settlement: Settlement) -> None:
        self.parts.records.settle(self.stats.admission, settlement, self.caller)


def _header(text: str) -> str:
    """Make a name safe for a header line: ASCII, no control characters."""
    if text.isascii() and text.isprintable():
        return text[:100]
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:100]
