"""One server after another until one answers: the only loop of its kind (D50).

    unreachable, busy   on another server that has the model
    the runner died     on another server; where none is left, once more on the same one, since
                        Ollama starts a new runner by itself
    its queue is full   on another server; where none is left, on all of them again and again, as
                        long as a call may wait in the queue

Only while the upstream has sent nothing of the answer, and at most `MAX_TRIES` calls in all; a full
queue, which has computed nothing, does not count.

An `Attempt` is one try. `abort` ends it alone: its server was found dead or is silent for too long.
The call goes on with the next server, if there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from gateway.calls.prepare import PreparedCall
from gateway.errors import (
    ClientGone,
    GatewayError,
    RunnerDied,
    Unavailable,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.ollama import faults, time_limits
from gateway.runtime import tasks
from gateway.scheduling.tickets import Slot, Ticket
from gateway.schemas.settings import RuntimeSettings

if TYPE_CHECKING:
    from gateway.calls.active_call import ActiveCall

MAX_TRIES: Final = 3
PAUSE_S: Final = 1.0
"""So long a server whose queue is full is left alone."""
T = TypeVar("T")


class Limits(NamedTuple):
    """Time limits of one attempt, in seconds from when it got its slot; None for none: the wait for
    the first record, a silence after it, and all of it."""

    first_s: float | None
    idle_s: float
    total_s: float | None


def limits_of(prepared: PreparedCall, behaviour: RuntimeSettings) -> Limits:
    """Return the time limits of an attempt.

    One that somebody asked for bounds the whole call. The setting does so too for an answer that is
    not streamed; a stream that has begun may go on as long as it moves. How long Ollama takes to
    load the model and to read the prompt is no silence.
    """
    given_s = prepared.timeout_ms / 1000 if prepared.timeout_ms else None
    idle_s = float(behaviour.idle_timeout_s)
    if prepared.limits_start_only:
        return Limits(given_s, idle_s, None)
    return Limits(None, idle_s, given_s)


@dataclass(eq=False)
class Attempt:
    """One try on one server. A context manager: what it may be interrupted for ends with its block.

    `records` counts Ollama's lines, `begun` tells that a part of the answer was handed on.
    """

    active: ActiveCall
    limits: Limits
    ticket: Ticket | None = None
    slot: Slot | None = None
    error: GatewayError | None = None
    is_open: bool = False
    records: int = 0
    begun: bool = False
    _task: tasks.Task[Any] | None = field(default_factory=tasks.current)
    _started_s: float = 0.0
    _since_s: float = 0.0
    _seen: int = 0

    def __enter__(self) -> Attempt:
        self.is_open = True
        self.active.attempts.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self.is_open = False
        self.active.attempts.remove(self)
        if self.error is not None and self.active.reason is None and self._task is not None:
            self._task.resume()  # an abort that comes too late is void

    def abort(self, error: GatewayError) -> None:
        """End this attempt, and not the call. From anywhere; never waits."""
        if self.is_open and self.error is None and self._task is not None:
            self.error = error
            self._task.interrupt(error)

    def begin(self, slot: Slot) -> None:
        """Note that the attempt has its slot: its time begins."""
        self.slot = slot
        self._started_s = self._since_s = time.monotonic()
        slot.on_server_down = self.abort

    def overdue(self, now_s: float, *, is_held_up: bool) -> GatewayError | None:
        """Return the failure of an attempt that passed a limit. To be asked a few times a second;
        `is_held_up` tells that the client is too slow, and the server not silent."""
        if self.slot is None:
            return None  # the queue has a limit of its own
        first_s, idle_s, total_s = self.limits
        if total_s is not None and now_s - self._started_s >= total_s:
            sentence = time_limits.unfinished if self.records else time_limits.not_begun
            return UpstreamTimeout(sentence(total_s))
        if is_held_up or self.records != self._seen:
            self._seen, self._since_s = self.records, now_s
            return None
        limit_s = idle_s if self.records else first_s
        if limit_s is None or now_s - self._since_s < limit_s:
            return None
        return UpstreamTimeout(
            (time_limits.stopped if self.records else time_limits.not_begun)(limit_s)
        )


def run(
    active: ActiveCall,
    prepared: PreparedCall,
    num_ctx: int | None,
    work: Callable[[Attempt, Slot], T],
    unfit: frozenset[int] = frozenset(),
) -> T:
    """Return what `work` returns for the first server that does not fail and is not `unfit`.

    It holds the slot while it runs. Raises the error of the last try, unless that only says that no
    other server is left.
    """
    # where another model can take over, a full queue is not waited for
    patience_s = 0.0 if prepared.model.fallbacks else float(active.behaviour.queue_max_wait_s)
    retries = Retries(patience_s)
    while True:
        attempt = Attempt(active, limits_of(prepared, active.behaviour))
        try:
            with attempt:
                excluded = retries.excluded | unfit
                return _on_a_server(active, attempt, prepared, num_ctx, excluded, work)
        except tasks.Cancelled:
            if active.reason is not None or attempt.error is None:
                raise
            error = attempt.error
        except GatewayError as failure:
            error = failure
        server_id = None if attempt.slot is None else attempt.slot.server.id
        failed = error if attempt.begun else retries.after(error, server_id)
        if failed is not None:
            raise failed
        time.sleep(retries.pause_s)


def _on_a_server(
    active: ActiveCall,
    attempt: Attempt,
    prepared: PreparedCall,
    num_ctx: int | None,
    excluded: frozenset[int],
    work: Callable[[Attempt, Slot], T],
) -> T:
    """Wait for a slot, run `work`, and report to the scheduler how it ended."""
    attempt.ticket = active.parts.scheduler.ticket(
        prepared.model,
        prepared.key,
        num_ctx=num_ctx,
        prefix=prepared.prefix,
        exclude=excluded,
        is_background=active.is_background,
    )
    with attempt.ticket as slot:
        active.stats.on_slot(slot)
        attempt.begin(slot)
        try:
            result = work(attempt, slot)
        except GatewayError as error:
            slot.report(error)
            raise
        except BaseException:
            slot.report(attempt.error or active.reason or ClientGone("abandoned"))
            raise
        slot.report(None)
        return result


class Retries:
    """The tries of one upstream call.

    `excluded` are the servers the next try must not use, `pause_s` is how long it must wait.
    `patience_s` is how long a full queue is waited for.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.excluded: frozenset[int] = frozenset()
        self.pause_s = 0.0
        self._first: GatewayError | None = None
        self._left = MAX_TRIES - 1
        self._clock = clock
        self._until_s = clock() + patience_s

    def after(self, error: GatewayError, server_id: int | None) -> GatewayError | None:
        """Return the error to tell the caller, or None where the call may be tried again."""
        self.pause_s = 0.0
        first = self._first = self._first or error
        is_nobody_left = error is not first and error.code == "no_upstream_available"
        if is_nobody_left:
            error = first  # what happened says more than that nobody else is left
        if faults.is_full_queue(error) and (is_nobody_left or not self._left):
            return self._begin_anew(error)
        if not self._left:
            return error
        self._left -= 1
        if is_nobody_left:
            self.excluded = frozenset()
            return None if isinstance(first, RunnerDied) else error
        if server_id is None or server_id in self.excluded or not _may_repeat(error):
            return error
        self.excluded |= {server_id}
        return None

    def _begin_anew(self, error: GatewayError) -> GatewayError | None:
        """Forget the tries and wait a moment, unless the time is over; then return the error."""
        if self._clock() + PAUSE_S > self._until_s:
            return error
        self.excluded, self._first, self._left = frozenset(), None, MAX_TRIES - 1
        self.pause_s = PAUSE_S
        return None


def _may_repeat(error: GatewayError) -> bool:
    """Whether another try can succeed without costing a second whole answer."""
    return isinstance(error, UpstreamUnreachable | RunnerDied) or (
        isinstance(error, Unavailable) and error.code == "upstream_busy"
    )
