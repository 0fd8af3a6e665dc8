"""Usage: written in two phases, counted exactly once, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from gateway.accounting.usage_writer import UsageWriter
from gateway.core import histogram
from gateway.core.admin import SYSTEM
from gateway.core.requests import Filter
from gateway.core.usage import OUTCOMES, Admission, Settlement
from gateway.errors import Unavailable
from gateway.management.keys import Keys
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.versions import ChangeVersions
from gateway.runtime.workers import Reaper
from gateway.store.database.engine import Database
from gateway.store.tables import (
    CounterLeaseRow,
    KeyCounterRow,
    RequestLogBodyRow,
    RequestLogRow,
    UsageDayRow,
    UsageHourRow,
    WorkerRow,
)
from gateway.store.usage import records, request_queries, usage_queries
from tests.soak import times
from tests.support.process import until

AT = datetime(2030, 5, 15, 12, 34, 56, tzinfo=UTC)


def admission(number: int = 1, **changes: object) -> Admission:
    plain = Admission(
        request_id=f"req_{number:06}",
        created_at=AT,
        key_id=1,
        key_name="laptop",
        endpoint="chat",
        model_id=1,
        model="llama3.2",
        requested_model="llama3.2",
        streamed=True,
        worker="here:1",
        client_app="openai-python",
    )
    return replace(plain, **changes)


def settlement(number: int = 1, **changes: object) -> Settlement:
    plain = Settlement(
        request_id=f"req_{number:06}",
        status=200,
        finish="stop",
        server_id=1,
        server_name="box",
        prompt_tokens=10,
        completion_tokens=20,
        queue_ms=0.0,
        first_token_ms=100.0,
        duration_ms=1000.0,
        ollama_load_ms=5.0,
        ollama_eval_ms=400.0,
        explain={"options": {"num_ctx": 4096}},
    )
    return replace(plain, **changes)


@pytest.fixture
def key_id(any_store: Store) -> int:
    """A key with the id 1."""
    key, _ = Keys(any_store, ChangeVersions(any_store)).issue({"name": "laptop"}, SYSTEM)
    assert key.id == 1
    return key.id


@pytest.fixture
def writer(any_store: Store, key_id: int) -> UsageWriter:
    """A writer that writes when told (`flush`)."""
    return UsageWriter(any_store, worker="here:1", now=lambda: AT + timedelta(seconds=5))


def reaper(store: Store, lives: Callable[[int], bool]) -> Reaper:
    return Reaper(store, worker="here:2", now=lambda: AT + timedelta(seconds=9), is_alive=lives)


def sums(store: Store) -> dict[str, object]:
    """Give the same figures from rows, from both rollups and from the counters."""

    def read(session):
        tokens = RequestLogRow.prompt_tokens + RequestLogRow.completion_tokens
        settled = RequestLogRow.settled_at.is_not(None)
        found = {
            "rows": tuple(
                session.execute(
                    select(func.count(), func.coalesce(func.sum(tokens), 0)).where(settled)
                ).one()
            ),
            "counted": session.scalar(select(func.count()).where(settled, RequestLogRow.counted)),
        }
        for name, table in (("hours", UsageHourRow), ("days", UsageDayRow)):
            total = func.sum(table.prompt_tokens + table.completion_tokens)
            query = select(func.coalesce(func.sum(table.requests), 0), func.coalesce(total, 0))
            found[name] = tuple(session.execute(query).one())
        for period in ("day", "week", "month", "total"):
            query = select(KeyCounterRow.metric, func.sum(KeyCounterRow.used)).where(
                KeyCounterRow.period == period
            )
            found[period] = {
                row[0]: row[1] for row in session.execute(query.group_by(KeyCounterRow.metric))
            }
        return found

    return store.read(read)


def assert_sums_agree(store: Store) -> None:
    found = sums(store)
    calls, tokens = found["rows"]
    assert found["hours"] == found["days"] == (calls, tokens), found
    for period in ("day", "week", "month", "total"):
        assert found[period].get("requests", 0) == found["counted"], found
        assert found[period].get("tokens", 0) == tokens, found


def test_a_settled_call_is_a_row_with_everything_known_of_it(
    writer: UsageWriter, any_store: Store
) -> None:
    writer.admit(admission(has_tools=True))
    writer.settle(settlement(reasoning_tokens=7, request_body="ask", response_body="answer"))
    assert writer.flush()
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())
    body = any_store.read(lambda s: s.scalars(select(RequestLogBodyRow)).one())

    assert (row.request_id, row.created_at, row.key_name) == ("req_000001", AT, "laptop")
    assert (row.status, row.completion_tokens, row.reasoning_tokens) == (200, 20, 7)
    assert (row.explain, row.counted, row.has_tools) == ({"options": {"num_ctx": 4096}}, True, True)
    assert (body.request_body, body.response_body) == ("ask", "answer")
    assert_sums_agree(any_store)


def test_an_admission_is_stored_before_its_end_is_known(
    writer: UsageWriter, any_store: Store
) -> None:
    writer.admit(admission())
    assert writer.flush()
    before = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one().settled_at)
    writer.settle(settlement())
    assert writer.flush()
    after = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one().settled_at)

    assert before is None
    assert after == AT + timedelta(seconds=5)
    assert_sums_agree(any_store)


def test_rollups_tell_groups_apart_and_hold_percentiles(
    writer: UsageWriter, any_store: Store
) -> None:
    for number in range(1, 101):
        writer.admit(admission(number, model_id=2 + number % 2))
        writer.settle(settlement(number, first_token_ms=float(number), status=200))
    writer.admit(admission(101))
    writer.settle(
        settlement(
            101,
            status=502,
            error_code="upstream_error",
            prompt_tokens=0,
            completion_tokens=0,
            first_token_ms=None,
        )
    )
    assert writer.flush()
    rows = any_store.read(lambda s: s.scalars(select(UsageHourRow)).all())
    by_model = {(row.model_id, row.status): row for row in rows}
    merged = histogram.merge(row.histograms for row in rows)

    assert by_model[2, 200].requests == by_model[3, 200].requests == 50
    assert by_model[1, 502].errors == 1
    assert by_model[2, 200].start == AT.replace(minute=0, second=0)
    for share, value in ((0.5, 50), (0.9, 90), (0.99, 99)):
        assert histogram.percentile(merged["first_token_ms"], share) == pytest.approx(
            value, rel=0.1
        )
    assert_sums_agree(any_store)


ENDS: list[tuple[dict, str]] = [
    ({"status": 200, "finish": "stop"}, "ok"),
    ({"status": 200, "finish": "length"}, "ok"),
    ({"status": 429, "finish": "error", "error_code": "rate_limit_exceeded"}, "failed"),
    ({"status": 502, "finish": "error", "error_code": "upstream_error"}, "failed"),
    ({"status": 200, "finish": "error", "error_code": "upstream_disconnected"}, "failed"),
    ({"status": 500, "finish": "worker_lost", "error_code": "worker_lost"}, "failed"),
    ({"status": 499, "finish": "client_closed", "error_code": "client_closed"}, "cancelled"),
    ({"status": 200, "finish": "cancelled", "error_code": "cancelled"}, "cancelled"),
    ({"status": 503, "finish": "cancelled", "error_code": "cancelled"}, "cancelled"),
]


def test_rows_sums_and_charts_agree_on_what_failed(
    writer: UsageWriter, any_store: Store, key_id: int
) -> None:
    for number, (end, _) in enumerate(ENDS, 1):
        writer.admit(admission(number))
        writer.settle(settlement(number, **end))
    writer.admit(admission(100))  # still runs
    assert writer.flush()
    wanted = {outcome: [outcome for _, outcome in ENDS].count(outcome) for outcome in OUTCOMES}
    rows, hours, days = {}, {}, {}
    for outcome in OUTCOMES:
        meant = Filter(status=outcome)
        rows[outcome] = len(any_store.read(request_queries.page, meant))
        hours[outcome] = any_store.read(usage_queries.totals, meant).requests
        days[outcome] = any_store.read(usage_queries.totals, meant, daily=True).requests
    whole = any_store.read(usage_queries.totals, Filter())
    by_key = dict(any_store.read(usage_queries.by_group, Filter(), "key", daily=True))
    minutes = any_store.read(usage_queries.minutes, AT - timedelta(hours=1))
    kinds = {kind: sum(n for _, k, n in minutes if k == kind) for _, kind, _ in minutes}

    assert rows == hours == days == wanted
    assert (whole.requests, whole.errors) == (len(ENDS), wanted["failed"])
    assert by_key[str(key_id)].errors == wanted["failed"]
    assert kinds == {0: 1, 2: wanted["ok"], 3: wanted["cancelled"], 4: 1, 5: wanted["failed"] - 1}


@pytest.mark.parametrize(
    ("changes", "requests"),
    [
        pytest.param({"status": 200}, 1, id="answered"),
        pytest.param({"status": 499, "prompt_tokens": 0, "completion_tokens": 0}, 1, id="left"),
        pytest.param({"status": 502, "prompt_tokens": 0, "completion_tokens": 0}, 0, id="failed"),
        pytest.param({"status": 429, "prompt_tokens": 0, "completion_tokens": 0}, 0, id="refused"),
        pytest.param({"status": 502}, 1, id="failed after tokens"),
    ],
)
def test_failed_calls_are_given_back_to_request_budgets(
    writer: UsageWriter, any_store: Store, changes: dict[str, object], requests: int
) -> None:
    writer.admit(admission())
    writer.settle(settlement(**changes))
    assert writer.flush()

    assert sums(any_store)["day"].get("requests", 0) == requests
    assert_sums_agree(any_store)


def test_a_batch_written_twice_counts_once(writer: UsageWriter, any_store: Store) -> None:
    from gateway.store.usage import records

    entries = [records.Entry(admission(n), settlement(n)) for n in range(1, 6)]
    for _ in range(2):
        any_store.write(records.write, entries, worker="here:1", now=AT, again=True)

    assert sums(any_store)["rows"] == (5, 150)
    assert_sums_agree(any_store)


def test_a_batch_that_was_stored_meanwhile_is_not_counted_again(
    any_store: Store, key_id: int
) -> None:
    """As when the database was frozen in our commit: it goes through after we gave it up."""
    from gateway.store.usage import records

    entries = [records.Entry(admission(n), settlement(n)) for n in range(1, 6)]
    any_store.write(records.write, entries[:3], worker="here:1", now=AT)
    with pytest.raises(Unavailable):
        any_store.write(records.write, entries, worker="here:1", now=AT)
    before = sums(any_store)["rows"]
    any_store.write(records.write, entries, worker="here:1", now=AT, again=True)

    assert before == (3, 90)
    assert sums(any_store)["rows"] == (5, 150)
    assert_sums_agree(any_store)


def test_a_store_that_is_away_costs_nothing_but_time(
    writer: UsageWriter, any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = any_store.write

    def away(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(any_store, "write", away)
    for number in range(1, 21):
        writer.admit(admission(number))
        writer.settle(settlement(number))
    first = writer.flush(0.0), writer.state(), writer.backlog()
    monkeypatch.setattr(any_store, "write", real)
    second = writer.flush(), writer.state(), writer.backlog()

    assert first == (False, "unavailable", 20)
    assert second == (True, "ok", 0)
    assert sums(any_store)["rows"] == (20, 600)
    assert_sums_agree(any_store)


def test_a_record_the_database_refuses_does_not_take_its_batch_along(
    writer: UsageWriter, any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.usage import records

    real = records.write

    def picky(session, entries, **more):
        if any(entry.admission.request_id.endswith("3") for entry in entries):
            session.execute(text("INSERT INTO request_log (id) VALUES (NULL)"))
        real(session, entries, **more)

    monkeypatch.setattr(records, "write", picky)
    for number in range(1, 11):
        writer.admit(admission(number))
        writer.settle(settlement(number))
    written = writer.flush()

    assert (written, writer.dropped, writer.backlog()) == (True, 1, 0)
    assert sums(any_store)["rows"] == (9, 270)
    assert_sums_agree(any_store)


def test_a_full_queue_drops_and_counts(any_store: Store, key_id: int) -> None:
    writer = UsageWriter(any_store, worker="here:1", capacity=10)
    for number in range(20):
        writer.admit(admission(number))

    assert (writer.dropped, writer.backlog()) == (10, 10)


def test_hostile_texts_and_numbers_are_stored_tamed(writer: UsageWriter, any_store: Store) -> None:
    writer.admit(
        admission(requested_model="a\0b" + "x" * 9_000, end_user="\ud800", client_app="é" * 500)
    )
    writer.settle(
        settlement(
            error_message="\0" * 10,
            prompt_tokens=2**70,
            first_token_ms=float("nan"),
            duration_ms=float("inf"),
            explain={"a\0": ["\ud83d", float("nan"), {1: (2,)}]},
        )
    )
    writer.admit(admission(2))
    writer.settle(settlement(2))
    assert writer.flush()

    assert any_store.read(lambda s: s.scalar(select(func.count(RequestLogRow.id)))) == 2
    assert writer.dropped == 0


def test_calls_of_a_killed_worker_are_settled_as_lost(
    writer: UsageWriter, any_store: Store
) -> None:
    writer.admit(admission())
    assert writer.flush()
    reaper = Reaper(
        any_store,
        worker="here:2",
        now=lambda: AT + timedelta(seconds=9),
        is_alive=lambda pid: pid == 2,
    )
    reaper.look()
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())

    assert (row.status, row.finish, row.counted) == (500, "worker_lost", False)
    assert row.settled_at is not None
    assert_sums_agree(any_store)


@pytest.mark.parametrize("lives_after_all", [False, True])
def test_what_a_call_of_a_killed_worker_had_taken_is_counted(
    any_store: Store, key_id: int, lives_after_all: bool
) -> None:
    taken = [("req_000001", 7, 40), ("req_000002", 7, 0)]
    now = AT + timedelta(seconds=5)
    writer = UsageWriter(any_store, worker="here:1", now=lambda: now, running=lambda: taken)
    writer.admit(admission())
    writer.start()
    query = select(RequestLogRow.completion_tokens)
    until(lambda: any_store.read(lambda s: s.scalar(query)) == 40, "the progress")
    writer.stop()
    reaper(any_store, lambda pid: False).look()
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())

    assert (row.finish, row.status, row.counted) == ("worker_lost", 500, True)
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (7, 40, True)
    assert_sums_agree(any_store)
    if lives_after_all:
        writer.settle(settlement())
        assert writer.flush()
        row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())
        assert (row.status, row.completion_tokens) == (200, 20)
        assert_sums_agree(any_store)


def test_progress_noted_too_late_changes_nothing(writer: UsageWriter, any_store: Store) -> None:
    writer.admit(admission())
    writer.settle(settlement())
    assert writer.flush()
    any_store.write(records.progress, [("req_000001", 7, 40), ("req_unknown", 7, 40)])
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())

    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (10, 20, False)


def test_a_worker_that_lives_keeps_its_calls(writer: UsageWriter, any_store: Store) -> None:
    now = AT + timedelta(seconds=9)
    Reaper(any_store, worker="here:1", now=lambda: now).look()
    writer.admit(admission())
    assert writer.flush()
    Reaper(any_store, worker="here:2", now=lambda: now, is_alive=lambda pid: True).look()
    Reaper(any_store, worker="there:1", now=lambda: now, is_alive=lambda pid: False).look()
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())

    assert row.settled_at is None


def test_a_worker_given_up_too_early_is_taken_at_its_word(
    writer: UsageWriter, any_store: Store
) -> None:
    writer.admit(admission())
    assert writer.flush()
    Reaper(
        any_store,
        worker="here:2",
        now=lambda: AT + timedelta(seconds=9),
        is_alive=lambda pid: False,
    ).look()
    writer.settle(settlement())
    assert writer.flush()
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())
    hours = any_store.read(lambda s: s.scalars(select(UsageHourRow)).all())

    assert (row.status, row.completion_tokens) == (200, 20)
    assert {hour.status: (hour.requests, hour.errors) for hour in hours} == {
        500: (0, 0),
        200: (1, 0),
    }
    assert_sums_agree(any_store)


def test_a_worker_that_starts_again_under_its_old_name_settles_what_was_left(
    writer: UsageWriter, any_store: Store
) -> None:
    writer.admit(admission())
    assert writer.flush()
    again = Reaper(any_store, worker="here:1", now=lambda: AT + timedelta(seconds=9))
    again.start()
    again.stop()
    row = any_store.read(lambda s: s.scalars(select(RequestLogRow)).one())

    assert row.finish == "worker_lost"
    assert any_store.read(lambda s: s.scalars(select(WorkerRow)).all()) == []
    assert any_store.read(lambda s: s.scalars(select(CounterLeaseRow)).all()) == []


_VICTIM = """
import sys, time, threading
from datetime import UTC, datetime
from gateway.runtime.database import Store
from gateway.accounting.usage_writer import UsageWriter
from gateway.store.database.engine import Database
from tests.services.test_usage_writer import admission, settlement

url, number = sys.argv[1], int(sys.argv[2])
import os
worker = f"{os.uname().nodename}:{os.getpid()}"
writer = UsageWriter(Store(Database.open(url)), worker=worker)
writer.start()
print("ready", flush=True)
n = number * 1_000_000
while True:
    n += 1
    at = datetime.now(UTC)
    writer.admit(admission(n, created_at=at, worker=worker))
    if n % 7:
        writer.settle(settlement(n, status=200 if n % 5 else 502))
    if n % 50 == 0:
        time.sleep(0.005)
"""


KILLS = times(4, 40)


@pytest.mark.slow
@pytest.mark.process
def test_counters_equal_rows_after_writers_were_killed(any_url: str) -> None:
    database = Database.open(any_url)
    store = Store(database)
    Keys(store, ChangeVersions(store)).issue({"name": "laptop"}, SYSTEM)
    for number in range(KILLS):
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, any_url, str(number)], stdout=subprocess.PIPE
        )
        assert victim.stdout is not None
        victim.stdout.readline()
        seen = _rows(store)
        until_s = time.monotonic() + 20
        while _rows(store) < seen + 300 and time.monotonic() < until_s:
            time.sleep(0.02)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(10)
        victim.stdout.close()
    Reaper(store).look()
    open_ones = store.read(
        lambda s: s.scalar(
            select(func.count(RequestLogRow.id)).where(RequestLogRow.settled_at.is_(None))
        )
    )
    lost = store.read(
        lambda s: s.scalar(
            select(func.count(RequestLogRow.id)).where(RequestLogRow.finish == "worker_lost")
        )
    )

    assert _rows(store) >= 300 * KILLS
    assert open_ones == 0
    assert lost > 0
    assert_sums_agree(store)
    if database.is_sqlite:
        assert store.read(lambda s: s.scalar(text("PRAGMA quick_check"))) == "ok"
    database.close()


def _rows(store: Store) -> int:
    return store.read(lambda s: s.scalar(select(func.count(RequestLogRow.id)))) or 0
