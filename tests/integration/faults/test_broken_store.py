"""The database is locked or gone while calls run: they are answered, and the records come when it
is well again (P10, P11)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama
from tests.support.process import Gateway, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

WAIT_S = 30.0


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as fake:
        yield fake


def ask(gateway: Gateway, key: str) -> int:
    """Make a small call; give its status. A call that hangs fails the test."""
    body = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{gateway.url}/v1/chat/completions"
    return requests.post(url, json=body, headers=headers, timeout=15).status_code


def ask_often(gateway: Gateway, count: int) -> list[int]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: ask(gateway, gateway.key), range(count)))


def state(gateway: Gateway) -> str:
    return str(requests.get(f"{gateway.url}/readyz", timeout=15).json()["usage_store"])


def settled(path: Path) -> int:
    connection = sqlite3.connect(path, timeout=10)
    try:
        query = "SELECT count(*) FROM request_log WHERE settled_at IS NOT NULL"
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def is_sound(path: Path) -> bool:
    """Whether the file is undamaged, and sums equal rows."""
    connection = sqlite3.connect(path, timeout=10)
    try:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        rows = connection.execute("SELECT count(*) FROM request_log WHERE settled_at IS NOT NULL")
        sums = connection.execute("SELECT coalesce(sum(requests), 0) FROM usage_hour")
        return found == "ok" and rows.fetchone() == sums.fetchone()
    finally:
        connection.close()


@pytest.mark.slow
def test_a_database_locked_by_another_program_costs_no_answer_and_no_record(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    database = tmp_path / "gateway.db"
    with Gateway(tmp_path, ollama_url=ollama.url) as gateway:
        before = ask_often(gateway, 5)
        until(lambda: settled(database) == 5, "the first records")
        holder = sqlite3.connect(database, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        locked = ask_often(gateway, 100)
        until(lambda: state(gateway) == "unavailable", "that records cannot be written")
        still = ask_often(gateway, 20)
        holder.execute("ROLLBACK")
        holder.close()
        until(lambda: settled(database) == 125, "every record")
        code = gateway.stop()

    assert set(before + locked + still) == {200}
    assert code == 0
    assert is_sound(database)
    assert "Traceback" not in "".join(gateway.log)


def _delete(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(_delete, id="deleted"),
        pytest.param(_overwrite, id="overwritten", marks=pytest.mark.slow),
    ],
)
def test_a_database_that_is_lost_while_serving_ends_no_call(
    tmp_path: Path, ollama: FakeOllama, harm: Callable[[Path], None]
) -> None:
    """Warm keys go on for a minute, a new start says in one line what is wrong, or begins anew."""
    database = tmp_path / "gateway.db"
    with Gateway(tmp_path, ollama_url=ollama.url) as gateway:
        ask_often(gateway, 5)
        until(lambda: settled(database) == 5, "the first records")
        harm(database)
        lost = ask_often(gateway, 16)
        alive = requests.get(f"{gateway.url}/healthz", timeout=15).status_code
        console = requests.get(f"{gateway.url}/login", timeout=15).status_code
        gateway.stop()
        started = gateway.run("-m", "gateway.start", "serve", "--prepare", check=False)

    assert set(lost) == {200}
    assert alive == 200
    assert console in {200, 302, 404, 503}
    if harm is _overwrite:
        assert started.returncode == 2
        assert "is damaged" in started.stderr
        assert started.stderr.count("\n") == 1
    else:
        assert started.returncode == 0
