"""Something answers on Redis' port that is no Redis: calls go on, and all is shared afterwards."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.accounting.metrics import Metrics, Sample
from gateway.limits.limiter import Limiter
from gateway.runtime import redis_connection, tasks
from gateway.runtime.database import Store
from gateway.runtime.shared_counts import SharedCounts, slot_name
from tests.services.test_limiter import admitted, key
from tests.support.servers import Redis, running_redis

pytestmark = pytest.mark.services

WAIT_S = 20.0
RUBBISH = {
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "bytes": b"\x00\xff\xfe" * 40 + b"\r\n",
    "ok": b"+OK\r\n",
    "null": b"_\r\n",
    "no number": b":x\r\n",
    "no length": b"$abc\r\n",
    "negative length": b"*-7\r\n",
    "map": b"%1\r\n+server\r\n:1\r\n",
    "texts": b"*3\r\n+a\r\n+b\r\n+c\r\n",
    "push": b">1\r\n+x\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "nothing": b"",
}


class Door:
    """A port that answers with `rubbish`, or leads to a Redis while there is none."""

    def __init__(self, redis: Redis) -> None:
        self.rubbish: bytes | None = None
        self._redis = redis
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def turn(self, rubbish: bytes | None) -> None:
        """Answer so from now on; what is open ends."""
        self.rubbish = rubbish
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.turn(None)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if self.rubbish is not None:
                while client.recv(65536):
                    client.sendall(self.rubbish * 8)
                    if not self.rubbish:
                        return
            upstream = socket.create_connection(("127.0.0.1", self._redis.port))
            self._open.append(upstream)
            with upstream:
                back = threading.Thread(target=_pass_on, args=(upstream, client), daemon=True)
                back.start()
                _pass_on(client, upstream)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(redis_connection, "RETRY_S", 0.02)
    with running_redis() as server:
        door = Door(server)
        yield door
        door.close()


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_fails_no_call_and_all_is_shared_again(store: Store, door: Door, kind: str) -> None:
    counts = SharedCounts(door.url)
    limiter = Limiter(store, counts)
    here, back = counts.redis.on_back, tasks.Event()
    counts.redis.on_back = lambda: (here(), back.set())  # type: ignore[func-returns-value]
    counts.start()
    mine = key(1, requests_per_minute=10, concurrent=50)
    name = slot_name(1, "tern:latest")

    door.turn(RUBBISH[kind])
    granted = admitted(limiter, mine, 20)
    taken = [counts.try_acquire(name, counts.new_lease(), 1).granted for _ in range(3)]
    waiting = counts.remote_waiting()
    is_away = counts.redis.is_away
    door.turn(None)
    assert back.wait(WAIT_S)
    other = SharedCounts(door.url)
    assert counts.flush(WAIT_S)
    refused = other.try_acquire(name, other.new_lease(), 3)
    shared = [
        admitted(Limiter(store, one), key(2, requests_per_minute=6), 4) for one in (counts, other)
    ]
    alive = counts._task is not None and not counts._task.ended
    for one in (counts, other):
        one.stop()

    assert (granted, taken, is_away) == (10, [True] * 3, True)
    assert not waiting
    assert (refused.granted, refused.remote_in_flight) == (False, 3)
    assert shared == [4, 2]
    assert alive


def test_what_a_background_job_raises_is_counted_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds: list[int] = []
    done = tasks.Event()

    def work() -> None:
        rounds.append(1)
        if len(rounds) == 3:
            done.set()
        raise AttributeError("rubbish")

    job = tasks.Every(0.001, work, "a job of a test")
    job.start()
    assert done.wait(WAIT_S)
    job.stop()
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics = Metrics("1")
    metrics.sample(Sample())
    found = tasks.failures.pop("a job of a test")

    assert found.count >= 2
    assert found.error == "AttributeError"
    assert f'o2a_background_failures{{task="a job of a test"}} {found.count}.0' in (
        metrics.text().decode()
    )
