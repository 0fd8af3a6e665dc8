"""One call on its way through: place in the queue, Ollama's stream, the checks on it, and the
count.

An `Answer` is a resource. While open it holds, for each choice, at most one slot and one upstream
call; leaving its block
gives everything back, whatever state the generators are in. Generators in here only transform.

    attempt    one upstream call, repeated on another server while nothing was sent (D50)
    fidelity   attempts that together keep a promise Ollama cannot: forced calls, verified JSON,
    the thinking ladder
    batches    what a dialect gets: events, with a `Ping` where nothing else is said

An empty batch is a tick: time passed, nothing came.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import ceil
from types import TracebackType

from gateway.calls import failures
from gateway.calls.holds import Hold, patience_s, start
from gateway.calls.outlet import Outlet
from gateway.calls.prepare import Prepared, measure
from gateway.calls.retries import Retries
from gateway.calls.stats import Tally
from gateway.core.behaviour import Behaviour
from gateway.core.chat import Request
from gateway.core.events import Batch, Event, Failed, Ping
from gateway.errors import ClientGone, ContextOverflow, GatewayError
from gateway.ollama import wire
from gateway.policy.emulation import emulation
from gateway.runtime import tasks
from gateway.scheduling.scheduler import Scheduler

log = logging.getLogger(__name__)

TICK: tuple[Event, ...] = ()
TICK_S = 1.0
"""How often a call that waits is looked at; a comment may be early by so much."""


class Answer:
    """The answer to one prepared call. A context manager; `cancel` may come from anywhere."""

    def __init__(
        self,
        prepared: Prepared,
        tally: Tally,
        scheduler: Scheduler,
        behaviour: Behaviour,
        fall_back: Callable[[Prepared, GatewayError], Prepared | None],
    ) -> None:
        self.prepared = prepared
        self.tally = tally
        self._scheduler = scheduler
        self._behaviour = behaviour
        self._fall_back = fall_back
        self._held: list[Hold] = []
        self._stop: GatewayError | None = None
        self._sent = False
        self._tells_sent = False
        self._commit_by_s = 0.0
        self._source: Iterator[Batch] | None = None
        self._waiting: Batch | None = None
        self._tick_s = min(TICK_S, behaviour.sse_comment_interval_s / 10)
        self._outlet = Outlet(tally)
        self.words = self._outlet.words

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop = self._stop or ClientGone("the call is over")
        source, self._source = self._source, None
        if source is not None and not _is_running(source):
            source.close()  # type: ignore[attr-defined]  # always a generator
        for hold in self._held[:]:
            hold.cancel()
            hold.release()

    @property
    def place(self) -> tuple[int, int]:
        """The place in line and the length of the line; (0, 0) while the call does not wait."""
        for hold in self._held[:]:
            if hold.ticket is not None and hold.slot is None:
                place, length = hold.ticket.ahead
                return (place, length) if place else (0, 0)
        return 0, 0

    @property
    def has_begun(self) -> bool:
        """Whether the first events are there and wait to be taken."""
        return self._waiting is not None

    @property
    def stopped(self) -> GatewayError | None:
        """Why the call was ended from outside, if it was."""
        return self._stop

    def cancel(self, error: GatewayError) -> None:
        """End the call; `error` says why: the client left, an admin cancelled, we shut down."""
        if self._stop is None:
            self._stop = error
            for hold in self._held[:]:
                hold.cancel()

    def bound(self, tokens: int) -> None:
        """Let the answer have at most `tokens`: what is left of a budget (and at least one)."""
        request = self.prepared.request
        limit = max(1, tokens // request.choices)
        asked = request.params.options.get("num_predict")
        if not isinstance(asked, int) or asked < 0 or asked > limit:
            options = {**request.params.options, "num_predict": limit}
            params = replace(request.params, options=options)
            self.prepared = replace(self.prepared, request=replace(request, params=params))

    # -- what the views use ---------------------------------------------------------------------

    def send(self) -> None:
        """Send the request, if nobody is before it, and wait for nothing: what can be made ready
        without the answer is made while Ollama works. `begin` follows, and tells what failed."""
        commit_s = self._behaviour.stream_commit_ms / 1000
        self._commit_by_s = time.monotonic() + commit_s
        # a whole number of looks ends when the head must go out
        self._tick_s = max(commit_s / max(ceil(commit_s / self._tick_s), 1), 0.001)
        self._tells_sent = True
        self._waiting = self._step()

    def begin(self) -> None:
        """Wait for the first events, at most `stream_commit_ms` after `send` (D33), which is done
        here where nobody did it.

        Raises the error that came instead: it still has a status.
        """
        if not self._tells_sent:
            self.send()
        while self._waiting is None:
            left_s = self._commit_by_s - time.monotonic()
            if left_s <= 0:
                break
            self._tick_s = min(self._tick_s, left_s)
            self._waiting = self._step()
        if self._waiting is not None:
            first = self._waiting[1][0]
            if isinstance(first, Failed):
                raise first.error
        self._tick_s = min(TICK_S, self._behaviour.sse_comment_interval_s / 10)
        self._sent = self.tally.head_sent = True

    def whole(self) -> Iterator[Batch]:
        """Yield the batches of an answer that is not streamed. Raises instead of giving
        `Failed`."""
        for choice, events in self._open():
            if events:
                self.tally.see(events, choice)
                if isinstance(events[-1], Failed):
                    raise events[-1].error
                yield choice, events

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of a streamed answer, pings where it is silent; ends with `Finish` or
        `Failed`."""
        source = self._open()
        comment_s = self._behaviour.sse_comment_interval_s
        chunk_s = self._behaviour.sse_chunk_interval_s
        tick_s = self._tick_s
        said_s = loud_s = time.monotonic()  # 0: something was said, nobody looked when
        first, self._waiting = self._waiting, None
        if first is not None:
            self._outlet.give(first)
            yield first
            self._outlet.taken()
            said_s = 0.0
        for batch in source:
            if batch[1]:
                self._outlet.give(batch)
                yield batch
                self._outlet.taken()
                said_s = 0.0
                if isinstance(batch[1][-1], Failed):
                    return
                continue
            now_s = time.monotonic()
            if not said_s:
                said_s = loud_s = now_s - tick_s
            if now_s - said_s > comment_s - tick_s:  # the next look would be too late
                loud = now_s - loud_s >= chunk_s
                said_s = now_s
                loud_s = now_s if loud else loud_s
                ping = 0, (Ping(loud, self._ping_note()),)
                self._outlet.give(ping)
                yield ping
                self._outlet.taken()

    def is_stuck(self) -> bool:
        """Whether the caller has taken nothing of what we write for longer than it may."""
        return self._outlet.is_stuck(self._behaviour.client_write_timeout_s)

    def _ping_note(self) -> str:
        place, length = self.place
        return f"keep-alive, queued {place}/{length}" if place else "keep-alive"

    def _step(self) -> Batch | None:
        """Return the next batch; None where it is a tick."""
        batch = next(self._open())
        return batch if batch[1] else None

    # -- one choice after the other, or all at once ----------------------------------------------

    def _open(self) -> Iterator[Batch]:
        if self._source is None:
            choices = self.prepared.request.choices
            self._source = self._one(0) if choices == 1 else self._many(choices)
        return self._source

    def _one(self, choice: int) -> Iterator[Batch]:
        """Yield one choice's batches, from the model asked for or its fallbacks. Never raises."""
        prepared = self.prepared
        try:
            while True:
                for events in self._answers(prepared, choice):
                    if events and isinstance(events[-1], Failed):
                        following = self._following(prepared, events[-1].error)
                        if following is not None:
                            prepared = self.prepared = following
                            self.tally.take_over(following.model)
                            break
                    yield choice, events
                else:
                    return
        except Exception as error:
            yield choice, (Failed(self._fault(error)),)

    def _many(self, choices: int) -> Iterator[Batch]:
        """Run every choice beside the others; the first failure ends all (D37)."""
        box: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        for choice in range(choices):
            tasks.spawn(self._pump, choice, box)
        running = choices
        while running:
            try:
                batch = box.get(timeout=self._tick_s)
            except queue.Empty:
                yield 0, TICK
                continue
            if batch is None:
                running -= 1
                continue
            yield batch
            if batch[1] and isinstance(batch[1][-1], Failed):
                return

    def _pump(self, choice: int, box: queue.SimpleQueue[Batch | None]) -> None:
        try:
            for batch in self._one(choice):
                box.put(batch)
        finally:
            box.put(None)

    def _fault(self, error: Exception) -> GatewayError:
        """Return the failure a caller is told of when something broke in here."""
        if isinstance(error, GatewayError):
            return error
        log.exception("an answer broke in the gateway")
        request_id = self.tally.admission.request_id
        return GatewayError(f"The gateway failed on this request (request id {request_id}).")

    def _following(self, prepared: Prepared, error: GatewayError) -> Prepared | None:
        """Return what may be tried after a failure, None when it stands; then it says all it
        can."""
        if isinstance(error, ContextOverflow):
            measure(error, prepared, self.tally.loaded_tokens)
        if self._sent or self._stop is not None:
            return None
        return self._fall_back(prepared, error)

    def _answers(self, prepared: Prepared, choice: int) -> Iterator[Sequence[Event]]:
        def attempt(request: Request) -> Iterator[Sequence[Event]]:
            return self._attempt(prepared, request, choice)

        return emulation.answers(
            prepared.request, prepared, self._behaviour, attempt, self.tally.note_ignored
        )

    # -- one upstream call -------------------------------------------------------------------------

    def _attempt(
        self, prepared: Prepared, request: Request, choice: int
    ) -> Iterator[Sequence[Event]]:
        """Run one upstream call; once more elsewhere if the first could not begin (D50)."""
        retries = Retries(patience_s(prepared, self._behaviour))
        # comments that kept the line alive are no part of an answer: it may still begin
        begun = False
        while True:
            try:
                for events in self._call(prepared, request, choice, retries.excluded):
                    begun = begun or bool(events)
                    yield events
                return
            except GatewayError as error:
                failed = error if begun else retries.after(error, self.tally.server_id)
                if self._stop is not None or failed is not None:
                    yield (Failed(self._stop or failed or error),)
                    return
            yield from self._rest(retries.pause_s)

    def _rest(self, pause_s: float) -> Iterator[Sequence[Event]]:
        """Advance time, tick by tick; less when the call is ended."""
        until_s = time.monotonic() + pause_s
        while self._stop is None and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, self._tick_s))
            yield TICK

    def _call(
        self, prepared: Prepared, request: Request, choice: int, excluded: frozenset[int]
    ) -> Iterator[Sequence[Event]]:
        with Hold(self.tally, self._held, lambda: self._stop) as hold:
            hold.ticket = ticket = self._scheduler.ticket(
                prepared.model,
                prepared.key,
                num_ctx=request.params.options.get("num_ctx"),
                prefix=prepared.prefix,
                exclude=excluded,
            )
            slot = ticket.wait(0)
            while slot is None:
                yield TICK
                slot = ticket.wait(self._tick_s)
            hold.slot = slot
            self.tally.note(slot)
            if self._stop is not None:
                raise self._stop
            upstream = start(slot, prepared, request, choice, self._behaviour)
            hold.upstream = upstream  # from there it may be taken and closed at any time
            slot.on_server_down = hold.lose
            try:
                for _ in upstream.opening(self._tick_s, tells_sent=self._tells_sent):
                    yield TICK
                decoder = wire.Decoder()
                may_pass = request.choices == 1 and emulation.lets_text_pass(request)
                begun = False
                for lines in upstream.batches(self._tick_s):
                    if not begun and lines:
                        begun = True
                        slot.on_first_token()
                    events = decoder.feed(lines) if lines else TICK
                    if events and isinstance(events[-1], Failed):
                        if events[:-1]:
                            yield events[:-1]
                        raise events[-1].error
                    if may_pass and len(lines) == 1:
                        self._outlet.offer(events, upstream, decoder)
                    if events or not lines:
                        yield events
                end = decoder.end()
                if end:
                    yield end
            except GatewayError as error:
                told = self._stop or hold.lost or error
                hold.report(told)
                finish = failures.cut_by_limit(told, request, prepared.estimate)
                if finish is None:
                    format_param = prepared.call.format_param
                    told = failures.in_context(told, prepared.request, format_param)
                    if told is error:
                        raise  # with the cause it has
                    raise told from error
                yield [finish]
            hold.report(self.tally.error)


def _is_running(source: Iterator[Batch]) -> bool:
    return bool(getattr(source, "gi_running", False))
