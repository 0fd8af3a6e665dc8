"""What operators see of calls, servers and the process."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.accounting import metrics as module
from gateway.accounting.metrics import OTHER, STALL_S, Metrics, Sample, Watchdog, mean_gap_s
from gateway.core.usage import Admission, Settlement
from gateway.schemas.server import Server, ServerView

CHAT = Admission(
    request_id="req_1",
    created_at=datetime(2026, 8, 1, tzinfo=UTC),
    key_id=1,
    key_name="key",
    endpoint="chat",
    model_id=7,
    model="qwen3",
    requested_model="qwen3",
    streamed=True,
)
DONE = Settlement(
    request_id="req_1",
    status=200,
    prompt_tokens=20,
    completion_tokens=11,
    reasoning_tokens=4,
    queue_ms=200.0,
    first_token_ms=500.0,
    duration_ms=1500.0,
)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    return Metrics("1.2.3")


def value(metrics: Metrics, series: str) -> float | None:
    """Give the value of one series, None where it does not stand."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics.text().decode(), re.M)
    return None if found is None else float(found[1])


SERIES = [
    ('o2a_requests_total{endpoint="chat",model="qwen3",status="200"}', 1),
    ('o2a_tokens_total{kind="prompt",model="qwen3"}', 20),
    ('o2a_tokens_total{kind="completion",model="qwen3"}', 11),
    ('o2a_tokens_total{kind="reasoning",model="qwen3"}', 4),
    ('o2a_tokens_total{kind="cached",model="qwen3"}', None),
    ('o2a_time_to_first_token_seconds_sum{model="qwen3"}', 0.5),
    ('o2a_inter_token_gap_seconds_sum{model="qwen3"}', 0.1),
    ('o2a_request_duration_seconds_sum{endpoint="chat"}', 1.5),
    ("o2a_queue_wait_seconds_sum", 0.2),
    ('o2a_build_info{version="1.2.3"}', 1),
]


@pytest.mark.parametrize(("series", "expected"), SERIES, ids=[name for name, _ in SERIES])
def test_an_answered_call_is_counted(metrics: Metrics, series: str, expected: float | None) -> None:
    metrics.settled(CHAT, DONE)

    assert value(metrics, series) == expected


@pytest.mark.parametrize(("status", "finish"), [(499, "client_closed"), (503, "cancelled")])
def test_a_call_nobody_wanted_any_more_is_no_error(
    metrics: Metrics, status: int, finish: str
) -> None:
    left = Settlement("req_1", status, finish=finish, error_code=finish)
    metrics.settled(CHAT, left)

    assert value(metrics, f'o2a_errors_total{{code="{finish}",endpoint="chat"}}') is None


LIMITS = ["rate_limit_exceeded", "concurrency_limit_exceeded", "insufficient_quota"]


@pytest.mark.parametrize("code", LIMITS)
def test_a_limit_that_is_hit_is_counted_by_its_kind(metrics: Metrics, code: str) -> None:
    metrics.settled(CHAT, Settlement("req_1", 429, "error", code))

    assert value(metrics, f'o2a_limits_hit_total{{limit="{code}"}}') == 1
    assert value(metrics, f'o2a_errors_total{{code="{code}",endpoint="chat"}}') == 1


def test_another_error_is_no_limit(metrics: Metrics) -> None:
    metrics.settled(CHAT, Settlement("req_1", 502, "error", "upstream_error"))

    assert "o2a_limits_hit_total{" not in metrics.text().decode()
    assert value(metrics, 'o2a_errors_total{code="upstream_error",endpoint="chat"}') == 1


def test_a_caller_cannot_make_series_with_names_of_its_own(metrics: Metrics) -> None:
    for number in range(50):
        name = f"made-up-{number}"
        unknown = replace(CHAT, model_id=None, model="", requested_model=name, endpoint=name)
        metrics.settled(unknown, Settlement("req_1", 404, "error", "model_not_found"))

    assert "made-up" not in metrics.text().decode()
    labels = f'endpoint="{OTHER}",model="{OTHER}",status="404"'
    assert value(metrics, f"o2a_requests_total{{{labels}}}") == 50


def test_models_beyond_a_bound_share_one_series(metrics: Metrics) -> None:
    for number in range(1_200):
        metrics.settled(replace(CHAT, model_id=number, model=f"m{number}"), DONE)

    count = metrics.text().decode().count('o2a_requests_total{endpoint="chat"')
    assert count == 1_001
    assert (
        value(metrics, f'o2a_requests_total{{endpoint="chat",model="{OTHER}",status="200"}}') == 200
    )


GAPS = {
    "two tokens": ({"completion_tokens": 2}, 1.0),
    "one token": ({"completion_tokens": 1}, None),
    "none at all": ({"completion_tokens": 0, "first_token_ms": None}, None),
    "never a first token": ({"first_token_ms": None}, None),
    "a clock that went backwards": ({"duration_ms": 400.0}, 0.0),
}


@pytest.mark.parametrize(("changes", "expected"), GAPS.values(), ids=GAPS)
def test_the_gap_between_tokens(changes: dict[str, float], expected: float | None) -> None:
    assert mean_gap_s(replace(DONE, **changes)) == expected


def test_lateness_of_the_loop_is_a_stall_beyond_a_bound(metrics: Metrics) -> None:
    for lag_s in (0.0, STALL_S, STALL_S + 0.001, 3.0):
        metrics.late(lag_s)

    assert value(metrics, "o2a_hub_stalls_total") == 2
    assert value(metrics, "o2a_hub_lag_seconds_count") == 4


def view(name: str, **more: object) -> ServerView:
    """Make a server as routing sees it."""
    return ServerView(Server(id=3, name=name, url="http://x"), **more)  # type: ignore[arg-type]


def test_a_sample_shows_servers_queue_and_writer(metrics: Metrics) -> None:
    metrics.sample(
        Sample(
            running=4,
            waiting={"qwen3": 2},
            in_flight={3: 5},
            servers=(view("alpha", healthy=False, slots=2, latency_ms=8.0),),
            usage_backlog=9,
            usage_dropped=1,
            usage_lag_s=2.5,
            draining=True,
        )
    )

    text = metrics.text().decode()
    for line in (
        "o2a_requests_in_progress 4.0",
        'o2a_queue_waiting{model="qwen3"} 2.0',
        'o2a_server_up{server="alpha"} 0.0',
        'o2a_server_slots{server="alpha"} 2.0',
        'o2a_server_latency_seconds{server="alpha"} 0.008',
        'o2a_server_in_flight{server="alpha"} 5.0',
        "o2a_usage_backlog_records 9.0",
        "o2a_usage_dropped_records 1.0",
        "o2a_usage_lag_seconds 2.5",
        "o2a_draining 1.0",
    ):
        assert line in text


def test_what_is_gone_reads_zero(metrics: Metrics) -> None:
    metrics.sample(Sample(waiting={"qwen3": 2}, servers=(view("alpha"),)))
    metrics.sample(Sample())

    assert value(metrics, 'o2a_queue_waiting{model="qwen3"}') == 0
    assert value(metrics, 'o2a_server_up{server="alpha"}') == 0


class Scheduler:
    """Stands in for the scheduler."""

    def in_flight(self) -> dict[tuple[int, str], int]:
        return {(3, "a"): 2, (3, "b"): 1}

    def waiting(self) -> dict[str, int]:
        return {"a": 1}

    def views(self) -> tuple[ServerView, ...]:
        return (view("alpha"),)


class Usage:
    """Stands in for the usage writer."""

    dropped = 2

    def __init__(self) -> None:
        self.waiting = 0

    def backlog(self) -> int:
        return self.waiting


@pytest.fixture
def usage() -> Usage:
    return Usage()


@pytest.fixture
def clock() -> list[float]:
    """The time, told by the test."""
    return [100.0]


@pytest.fixture
def watchdog(metrics: Metrics, usage: Usage, clock: list[float]) -> Iterator[Watchdog]:
    made = Watchdog(
        metrics,
        Scheduler(),  # type: ignore[arg-type]
        [],  # type: ignore[arg-type]
        usage,  # type: ignore[arg-type]
        threading.Event(),
        clock=lambda: clock[0],
    )
    yield made
    made.stop()


def test_the_watchdog_tells_how_late_it_woke(
    watchdog: Watchdog, metrics: Metrics, clock: list[float]
) -> None:
    watchdog.tick(clock[0] - 0.4)

    assert value(metrics, "o2a_hub_stalls_total") == 1


def test_the_watchdog_samples_once_a_second(
    watchdog: Watchdog, metrics: Metrics, usage: Usage, clock: list[float]
) -> None:
    watchdog.tick(clock[0])
    usage.waiting = 5
    clock[0] += 0.5
    watchdog.tick(clock[0])
    early = value(metrics, "o2a_usage_backlog_records")
    clock[0] += 0.5
    watchdog.tick(clock[0])

    assert early == 0
    assert value(metrics, "o2a_usage_backlog_records") == 5
    assert value(metrics, 'o2a_server_in_flight{server="alpha"}') == 3


def test_the_lag_of_usage_grows_while_records_wait_and_ends_with_them(
    watchdog: Watchdog, usage: Usage
) -> None:
    usage.waiting = 1
    lags = [watchdog.look(now_s).usage_lag_s for now_s in (10.0, 11.0, 14.0)]
    usage.waiting = 0
    ended = watchdog.look(15.0).usage_lag_s
    usage.waiting = 1

    assert lags == [0.0, 1.0, 4.0]
    assert ended == 0.0
    assert watchdog.look(16.0).usage_lag_s == 0.0


@pytest.mark.parametrize("statm", [module._STATM, "/nowhere/statm"], ids=["here", "without /proc"])
def test_memory_is_told_on_every_system(monkeypatch: pytest.MonkeyPatch, statm: str) -> None:
    monkeypatch.setattr(module, "_STATM", statm)

    assert 10 << 20 < module._resident_bytes() < 4 << 30


def test_freed_memory_is_given_back_seldom(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(module, "_malloc_trim", trimmed.append)
    watchdog = Watchdog(metrics, None, (), None, threading.Event())  # type: ignore[arg-type]
    little, much = module.SPARE_BYTES, 3 * module.SPARE_BYTES

    counts = []
    for now_s, resident in ((0, little), (1, 2 * little), (2, much), (3, much), (40, much)):
        watchdog._trim(now_s, resident)
        counts.append(len(trimmed))

    assert counts == [0, 0, 1, 1, 2]
