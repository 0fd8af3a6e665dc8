"""Traces for OpenTelemetry, sent as OTLP over HTTP in JSON when OTEL_EXPORTER_OTLP_ENDPOINT is set.

One span a call, with spans inside for the time in line, until the first token, and of the answer.
They are made when the call is settled, from what was counted anyway; no text of anybody is in them.
A caller's `traceparent` is continued (W3C Trace Context), and a caller that was not sampled is not
traced.

Sending is best effort: spans wait in memory, the newest are dropped when too many wait, and what a
collector does not take is lost.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import requests

from gateway.core.usage import Admission, Settlement
from gateway.dialects import ENDPOINTS
from gateway.runtime.tasks import note_failure

SEND_S: Final = 2.0
MOST: Final = 4_096
_BATCH: Final = 512
_TIMEOUT_S: Final = 5.0
_SERVER, _INTERNAL, _ERROR = 2, 1, 2
_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_OPERATIONS: Final[Mapping[str, str]] = {
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""Names of the semantic conventions for generative AI, by scope; everything else is `chat`."""
_SCOPES: Final[Mapping[str, str]] = {endpoint.name: endpoint.scope for endpoint in ENDPOINTS}

Span: TypeAlias = dict[str, Any]


class Traces:
    """Sends the spans of ended calls; does nothing without an endpoint."""

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], service: str, version: str
    ) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else ""
        self._headers = dict(headers)
        self._resource = _attributes({"service.name": service, "service.version": version})
        self._version = version
        self._waiting: deque[tuple[Admission, Settlement, str]] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def settled(self, admission: Admission, settlement: Settlement, parent: str = "") -> None:
        """Note a call that ended. Never waits."""
        if self._url and len(self._waiting) < MOST:
            self._waiting.append((admission, settlement, parent))

    def start(self) -> None:
        """Begin to send."""
        if self._url:
            self._thread = threading.Thread(target=self._loop, name="traces", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Send what waits, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_TIMEOUT_S)
            self._thread = None

    def _loop(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._stop.wait(SEND_S):
                self._send(session)
            self._send(session)

    def _send(self, session: requests.Session) -> None:
        """Send everything that waits; a batch that is refused is lost."""
        while self._waiting:
            try:
                spans: list[Span] = []
                for _ in range(min(len(self._waiting), _BATCH)):
                    spans += spans_of(*self._waiting.popleft())
                with session.post(
                    self._url,
                    json=self._document(spans),
                    headers=self._headers,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                    stream=True,
                ) as answer:  # its status is enough
                    answer.raise_for_status()
            except Exception as error:  # also for a call that cannot be described: it is lost
                note_failure("sending traces", error, is_logged=not self._failing)
                self._failing = True
                return
            self._failing = False

    def _document(self, spans: list[Span]) -> Span:
        scope = {"scope": {"name": "ollama2openai", "version": self._version}, "spans": spans}
        return {
            "resourceSpans": [{"resource": {"attributes": self._resource}, "scopeSpans": [scope]}]
        }


def spans_of(admission: Admission, settlement: Settlement, parent: str = "") -> list[Span]:
    """Return the spans of one call, the whole of it first; none if its caller is not sampled.
    `parent` is the caller's `traceparent`."""
    found = _PARENT.fullmatch(parent.strip().lower())
    if found and not int(found[3], 16) & 1:
        return []
    start_ns = int(admission.created_at.timestamp() * 1e6) * 1000
    trace_id = found[1] if found else secrets.token_hex(16)
    whole = _span(trace_id, _name(admission), start_ns, 0.0, settlement.duration_ms)
    whole["kind"] = _SERVER
    whole["attributes"] = _attributes(_facts(admission, settlement))
    if found:
        whole["parentSpanId"] = found[2]
    if settlement.status >= 400 or settlement.error_code:
        whole["status"] = {"code": _ERROR, "message": settlement.error_code}
    return [whole, *_phases(whole, start_ns, settlement)]


def _phases(whole: Span, start_ns: int, settlement: Settlement) -> Iterator[Span]:
    queued_ms = settlement.queue_ms or 0.0
    first_ms = settlement.first_token_ms
    times = {"queue": (0.0, queued_ms)}
    if first_ms is not None:
        times["first token"] = (queued_ms, first_ms)
        times["answer"] = (first_ms, settlement.duration_ms)
    for name, (from_ms, to_ms) in times.items():
        if to_ms > from_ms:
            span = _span(whole["traceId"], name, start_ns, from_ms, to_ms)
            yield {**span, "parentSpanId": whole["spanId"]}


def _span(trace_id: str, name: str, start_ns: int, from_ms: float, to_ms: float) -> Span:
    return {
        "traceId": trace_id,
        "spanId": secrets.token_hex(8),
        "name": name,
        "kind": _INTERNAL,
        "startTimeUnixNano": str(start_ns + int(from_ms * 1e6)),
        "endTimeUnixNano": str(start_ns + int(to_ms * 1e6)),
    }


def _operation(admission: Admission) -> str:
    return _OPERATIONS.get(_SCOPES.get(admission.endpoint, ""), "chat")


def _name(admission: Admission) -> str:
    return f"{_operation(admission)} {admission.model}".strip()


def _facts(admission: Admission, settlement: Settlement) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": _operation(admission),
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": admission.requested_model,
        "gen_ai.response.model": admission.model,
        "gen_ai.response.finish_reasons": [settlement.finish] if settlement.finish else None,
        "gen_ai.usage.input_tokens": settlement.prompt_tokens,
        "gen_ai.usage.output_tokens": settlement.completion_tokens,
        "http.response.status_code": settlement.status,
        "error.type": settlement.error_code or None,
        "o2a.request_id": admission.request_id,
        "o2a.endpoint": admission.endpoint,
        "o2a.key_id": admission.key_id,
        "o2a.server": settlement.server_name or None,
        "o2a.streamed": admission.streamed,
    }


def _attributes(facts: Mapping[str, Any]) -> list[Span]:
    return [
        {"key": key, "value": _value(value)} for key, value in facts.items() if value is not None
    ]


def _value(value: Any) -> Span:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"stringValue": str(value)}
