"""What a call's own greenlet does: from the queue to the last token, as plain blocking code."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from gateway.calls import attempts, failures
from gateway.calls.attempts import Attempt
from gateway.calls.explanation import Sent
from gateway.calls.prepare import PreparedCall
from gateway.core.chat import Request
from gateway.core.events import Event, Failed, Finish, Usage
from gateway.errors import ContextOverflow, GatewayError
from gateway.ollama import wire
from gateway.policy import context
from gateway.policy.emulation import answer
from gateway.policy.emulation.plans import Sink
from gateway.scheduling.loading import kept
from gateway.scheduling.tickets import Slot

if TYPE_CHECKING:
    from gateway.calls.active_call import ActiveCall


def produce(active: ActiveCall, choice: int) -> None:
    """Put the events of one choice into the call's channel, from the model asked for or from one
    of its fallbacks. Raises the error the choice ends with."""
    prepared = active.prepared
    while True:
        try:
            answer.produce(
                prepared.request,
                prepared,
                active.behaviour,
                run=partial(_run, active, prepared, choice),
                sink=partial(active.put, choice),
                notice=active.stats.note_ignored,
            )
            return
        except GatewayError as error:
            following = active.fall_back(prepared, error)
            if following is None:
                raise
            prepared = following


def _run(
    active: ActiveCall, prepared: PreparedCall, choice: int, request: Request, sink: Sink
) -> None:
    """Make one upstream call, on one server after another, and hand its events to `sink`; with a
    larger window where the prompt did not fit and it may grow."""
    options = request.params.options
    num_ctx = options.get("num_ctx")
    wish = context.wish(
        prepared.context_policy,
        estimate=prepared.estimate,
        answer=max(options.get("num_predict") or 0, 0),
        asked=num_ctx or 0,
        steps=prepared.context_steps,
        cap=prepared.context_cap,
    )
    last: Attempt | None = None
    sent = 0

    def ask(attempt: Attempt, slot: Slot) -> None:
        nonlocal last, sent
        last, asked = attempt, request
        if wish is not None:
            sent = slot.deployment.use_window(
                wish, time.monotonic(), active.behaviour.context_shrink_after_s
            )
            params = replace(request.params, options={**options, "num_ctx": sent})
            asked = replace(request, params=params)
        if prepared.may_be_pinned:
            asked = replace(asked, params=kept(asked.params, prepared.model, slot.server.id))
        active.stats.on_sent(slot, Sent(prepared, asked, choice, took_step=wish is not None))
        _ask(prepared, choice, asked, sink, attempt, slot)

    try:
        while True:
            try:
                attempts.run(active, prepared, wish.tokens if wish else num_ctx, ask)
                return
            except ContextOverflow as error:
                has_begun = last is not None and last.begun  # a second answer would follow it
                wish = None if wish is None or has_begun else wish.after(sent, error.detail)
                if wish is None:
                    raise
    except GatewayError as error:
        finish = failures.cut_by_limit(error, request, prepared.estimate)
        if finish is None:
            format_param = prepared.call.format_param
            raise failures.in_context(error, prepared.request, format_param) from error
        sink([finish])


def _ask(
    prepared: PreparedCall,
    choice: int,
    request: Request,
    sink: Sink,
    attempt: Attempt,
    slot: Slot,
) -> None:
    """Ask one server."""
    body = prepared.run(wire.encode, request, prepared.model.name, choice)
    decoder = wire.Decoder()
    feed = decoder.feed
    most = prepared.most_tokens + 1 if prepared.most_tokens else sys.maxsize  # and the last record
    with slot.client.post(wire.path_of(request), body) as upstream:
        for lines in upstream.lines():
            if not attempt.records:
                slot.on_first_token()
            attempt.records += len(lines)
            events = feed(lines)
            del lines[:]  # one may be of 8 MB, and its client slow
            if not events:
                continue
            if type(events[-1]) is Failed:
                _fail(events, sink, attempt)
            attempt.begun = True
            sink(events)
            if attempt.records > most and not decoder.finished:  # it ignores num_predict
                sink([Finish("length", Usage(prepared.estimate, attempt.records, estimated=True))])
                return
        events = decoder.end()
        if events and type(events[-1]) is Failed:
            _fail(events, sink, attempt)
        if events:
            sink(events)


def _fail(events: list[Event], sink: Sink, attempt: Attempt) -> NoReturn:
    """Hand on what came before a failure, then raise its error."""
    failed = events.pop()
    if events:
        attempt.begun = True
        sink(events)
    assert isinstance(failed, Failed)
    raise failed.error
