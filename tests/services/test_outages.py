"""The database goes and comes back: warm keys keep working, usage waits and is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests
from sqlalchemy import func, select

from fake_ollama import FakeOllama
from gateway.accounting.usage_writer import UsageWriter
from gateway.core.admin import SYSTEM
from gateway.runtime.database import Store, StoreUnavailable
from gateway.store.database import schema
from gateway.store.database.engine import Database
from gateway.store.tables import KeyCounterRow, RequestLogRow
from tests.services.conftest import FakeClock, Worker
from tests.services.test_usage_writer import admission, assert_sums_agree, settlement
from tests.soak import times
from tests.support.process import Gateway, until
from tests.support.servers import Postgres, running_postgres

pytestmark = [pytest.mark.services, pytest.mark.timeout(times(300, 3600))]

A_DAY = {"metric": "requests", "period": "day", "limit": 100_000}


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL of this test's own, to be stopped and started."""
    with running_postgres() as server:
        yield server


def test_a_restarted_postgresql_costs_nothing(server: Postgres, clock: FakeClock) -> None:
    url = server.url()
    schema.upgrade(url)
    database = Database.open(url)
    worker = Worker(Store(database), clock)
    writer = UsageWriter(worker.store, worker="here:1")
    _, warm = worker.keys.issue({"name": "warm"}, SYSTEM)
    _, cold = worker.keys.issue({"name": "cold"}, SYSTEM)
    worker.keyring.find(warm)

    server.stop()
    clock.tick(10)
    found = worker.keyring.find(warm).name
    with pytest.raises(StoreUnavailable) as refused:
        worker.keyring.find(cold)
    for number in range(1, 51):
        writer.admit(admission(number))
        writer.settle(settlement(number))
    away = writer.flush(0.0), writer.state()
    server.start()
    clock.tick(1)
    back = worker.keyring.find(cold).name, writer.flush(20.0), writer.state()
    rows = worker.store.read(lambda s: s.scalar(select(func.count(RequestLogRow.id))))
    assert_sums_agree(worker.store)
    database.close()

    assert found == "warm"
    assert refused.value.status == 503
    assert away == (False, "unavailable")
    assert back == ("cold", True, "ok")
    assert rows == 50


@pytest.mark.slow
@pytest.mark.process
def test_a_frozen_postgresql_holds_up_no_call_and_loses_no_record(
    server: Postgres, tmp_path: Path, ollama: FakeOllama
) -> None:
    """Frozen, it keeps connections and accepts new ones: no time limit of its client fires (P13).

    What each call may take is bounded by the time limits of the requests below.
    """
    env = {"DATABASE_URL": server.url(), "SESSION_SECRET": "s" * 32, "GRACEFUL_TIMEOUT": "30"}
    with Gateway(tmp_path, ollama_url=ollama.url, env=env) as gateway:
        warm, cold = gateway.key, gateway.issue_key("cold")
        budgeted = gateway.issue_key("budgeted", budgets=[A_DAY])
        admin = gateway.issue_token()
        before = [ask(gateway, key) for key in (warm, budgeted)]
        server.freeze()
        try:
            with ThreadPoolExecutor(16) as pool:
                leased = list(pool.map(lambda _: ask(gateway, budgeted), range(200)))
                unlimited = list(pool.map(lambda _: ask(gateway, warm), range(60)))
                unknown = list(pool.map(lambda _: ask(gateway, cold), range(32)))
            console = requests.get(
                f"{gateway.url}/api/admin/v1/keys",
                headers={"Authorization": f"Bearer {admin}"},
                timeout=10,
            ).status_code
            ready = requests.get(f"{gateway.url}/readyz", timeout=5).json()
            still = ask(gateway, warm)
        finally:
            server.thaw()
        until(lambda: ask(gateway, cold) == 200, "the database is back")
        after = [ask(gateway, budgeted) for _ in range(3)]
        code = gateway.stop()
        database = Database.open(env["DATABASE_URL"])
        store = Store(database)
        rows = store.read(lambda s: s.scalar(select(func.count(RequestLogRow.id))))
        open_ones = store.read(
            lambda s: s.scalar(
                select(func.count(RequestLogRow.id)).where(RequestLogRow.settled_at.is_(None))
            )
        )
        reserved = store.read(lambda s: s.scalar(select(func.sum(KeyCounterRow.reserved))))
        assert_sums_agree(store)
        database.close()
        log = "".join(gateway.log)

    assert before == [200, 200]
    assert (unlimited, still) == ([200] * 60, 200)
    assert set(unknown) == {503}
    assert set(leased) == {200, 503}
    assert console == 503
    assert ready["usage_store"] in {"ok", "behind", "unavailable"}
    assert after == [200] * 3
    assert code == 0
    assert rows >= 2 + 61 + leased.count(200) + 4
    assert (open_ones, reserved) == (0, 0)
    assert "Traceback" not in log, log


@pytest.mark.process
@pytest.mark.slow
def test_a_postgresql_that_restarts_again_and_again_fails_no_call_of_a_warm_key(
    server: Postgres, tmp_path: Path, ollama: FakeOllama
) -> None:
    env = {"DATABASE_URL": server.url(), "SESSION_SECRET": "s" * 32}
    with Gateway(tmp_path, ollama_url=ollama.url, env=env) as gateway:
        codes = [ask(gateway, gateway.key)]
        ended = threading.Event()

        def call() -> list[int]:
            found = []
            while not ended.is_set():
                found.append(ask(gateway, gateway.key))
                ended.wait(0.02)
            return found

        with ThreadPoolExecutor(4) as pool:
            callers = [pool.submit(call) for _ in range(4)]
            try:
                for _ in range(times(3, 30)):
                    before = _written(env["DATABASE_URL"])
                    server.stop()
                    server.start()
                    until(lambda n=before: _written(env["DATABASE_URL"]) > n, "usage written")
            finally:
                ended.set()
            for caller in callers:
                codes += caller.result()
        code = gateway.stop()
        database = Database.open(env["DATABASE_URL"])
        assert_sums_agree(Store(database))
        database.close()
        rows = _written(env["DATABASE_URL"])

    assert set(codes) == {200}
    assert code == 0
    assert rows == len(codes)


def ask(gateway: Gateway, key: str) -> int:
    """Make a small call; give its status. A call that hangs fails the test."""
    body = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(
        f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=10
    ).status_code


def _written(url: str) -> int:
    """Give how many calls are stored and settled."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute(
            "SELECT count(*) FROM request_log WHERE settled_at IS NOT NULL"
        ).fetchone()
    return int(row[0]) if row else 0
