"""Records of calls: how each began and how it ended, told to everybody who counts."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.accounting.metrics import Metrics
from gateway.accounting.tracing import Traces
from gateway.accounting.usage_writer import UsageWriter
from gateway.calls.prepare import PreparedCall
from gateway.calls.stats import rejection
from gateway.core.chat import ChatRequest
from gateway.core.usage import Admission, Settlement
from gateway.errors import GatewayError
from gateway.policy import media
from gateway.policy.rate_window import Form
from gateway.runtime.identity import worker_name
from gateway.schemas.key import Key

log = logging.getLogger(__name__)

CLIENTS_A_DAY = 50


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls what, and over which connection. `sock` is the client's socket where there is one,
    `client_request_id` what the caller calls the request, `session` what a header calls the session
    it belongs to, `form` that of its rate-limit headers."""

    request_id: str
    endpoint: str
    address: str = ""
    application: str = ""
    sock: Any = None
    traceparent: str = ""
    client_request_id: str = ""
    session: str = ""
    form: Form = "openai"


class CallRecords:
    """Writes the records of calls, the log line of each, metrics and traces."""

    def __init__(self, usage: UsageWriter, metrics: Metrics, traces: Traces) -> None:
        self.admit = usage.admit
        self._usage = usage
        self._metrics = metrics
        self._traces = traces
        self._clients: defaultdict[int, set[str]] = defaultdict(set)  # of this day, by key
        self._day = -1

    def client_name(self, key_id: int, name: str) -> str:
        """Return what a client is called in records: its own name, or "other" once its key has
        come with CLIENTS_A_DAY of them, since each makes rows in the sums of every hour."""
        day = int(time.time()) // 86_400
        if day != self._day:
            self._day = day
            self._clients.clear()
        known = self._clients[key_id]
        if len(known) < CLIENTS_A_DAY:
            known.add(name)
        return name if name in known else "other"

    def reject(self, key: Key, caller: Caller, requested_model: str, error: GatewayError) -> None:
        """Record a call that was rejected before it was admitted, so that an admin sees why."""
        admission = _admission(key, caller, requested_model=requested_model[:200], streamed=False)
        self._usage.admit(admission)
        self.settle(
            admission, rejection(caller.request_id, error, admission.requested_model), caller
        )

    def settle(self, admission: Admission, settlement: Settlement, caller: Caller) -> None:
        """Record how a call ended."""
        self._usage.settle(settlement)
        log.info(
            "%s %s %d %s, %d+%d tokens in %d ms, key %d%s%s",
            admission.endpoint,
            admission.model or admission.requested_model or "-",
            settlement.status,
            settlement.error_code or settlement.finish,
            settlement.prompt_tokens,
            settlement.completion_tokens,
            settlement.duration_ms,
            admission.key_id or 0,
            f", user {admission.end_user[:64]!r}" if admission.end_user else "",
            f", their id {caller.client_request_id!r}" if caller.client_request_id else "",
        )
        self._metrics.settled(admission, settlement)
        self._traces.settled(admission, settlement, caller.traceparent)


def admission_of(prepared: PreparedCall, caller: Caller) -> Admission:
    """Return the first half of a call's record."""
    request, call, model = prepared.request, prepared.call, prepared.model
    return _admission(
        prepared.key,
        caller,
        model_id=model.id,
        model=model.display_name,
        requested_model=call.model[:200],
        streamed=call.stream,
        end_user=call.end_user,
        has_tools=isinstance(request, ChatRequest) and bool(request.tools),
        has_images=bool(media.all_media(request)),
    )


def _admission(
    key: Key, caller: Caller, model_id: int | None = None, model: str = "", **more: Any
) -> Admission:
    return Admission(
        request_id=caller.request_id,
        created_at=datetime.now(UTC),
        key_id=key.id,
        key_name=key.name,
        endpoint=caller.endpoint,
        model_id=model_id,
        model=model,
        client_ip=caller.address,
        client_app=caller.application,
        worker=worker_name(),
        **more,
    )
