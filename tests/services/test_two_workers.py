"""Several real workers on one store: a revoked key ends everywhere, a budget holds, a killed worker
leaves no trace in the sums, and two gateways on PostgreSQL and Redis behave as one."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama, Script
from tests.soak import times
from tests.support.process import Gateway, until
from tests.support.servers import Postgres, running_redis

pytestmark = [pytest.mark.process, pytest.mark.timeout(times(300, 3600))]

WAIT_S = 20.0


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as fake:
        yield fake


class Admin:
    """The REST API of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._headers = {"Authorization": f"Bearer {gateway.issue_token()}"}
        self._url = f"{gateway.url}/api/admin/v1"

    def post(self, path: str, body: object = None) -> dict:
        response = requests.post(
            self._url + path, json=body or {}, headers=self._headers, timeout=30
        )
        assert response.ok, response.text
        return response.json()

    def issue(self, name: str, **limits: object) -> tuple[int, str]:
        """Issue a key; give its id and secret."""
        made = self.post("/keys", {"name": name, **limits})
        return made["id"], made["secret"]

    def revoke(self, key_id: int) -> None:
        """Revoke a key."""
        self.post(f"/keys/{key_id}/revoke")


def budget(period: str, limit: int) -> list[dict[str, object]]:
    return [{"metric": "requests", "period": period, "limit": limit}]


def chat(url: str, key: str, *, model: str = "llama3.2", stream: bool = False) -> requests.Response:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    return requests.post(
        f"{url}/v1/chat/completions", json=body, headers=headers, stream=stream, timeout=60
    )


def rows(gateway: Gateway, query: str) -> list[tuple]:
    connection = sqlite3.connect(gateway.folder / "gateway.db", timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def sums_agree(gateway: Gateway) -> bool:
    """Whether rows, rollups and counters say the same."""
    settled = "FROM request_log WHERE settled_at IS NOT NULL"
    calls, tokens = rows(
        gateway, f"SELECT count(*), coalesce(sum(prompt_tokens + completion_tokens), 0) {settled}"
    )[0]
    counted = rows(gateway, f"SELECT count(*) {settled} AND counted AND key_id IS NOT NULL")[0][0]
    hours = rows(gateway, "SELECT coalesce(sum(requests), 0) FROM usage_hour")[0][0]
    days = rows(gateway, "SELECT coalesce(sum(requests), 0) FROM usage_day")[0][0]
    spent = dict(
        rows(gateway, "SELECT metric, sum(used) FROM key_counter WHERE period = 'total' GROUP BY 1")
    )
    return (
        calls == hours == days
        and spent.get("requests", 0) == counted
        and spent.get("tokens", 0) == tokens
    )


@pytest.mark.slow
def test_a_revoked_key_is_refused_by_every_worker_and_its_streams_end(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    ollama.script("qwen3:8b", Script(content="word " * 20, delay_s=0.05, endless=True))
    with Gateway(tmp_path, ollama_url=ollama.url, workers=3, issue_key=False) as gateway:
        admin = Admin(gateway)
        key_id, secret = admin.issue("doomed")
        answers = [chat(gateway.url, secret).status_code for _ in range(12)]
        stream = chat(gateway.url, secret, model="qwen3:8b", stream=True)
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.extend(stream.iter_lines()))
        reader.start()
        until(lambda: len(lines) > 10, "the first words")
        admin.revoke(key_id)
        revoked_s = time.monotonic()
        time.sleep(1.0)  # the stated bound: nothing may be admitted later
        late = [chat(gateway.url, secret).status_code for _ in range(20)]
        reader.join(WAIT_S)
        ended_s = time.monotonic() - revoked_s

    assert answers == [200] * 12
    assert set(late) == {401}
    assert not reader.is_alive()
    assert b"revoked" in [line for line in lines if line][-1], lines[-4:]
    assert ended_s < WAIT_S


@pytest.mark.slow
def test_a_budget_holds_across_workers_and_killed_ones_leave_the_sums_right(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    with Gateway(tmp_path, ollama_url=ollama.url, workers=3, issue_key=False) as gateway:
        admin = Admin(gateway)
        _, secret = admin.issue("limited", budgets=budget("total", 40))
        with ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(lambda _: chat(gateway.url, secret).status_code, range(120)))
        _, free = admin.issue("free")
        for _ in range(times(1, 25)):
            until(lambda: len(_children(gateway.pid)) == 3, "three workers")
            with ThreadPoolExecutor(8) as pool:
                running = [pool.submit(_quietly, gateway.url, free) for _ in range(60)]
                os.kill(_children(gateway.pid)[0], signal.SIGKILL)
                for call in running:
                    call.result()
        until(
            lambda: (
                rows(gateway, "SELECT count(*) FROM request_log WHERE settled_at IS NULL")[0][0]
                == 0
            ),
            "the end of every call",
        )
        until(lambda: sums_agree(gateway), "agreement of rows, rollups and counters")

    assert codes.count(200) == 40
    assert set(codes) == {200, 429}


def _quietly(url: str, key: str) -> None:
    try:
        chat(url, key)
    except requests.RequestException:
        return  # its worker was killed


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.services
def test_two_gateways_on_one_postgresql_and_redis_behave_as_one(
    tmp_path: Path, ollama: FakeOllama, postgres: Postgres
) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        env = {"DATABASE_URL": postgres.url(), "REDIS_URL": redis.url, "SESSION_SECRET": "s" * 32}
        first, second = (
            stack.enter_context(
                Gateway(
                    tmp_path / name, ollama_url=ollama.url, workers=2, env=env, issue_key=False
                )
            )
            for name in ("first", "second")
        )  # fmt: skip
        here, there = Admin(first), Admin(second)
        _, secret = here.issue("shared", requests_per_minute=30)
        both = (first.url, second.url)
        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda n: chat(both[n % 2], secret).status_code, range(80)))
        _, budgeted = here.issue("budgeted", budgets=budget("day", 25))
        with ThreadPoolExecutor(8) as pool:
            spent = list(pool.map(lambda n: chat(both[n % 2], budgeted).status_code, range(60)))
        key_id, doomed = there.issue("doomed")
        time.sleep(1.0)  # the stated bound: every worker knows the key
        before = [chat(url, doomed).status_code for url in both]
        there.revoke(key_id)
        time.sleep(1.0)  # the stated bound: nothing may be admitted later
        after = [chat(url, doomed).status_code for url in both * 4]

    assert (codes.count(200), set(codes)) == (30, {200, 429})
    assert (spent.count(200), set(spent)) == (25, {200, 429})
    assert before == [200, 200]
    assert set(after) == {401}
