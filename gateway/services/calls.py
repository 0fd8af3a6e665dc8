"""One admitted call from its first check to its last count, with everything it holds in the order
it is given back.

Views of machines and the playground use the same two steps: `start` a call, then read its answer
whole or in batches.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from gateway.services.limiter import Lease
from gateway.services.prepare import Prepared, fall_back, prepare

from gateway.core.chat import Call, ChatRequest, Json
from gateway.core.keys import Key
from gateway.core.usage import Admission
from gateway.errors import ClientGone, GatewayError
from gateway.services import Services
from gateway.services.relay import Answer
from gateway.services.tally import Tally

log = logging.getLogger(__name__)

WORKER = f"{os.uname().nodename}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and over which line. `sock` is the client's socket where there is one."""

    request_id: str
    endpoint: str
    address: str = ""
    application: str = ""
    sock: Any = None


class Running:
    """A call in progress. A context manager: leaving it settles everything exactly once."""

    def __init__(self, services: Services, prepared: Prepared, caller: Caller) -> None:
        self.services = services
        self.prepared = prepared
        self.caller = caller
        self.tally = Tally(_admission(prepared, caller))
        self.answer = Answer(
            prepared,
            self.tally,
            services.fleet,
            services.settings.behaviour(),
            lambda failed, error: fall_back(services, failed, error),
        )
        self.lease: Lease | None = None
        self._stack = ExitStack()
        self._settled = False

    def __enter__(self) -> Running:
        services, tally = self.services, self.tally
        with ExitStack() as stack:
            services.usage.admit(tally.admission)
            stack.callback(self._settle)
            try:
                self.lease = services.limiter.admit(self.prepared.key, self.prepared.reservation)
            except GatewayError as error:
                tally.fail(error)
                raise
            stack.enter_context(services.live.running(tally, self.answer.cancel))
            stack.enter_context(self.answer)
            stack.enter_context(services.watcher.watch(self.caller.sock, self._client_left))
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
        elif error is not None and not isinstance(error, GeneratorExit):
            self.tally.fail(GatewayError(type(error).__name__))
        self.close()

    def close(self) -> None:
        """Give everything back; later calls do nothing."""
        self._stack.pop_all().close()

    def _client_left(self) -> None:
        self.answer.cancel(ClientGone("The client closed the connection."))

    def _settle(self) -> None:
        """Report the end: usage, limits, and what the estimate can learn. Failures are logged,
        never raised."""
        if self._settled:
            return
        self._settled = True
        tally, prepared = self.tally, self.prepared
        if not tally.finish:
            tally.fail(ClientGone("The client closed the connection."))
        try:
            settlement = tally.settlement(time.monotonic())
            self.services.usage.settle(settlement)
            spent = settlement.prompt_tokens + settlement.completion_tokens
            if self.lease is not None:
                self.lease.settle(spent)
                self.lease.release()
            if tally.usage is not None and not tally.usage.estimated:
                self.services.ratios.learn(
                    prepared.model.name, prepared.characters, tally.usage.prompt_tokens
                )
        except Exception:
            log.exception("settling a call failed")


def start(
    services: Services, call: Call, key: Key, caller: Caller, body: Mapping[str, Json]
) -> Running:
    """Resolve, check and prepare a call. Raises every refusal that needs no model; nothing is
    held yet."""
    prepared = prepare(services, call, key, caller.endpoint)
    running = Running(services, prepared, caller)
    if services.settings.keeps_bodies(key):
        running.tally.keep_bodies(body, services.settings.behaviour().body_max_kb)
    return running


def _admission(prepared: Prepared, caller: Caller) -> Admission:
    request = prepared.request
    media = (
        any(message.media for message in request.messages)
        if isinstance(request, ChatRequest)
        else bool(request.media)
    )
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
        worker=WORKER,
        has_tools=isinstance(request, ChatRequest) and bool(request.tools),
        has_images=media,
    )
