"""`make soak`: hundreds of clients of every kind, and then everything is as it was at the start.

Run by itself (`make soak` for an hour, `make test-all` for five minutes): SOAK_MINUTES says how
long, SOAK_STREAMS how many clients, SOAK_SEED which order of events. Clients read, leave, read
nothing, send bodies that never end, and talk to models whose Ollama breaks in every way. Healthy
calls must be answered whole all the while; at the end nothing is left of anybody.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import gevent
import pytest
import requests

from fake_ollama import FakeModel, FakeOllama, Fault, Script, error
from gateway.core.admin import SYSTEM
from tests.support.asking import ENDPOINTS, GENERATING
from tests.support.process import Gateway, until
from tests.support.wire import Wire, post

pytestmark = pytest.mark.process

MINUTES = float(os.environ.get("SOAK_MINUTES", "5"))
STREAMS = int(os.environ.get("SOAK_STREAMS", "300"))
SEED = int(os.environ.get("SOAK_SEED", "16"))
SETTINGS = {
    "client_write_timeout_s": 5,
    "idle_timeout_s": 5,
    "queue_max_wait_s": 10,
    "responses_store_max_rows": 500,
}
TEXT = "The tide comes in twice a day and takes the small boats with it to the sea. "
FAULTS: dict[str, Fault] = {
    "reset": Fault("reset"),
    "half": Fault("reset_mid_line", after=3),
    "chunk": Fault("fin_in_chunk", after=3),
    "nodone": Fault("nodone"),
    "said": Fault("error_line", after=3, message="runner died"),
    "silent": Fault("silent_after", after=3),
    "garbage": Fault("garbage_line", after=3, data=b"\x00\xff{"),
    "huge": Fault("huge_line", after=1, size=9 << 20),
    "html": Fault("html_500"),
    "refused": error(503, "server busy"),
}
LEFT_OVER_FILES = 40
"""Connections to Ollama that are kept for the next call, and the like."""
MOST_GROWTH = 1.2


@dataclass
class Crowd:
    """The clients, and what became of their calls."""

    gateway: Gateway
    until_s: float
    seen: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def live(self, number: int) -> None:
        """Be one client after the other until the time is over."""
        dice = random.Random(f"{SEED} {number}")
        while time.monotonic() < self.until_s:
            (kind,) = dice.choices(list(KINDS), [weight for weight, _ in KINDS.values()])
            self.seen[kind] += 1
            with Wire(self.gateway, 60.0) as wire:
                try:
                    KINDS[kind][1](self, wire, dice)
                except (AssertionError, OSError, ValueError) as wrong:
                    self.broken.append(f"{kind}: {type(wrong).__name__} {str(wrong)[:200]}")

    def ask(self, wire: Wire, name: str, **changes: Any) -> None:
        """Send a request to an endpoint."""
        endpoint = ENDPOINTS[name]
        wire.send(post(endpoint.path, endpoint.with_(**changes), self.gateway.key))


Kind: TypeAlias = Callable[[Crowd, Wire, random.Random], None]


def _stream(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    name = dice.choice(list(GENERATING))
    crowd.ask(wire, name, model="tern", stream=True)
    reply = wire.reply()
    assert reply.status == 200, reply.body
    ending = {"messages": b"message_stop", "responses": b"response.completed"}
    assert ending.get(name, b"[DONE]") in reply.body, reply.body[-300:]


def _whole(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    crowd.ask(wire, dice.choice(list(GENERATING)), model="tern")
    reply = wire.reply()
    assert reply.status == 200, reply.body


def _embedding(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    crowd.ask(wire, "embeddings", input=[TEXT] * dice.randint(1, 20))
    assert wire.reply().status == 200


def _leaver(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    """Leave in the middle, or before the answer, with FIN or RST."""
    crowd.ask(wire, dice.choice(list(GENERATING)), model="tern", stream=dice.random() < 0.8)
    if dice.random() < 0.7:
        wire.head()
        gevent.sleep(dice.random())
    if dice.random() < 0.5:
        wire.reset()


def _never_reader(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    """Read nothing of an answer without end, until the gateway ends the connection."""
    crowd.ask(wire, "chat", model="endless", stream=True)
    with suppress(AssertionError):  # the time is over first
        until(lambda: _is_ended(wire) or time.monotonic() > crowd.until_s, "its end", 60.0)


def _is_ended(wire: Wire) -> bool:
    """Look for the end of the connection without reading what came."""
    poller = gevent.select.poll()
    poller.register(wire.sock, gevent.select.POLLHUP)
    return bool(poller.poll(0))


def _half_body(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    """Send a byte now and then of a body that never ends; it is refused, or the time is over."""
    path = dice.choice(["/v1/chat/completions", "/auth/login"])
    wire.send(
        f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {crowd.gateway.key}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 50000\r\n\r\n".encode()
    )
    wire.sock.settimeout(1.0)
    while time.monotonic() < crowd.until_s:
        wire.send(b"a")
        with suppress(TimeoutError):
            assert wire.reply().status in {400, 499}
            return


def _fault(crowd: Crowd, wire: Wire, dice: random.Random) -> None:
    """Talk to an Ollama that breaks: a status, or an error event, and never a whole answer."""
    name, model = dice.choice(list(GENERATING)), dice.choice(list(FAULTS))
    crowd.ask(wire, name, model=model, stream=dice.random() < 0.7)
    reply = wire.reply()
    assert reply.status in {200, 502, 503, 504}, reply.body
    assert reply.status != 200 or b"error" in reply.body, reply.body[-300:]
    assert not any(end in reply.body for end in (b"[DONE]", b"message_stop", b"response.completed"))


KINDS: dict[str, tuple[int, Kind]] = {
    "stream": (50, _stream),
    "whole": (12, _whole),
    "embedding": (6, _embedding),
    "leaver": (14, _leaver),
    "never-reader": (2, _never_reader),
    "half body": (2, _half_body),
    "fault": (14, _fault),
}


@dataclass(frozen=True)
class State:
    """What a gateway holds of the system and of its database."""

    memory: int
    files: int
    threads: int
    wal: int
    open_calls: int
    reserved: int
    rows: int
    running: float
    backlog: float

    @classmethod
    def of(cls, gateway: Gateway) -> State:
        master = Path(f"/proc/{gateway.pid}")
        (worker,) = (master / "task" / master.name / "children").read_text().split()
        status = Path(f"/proc/{worker}/status").read_text()
        database = gateway.folder / "gateway.db"
        text = requests.get(f"{gateway.url}/metrics", timeout=30).text
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
            (open_calls,) = store.execute(
                "select count(*) from request_log where settled_at is null"
            ).fetchone()
            (rows,) = store.execute("select count(*) from request_log").fetchone()
            (reserved,) = store.execute(
                "select coalesce(sum(units), 0) from counter_lease"
            ).fetchone()
        store.close()
        wal = Path(f"{database}-wal")
        return cls(
            int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) << 10,
            len(list(Path(f"/proc/{worker}/fd").iterdir())),
            int(re.findall(r"Threads:\s+(\d+)", status)[0]),
            wal.stat().st_size if wal.exists() else 0,
            open_calls,
            reserved,
            rows,
            _metric(text, "o2a_requests_in_progress"),
            _metric(text, "o2a_usage_backlog_records"),
        )

    def is_quiet(self) -> bool:
        """Whether nobody's call is left."""
        return not (self.running or self.backlog or self.open_calls or self.reserved)


def _metric(text: str, name: str) -> float:
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    names = ["tern", "endless", *FAULTS]
    models = [FakeModel(f"{name}:latest", ("completion",), slots=STREAMS) for name in names]
    embedder = FakeModel("nomic-embed-text:latest", ("embedding",), slots=STREAMS)
    with FakeOllama([*models, embedder], max_loaded=len(names) + 1) as server:
        server.script("tern", Script(content=TEXT * 2, delay_s=0.2))
        server.script("endless", Script(content=TEXT * 400, endless=True))
        for name, fault in FAULTS.items():
            server.script(name, Script(content=TEXT, fault=fault))
        yield server


def _run(gateway: Gateway, minutes: float) -> Crowd:
    crowd = Crowd(gateway, time.monotonic() + minutes * 60)
    clients = [gevent.spawn(crowd.live, number) for number in range(STREAMS)]
    gevent.joinall(clients, raise_error=True)
    return crowd


@pytest.mark.timeout(int(MINUTES * 75) + 240)
def test_nothing_is_left_of_anybody(ollama: FakeOllama, tmp_path: Path) -> None:
    with Gateway(tmp_path / "data", ollama_url=ollama.url) as gateway:
        with gateway.parts() as parts:
            parts.settings.update(SETTINGS, SYSTEM)
            parts.servers.update(1, {"slots": STREAMS}, SYSTEM)
        gateway.key = gateway.issue_key(
            "crowd", budgets=[{"metric": "tokens", "period": "month", "limit": 10**9}]
        )
        _run(gateway, min(1.0, MINUTES / 5))  # modules, pools and caches are filled
        until(lambda: State.of(gateway).is_quiet(), "a quiet gateway", 60.0)
        before = State.of(gateway)
        crowd = _run(gateway, MINUTES)
        until(lambda: State.of(gateway).is_quiet(), "a quiet gateway", 60.0)
        with suppress(AssertionError):  # the watchdog gives memory back every half a minute
            most = MOST_GROWTH * before.memory
            until(lambda: State.of(gateway).memory <= most, "memory given back", 60.0)
        after = State.of(gateway)
        lag = requests.get(f"{gateway.url}/metrics", timeout=30).text
        log = "".join(gateway.log)

    calls = crowd.seen.total()
    print(f"{calls} calls in {MINUTES:g} minutes: {dict(crowd.seen)}", before, after, sep="\n")
    print(*re.findall(r"^o2a_hub_(?:lag_seconds_bucket|stalls_total).*$", lag, re.M), sep="\n")
    ollama.wait_idle()
    assert crowd.broken == [], (len(crowd.broken), Counter(crowd.broken).most_common(9))
    assert after.files <= before.files + LEFT_OVER_FILES
    assert after.threads <= before.threads + 4
    assert after.memory <= MOST_GROWTH * before.memory
    assert after.wal <= 128 << 20
    assert after.rows > before.rows
    assert "Traceback" not in log
