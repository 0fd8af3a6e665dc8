"""Spans of calls, as a collector of OpenTelemetry receives them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from fake_ollama import FakeOllama
from gateway.accounting.tracing import MOST, Traces, spans_of
from gateway.core.usage import Admission, Settlement
from tests.support.process import Gateway

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CHAT = Admission(
    request_id="req_1",
    created_at=datetime(2026, 8, 1, tzinfo=UTC),
    key_id=3,
    key_name="key",
    endpoint="chat",
    model_id=7,
    model="qwen3",
    requested_model="gpt-4o",
    streamed=True,
)
DONE = Settlement(
    request_id="req_1",
    status=200,
    finish="stop",
    server_name="alpha",
    prompt_tokens=20,
    completion_tokens=11,
    queue_ms=200.0,
    first_token_ms=500.0,
    duration_ms=1500.0,
)


def facts(span: dict[str, Any]) -> dict[str, Any]:
    """Give the attributes of a span as plain values."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def milliseconds(span: dict[str, Any]) -> tuple[float, float]:
    """Give begin and end of a span, since the call's admission."""
    start_ns = int(CHAT.created_at.timestamp()) * 10**9
    return tuple(
        (int(span[name]) - start_ns) / 1e6 for name in ("startTimeUnixNano", "endTimeUnixNano")
    )


def test_a_call_is_one_span_with_its_phases_inside() -> None:
    whole, *phases = spans_of(CHAT, DONE)

    assert [(span["name"], milliseconds(span)) for span in (whole, *phases)] == [
        ("chat qwen3", (0.0, 1500.0)),
        ("queue", (0.0, 200.0)),
        ("first token", (200.0, 500.0)),
        ("answer", (500.0, 1500.0)),
    ]
    assert {span["traceId"] for span in phases} == {whole["traceId"]}
    assert {span["parentSpanId"] for span in phases} == {whole["spanId"]}
    assert "parentSpanId" not in whole
    assert "status" not in whole


def test_a_span_tells_what_was_asked_of_whom_and_what_it_took() -> None:
    told = facts(spans_of(CHAT, DONE)[0])

    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == "gpt-4o"
    assert told["gen_ai.response.model"] == "qwen3"
    assert told["gen_ai.usage.input_tokens"] == "20"
    assert told["gen_ai.usage.output_tokens"] == "11"
    assert told["http.response.status_code"] == "200"
    assert told["gen_ai.response.finish_reasons"] == {"values": [{"stringValue": "stop"}]}
    assert told["o2a.server"] == "alpha"
    assert told["o2a.streamed"] is True
    assert "error.type" not in told


def test_a_failed_call_is_a_span_with_an_error() -> None:
    failed = Settlement("req_1", 502, "error", "upstream_error", "secret text", duration_ms=3.0)
    whole, *phases = spans_of(CHAT, failed)

    assert whole["status"] == {"code": 2, "message": "upstream_error"}
    assert facts(whole)["error.type"] == "upstream_error"
    assert phases == []
    assert "secret text" not in json.dumps(whole)


def test_a_trace_of_the_caller_is_continued() -> None:
    whole = spans_of(CHAT, DONE, PARENT)[0]

    assert whole["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert whole["parentSpanId"] == "00f067aa0ba902b7"


def test_a_caller_that_is_not_sampled_is_not_traced() -> None:
    assert spans_of(CHAT, DONE, PARENT[:-2] + "00") == []


@pytest.mark.parametrize(
    "spoilt", ["", "x", PARENT + "-more", PARENT.replace("-", "_"), "00-0-0-1"]
)
def test_a_spoilt_traceparent_begins_a_trace_of_its_own(spoilt: str) -> None:
    whole = spans_of(CHAT, DONE, spoilt)[0]

    assert len(whole["traceId"]) == 32
    assert "parentSpanId" not in whole


class Collector:
    """Receives what is sent to a collector."""

    def __init__(self, status: int = 200) -> None:
        self.received: list[tuple[str, dict[str, str], Any]] = []
        self.arrived = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard = {name.lower(): value for name, value in self.headers.items()}
                collector.received.append((self.path, heard, json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")
                collector.arrived.set()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def spans(self) -> list[dict[str, Any]]:
        """Give all spans received."""
        return [
            span
            for _, _, body in self.received
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_what_waits_is_sent_before_the_end(collector: Collector) -> None:
    traces = Traces(f"{collector.url}/", {"api-key": "k"}, "house", "1.0")
    for number in range(600):
        traces.settled(replace(CHAT, request_id=f"req_{number}"), DONE)
    traces.start()
    traces.stop()

    path, headers, body = collector.received[0]
    assert path == "/v1/traces"
    assert headers["api-key"] == "k"
    assert headers["content-type"] == "application/json"
    resource = facts(body["resourceSpans"][0]["resource"])
    assert resource == {"service.name": "house", "service.version": "1.0"}
    assert len(collector.spans()) == 600 * 4


def test_a_collector_that_refuses_costs_its_spans_only(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector(status=503)
    traces = Traces(collector.url, {}, "house", "1.0")
    traces.settled(CHAT, DONE)
    traces.start()
    traces.stop()
    collector.close()

    assert len(collector.received) == 1
    assert "sending traces failed" in caplog.text


def test_without_a_collector_nothing_piles_up() -> None:
    away = Traces("http://127.0.0.1:1", {}, "house", "1.0")
    off = Traces("", {}, "house", "1.0")
    for _ in range(MOST + 10):
        away.settled(CHAT, DONE)
        off.settled(CHAT, DONE)

    assert len(away._waiting) == MOST
    assert len(off._waiting) == 0


@pytest.mark.process
def test_a_gateway_tells_a_collector_of_a_call(
    ollama: FakeOllama, collector: Collector, tmp_path: Path
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush",
    }
    with Gateway(tmp_path, ollama_url=ollama.url, env=env) as gateway:
        answer = requests.post(
            f"{gateway.url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {gateway.key}", "traceparent": PARENT},
            json={"model": "llama3.2", "messages": [{"role": "user", "content": "canary"}]},
            timeout=30,
        )
        assert collector.arrived.wait(30)

    assert answer.status_code == 200, answer.text
    whole = collector.spans()[0]
    assert whole["name"] == "chat llama3.2"
    assert whole["parentSpanId"] == "00f067aa0ba902b7"
    assert facts(whole)["o2a.request_id"] == answer.headers["x-request-id"]
    assert collector.received[0][1]["api-key"] == "hush"
    assert "canary" not in json.dumps(collector.spans())
