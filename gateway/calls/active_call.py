"""One admitted call from its first check to its last count, with everything it holds in the order
it is given back.

Views of machines and the playground use the same two steps: `start` a call, then read its answer
whole or in batches.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Generic, TypeVar

from gateway.calls.embeddings import EmbedAnswer
from gateway.calls.prepare import Prepared, fall_back, prepare, prepare_embedding
from gateway.calls.relay import Answer
from gateway.calls.stats import Tally, refusal
from gateway.core.chat import Call, ChatRequest, EmbedRequest, Envelope, Json
from gateway.core.keys import Key
from gateway.core.usage import Admission, Settlement
from gateway.errors import ClientGone, GatewayError, Unavailable
from gateway.limits.limiter import Lease
from gateway.policy import media
from gateway.policy.rate_window import Form
from gateway.runtime.identity import worker_name
from gateway.web.context import Services

log = logging.getLogger(__name__)

_CALLS_SHARE = 0.8
"""How much of a worker's connections calls may take."""

A = TypeVar("A", Answer, EmbedAnswer)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls what, and over which connection. `sock` is the client's socket where there is one,
    `their_id` what the caller calls the request, `form` that of its rate-limit headers."""

    request_id: str
    endpoint: str
    address: str = ""
    application: str = ""
    sock: Any = None
    traceparent: str = ""
    their_id: str = ""
    form: Form = "openai"


class Running(Generic[A]):
    """A call in progress. A context manager: leaving it settles everything exactly once."""

    def __init__(
        self,
        services: Services,
        prepared: Prepared,
        caller: Caller,
        answer: Callable[[Tally], A],
    ) -> None:
        self.services = services
        self.caller = caller
        self.created = int(time.time())
        self.seed = os.urandom(16).hex()
        self.tally = Tally(
            _admission(prepared, caller),
            choices_a_prompt=prepared.request.n,
            prompt_estimate=prepared.estimate,
        )
        self.answer: A = answer(self.tally)
        self._lease: Lease | None = None
        self._stack = ExitStack()

    @property
    def prepared(self) -> Prepared:
        """What is being answered; changes when a fallback model takes over."""
        return self.answer.prepared

    def __enter__(self) -> Running[A]:
        services, tally, key = self.services, self.tally, self.prepared.key
        with ExitStack() as stack:
            services.usage.admit(tally.admission)
            stack.callback(self._settle)
            try:
                self._check_room()
                self._lease = services.limiter.admit(
                    key,
                    self.prepared.reservation,
                    prompt=self.prepared.estimate,
                    form=self.caller.form,
                )
            except GatewayError as error:
                tally.fail(error)
                raise
            if self._lease.token_room is not None:
                self.answer.bound(self._lease.token_room - self.prepared.estimate)
            stack.enter_context(services.live.running(tally, self.answer.cancel, self._place))
            stack.enter_context(self.answer)
            watch = services.watcher.watch(self.caller.sock, self._client_left, self._is_stuck)
            stack.enter_context(watch)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, GatewayError):
            self.tally.fail(error)
        elif isinstance(error, Exception):
            self.tally.fail(GatewayError("The gateway failed on this request."))
        self._stack.pop_all().close()

    def envelope(self) -> Envelope:
        """Return what the answer carries around the model's words."""
        prepared, behaviour = self.prepared, self.services.settings.behaviour()
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
        """Return the headers that tell what was ignored, which server answers, what limits are
        left."""
        found = dict(self.limit_headers())
        ignored = (*self.prepared.call.ignored, *self.prepared.ignored, *self.tally.ignored)
        if ignored:
            found["x-gateway-ignored"] = ", ".join(dict.fromkeys(ignored))[:1000]
        behaviour = self.services.settings.behaviour()
        if behaviour.server_header and self.tally.server_name:
            found["x-gateway-server"] = _header(self.tally.server_name)
        if self.prepared.fallback_of:
            found["x-gateway-fallback"] = _header(self.prepared.model.display_name)
        place, length = self._place()
        if place:
            found["x-gateway-queue"] = f"{place}/{length}"
        return found

    def _check_room(self) -> None:
        """Refuse before connections run out: health and the console need some as well (load-8)."""
        room = self.services.config.worker_connections * _CALLS_SHARE
        if len(self.services.live) >= room:
            raise Unavailable("The gateway holds as many calls as it can; try again.")

    def _is_stuck(self) -> bool:
        return isinstance(self.answer, Answer) and self.answer.is_stuck()

    def _place(self) -> tuple[int, int]:
        return self.answer.place if isinstance(self.answer, Answer) else (0, 0)

    def limit_headers(self) -> Mapping[str, str]:
        """Return the rate-limit headers in the dialect's own form."""
        if self._lease is None:
            return {}
        return self._lease.headers_for(self.caller.form)

    def _client_left(self) -> None:
        self.answer.cancel(ClientGone("The client closed the connection."))

    def _settle(self) -> None:
        """Report the end to whoever counts. One that fails is logged and does not stop the next."""
        tally = self.tally
        if not tally.finish:
            tally.fail(self.answer.stopped or ClientGone("The client closed the connection."))
        settlement = tally.settlement(time.monotonic())
        for report in (self._give_back, self._learn, self._report):
            try:
                report(settlement)
            except Exception:
                log.exception("settling a call failed")

    def _give_back(self, settlement: Settlement) -> None:
        if self._lease is not None:
            try:
                self._lease.settle(settlement.total_tokens, counted=settlement.is_counted)
            finally:
                self._lease.release()

    def _learn(self, settlement: Settlement) -> None:
        prepared, tally = self.prepared, self.tally
        if tally.usage is not None and not tally.usage.estimated and not tally.has_images:
            self.services.factors.learn(
                prepared.model.name, prepared.units, tally.usage.prompt_tokens
            )

    def _report(self, settlement: Settlement) -> None:
        _tell(self.services, self.tally.admission, settlement, self.caller)


def start(
    services: Services, call: Call, key: Key, caller: Caller, body: Mapping[str, Json]
) -> Running[Answer]:
    """Resolve, check and prepare a call. Raises every refusal that needs no model.

    Nothing is held until the result is entered.
    """
    prepared = prepare(services, call, key)
    behaviour = services.settings.behaviour()

    def answer(tally: Tally) -> Answer:
        return Answer(
            prepared,
            tally,
            services.scheduler,
            behaviour,
            lambda failed, error: fall_back(services, failed, error),
        )

    return _kept(Running(services, prepared, caller, answer), body)


def start_embedding(
    services: Services, request: EmbedRequest, key: Key, caller: Caller, body: Mapping[str, Json]
) -> tuple[Running[EmbedAnswer], EmbedRequest]:
    """Do the same for an embedding call; gives the effective request beside it."""
    prepared, effective = prepare_embedding(services, request, key)
    behaviour = services.settings.behaviour()

    def answer(tally: Tally) -> EmbedAnswer:
        return EmbedAnswer(prepared, tally, services.scheduler, behaviour)

    return _kept(Running(services, prepared, caller, answer), body), effective


def refused(
    services: Services, key: Key, caller: Caller, requested_model: str, error: GatewayError
) -> None:
    """Record a call that was refused before it could be admitted, so that an admin can see why."""
    admission = Admission(
        request_id=caller.request_id,
        at=datetime.now(UTC),
        key_id=key.id,
        key_name=key.name,
        endpoint=caller.endpoint,
        model_id=None,
        model="",
        requested_model=requested_model[:200],
        streamed=False,
        client_ip=caller.address,
        client_app=caller.application,
        worker=worker_name(),
    )
    services.usage.admit(admission)
    _tell(services, admission, refusal(caller.request_id, error), caller)


def _tell(services: Services, admission: Admission, settlement: Settlement, caller: Caller) -> None:
    """Tell everybody who counts how a call ended: records, log, metrics, traces."""
    services.usage.settle(settlement)
    told = settlement.error_code or settlement.finish
    log.info(
        "%s %s %d %s, %d+%d tokens in %d ms, key %d%s%s",
        admission.endpoint,
        admission.model or admission.requested_model or "-",
        settlement.status,
        told,
        settlement.prompt_tokens,
        settlement.completion_tokens,
        settlement.duration_ms,
        admission.key_id or 0,
        f", user {admission.end_user[:64]!r}" if admission.end_user else "",
        f", their id {caller.their_id!r}" if caller.their_id else "",
    )
    services.metrics.settled(admission, settlement)
    services.traces.settled(admission, settlement, caller.traceparent)


def _kept(running: Running[A], body: Mapping[str, Json]) -> Running[A]:
    services = running.services
    if services.settings.keeps_bodies(running.prepared.key):
        running.tally.keep_bodies(body, services.settings.behaviour().body_max_kb << 10)
    running.tally.explain = running.prepared.explain
    return running


def _admission(prepared: Prepared, caller: Caller) -> Admission:
    request = prepared.request
    return Admission(
        request_id=caller.request_id,
        at=datetime.now(UTC),
        key_id=prepared.key.id,
        key_name=prepared.key.name,
        endpoint=caller.endpoint,
        model_id=prepared.model.id,
        model=prepared.model.display_name,
        requested_model=prepared.call.model[:200],
        streamed=prepared.call.stream,
        client_ip=caller.address,
        client_app=caller.application,
        end_user=prepared.call.end_user,
        worker=worker_name(),
        has_tools=isinstance(request, ChatRequest) and bool(request.tools),
        has_images=bool(media.all_media(request)),
    )


def _header(text: str) -> str:
    """Make a name safe for a header line: ASCII, no control characters."""
    if text.isascii() and text.isprintable():
        return text[:100]
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:100]
