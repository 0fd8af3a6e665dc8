"""What honest callers notice while somebody attacks; a real gateway, real sockets.

    python -m benchmarks.attacks [crowd|bodies|guesses|kills|limits ...] [--connections 10000]
                                 [--minutes 60]

*crowd*: a stranger holds thousands of connections that say nothing, half a head, half a form, or
drip; measured is how long a look at `/healthz`, the page to sign in and a call with a key take.
*bodies*: legal bodies of just under `max_body_mb`, three at once, beside twenty streams; measured
is the longest gap between two tokens of a stream, and of looks at `/healthz`.
*guesses*: wrong passwords for the owner's name from a thousand addresses; measured is how long the
owner with the right one tries, from a browser that signed in before and from a new one.
*kills*: forty times one of four workers is killed under streams of fifty tokens a second; counted
are answered calls without a record, and tokens delivered that no record knows.
*limits*: one key calls as fast as its limits let it, and faster; measured is what the database
keeps of each call. Runs `--minutes`, so it is left out where no attack is named.

Each prints a line of the table in `docs/reliability.md`. Times include the attacker's own work on
the same processors.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from fake_ollama import FakeModel, FakeOllama, Script
from tests.support.process import ADMIN_PASSWORD, Gateway, until
from tests.support.servers import running_redis
from tests.support.wire import Wire, post

FORM = (
    b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\nusername=a"
)
CROWDS = {"nothing": b"", "half a head": b"GET / HTTP/1.1\r\nHo", "half a form": FORM, "drip": FORM}
SECONDS = 20
MB = 1 << 20


def main() -> None:
    """Run the attacks that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", choices=[*ATTACKS], default=[*ATTACKS][:-1])
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60)
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name in chosen.attacks:
        ATTACKS[name](chosen)


@contextmanager
def gateway(workers: int = 1, **env: str) -> Iterator[Gateway]:
    """Start a gateway before a fake Ollama with one paced model."""
    with (
        FakeOllama([FakeModel("tern:latest", ("completion", "tools"), slots=64)]) as ollama,
        tempfile.TemporaryDirectory() as folder,
        Gateway(Path(folder) / "data", ollama_url=ollama.url, workers=workers, env=env) as running,
    ):
        ollama.script("tern", Script(content="one two three " * 400, delay_s=0.02))
        yield running


def crowd(chosen: argparse.Namespace) -> None:
    """Hold connections and look how others are served meanwhile."""
    connections = chosen.connections
    for name, said in CROWDS.items():
        with gateway() as target:
            end = threading.Event()
            attack = threading.Thread(
                target=_hold, args=(target.port, said, name == "drip", connections, end)
            )
            attack.start()
            slowest = _look(target, time.monotonic() + SECONDS)
            end.set()
            attack.join()
        print(f"{connections} connections, {name}: " + _told(slowest), flush=True)


def _hold(port: int, said: bytes, drips: bool, count: int, end: threading.Event) -> None:
    """Open connections one after the other, and again those that were closed."""
    held: list[socket.socket] = []
    for number in itertools.count():
        if end.is_set():
            break
        if len(held) >= count:
            time.sleep(0.001)
            if drips:
                with suppress(OSError):
                    held[number % count].send(b"a")
            continue
        with suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", port), 5))
            held[-1].sendall(said)
    for sock in held:
        sock.close()


def _look(target: Gateway, until_s: float) -> dict[str, list[float]]:
    """Ask for three things again and again; return the seconds each took, inf for a failure."""
    keyed = {"Authorization": f"Bearer {target.key}"}
    asked = {"/healthz": {}, "/auth/login": {}, "/v1/models": keyed}
    took: dict[str, list[float]] = {path: [] for path in asked}
    while time.monotonic() < until_s:
        for path, headers in asked.items():
            began_s = time.monotonic()
            with suppress(requests.RequestException):
                answer = requests.get(target.url + path, headers=headers, timeout=30)
                took[path].append(time.monotonic() - began_s if answer.ok else float("inf"))
                continue
            took[path].append(float("inf"))
        time.sleep(0.05)
    return took


def _told(took: dict[str, list[float]]) -> str:
    return ", ".join(
        f"{name} p50 {sorted(times)[len(times) // 2] * 1000:.0f} ms max {max(times) * 1000:.0f} ms"
        for name, times in took.items()
    )


def bodies(_: argparse.Namespace) -> None:
    """Send large legal bodies beside streams."""
    for name, body in _bodies():
        with gateway() as target:
            gaps: list[float] = []
            end = threading.Event()
            streams = [
                threading.Thread(target=_stream, args=(target, gaps, end)) for _ in range(20)
            ]
            for stream in streams:
                stream.start()
            time.sleep(1)
            answers: list[int] = []
            senders = [
                threading.Thread(target=_send, args=(target, body, answers)) for _ in range(3)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            end.set()
            for stream in streams:
                stream.join()
        print(
            f"3 bodies of {len(body) / MB:.0f} MB, {name}: answers {sorted(answers)}, longest gap "
            f"of 20 streams {max(gaps) * 1000:.0f} ms",
            flush=True,
        )


def _bodies() -> Iterator[tuple[str, bytes]]:
    size = 49 * MB
    ask: dict[str, Any] = {"model": "tern", "max_tokens": 5}
    call = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "@"}}
    shapes: dict[str, tuple[Any, str]] = {
        "arguments of a call": (
            ask | {"messages": [{"role": "assistant", "tool_calls": [call]}]},
            '{\\"a\\":[' + "1," * (size // 2) + "1]}",
        ),
        "text": (ask | {"messages": [{"role": "user", "content": "@"}]}, "word " * (size // 5)),
        "parts": (
            ask | {"messages": [{"role": "user", "content": ["@"]}]},
            ",".join(['{"type":"text","text":"a"}'] * (size // 27)),
        ),
        "schema": (
            ask
            | {"messages": [{"role": "user", "content": "a"}]}
            | {"response_format": {"type": "json_schema", "json_schema": {"schema": ["@"]}}},
            ",".join(f'{{"p{n}":1}}' for n in range(size // 14)),
        ),
        "picture": (
            ask
            | {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image_url",
                                "image_url": {"url": "data:image/png;base64,@"},
                            }
                        ],
                    }
                ]
            },
            "iVBORw0KGgo" + "A" * (size // 3),
        ),
    }
    for name, (body, filling) in shapes.items():
        plain = json.dumps(body)
        quoted = '"@"' if '["@"]' in plain else "@"
        yield name, plain.replace(quoted, filling).encode()


def _stream(target: Gateway, gaps: list[float], end: threading.Event) -> None:
    body = {"model": "tern", "messages": [{"role": "user", "content": "a"}], "stream": True}
    while not end.is_set():
        with Wire(target, 60) as wire:
            wire.send(post("/v1/chat/completions", body, target.key))
            _, headers = wire.head()
            last_s = time.monotonic()
            for _ in wire.body(headers):
                now_s = time.monotonic()
                gaps.append(now_s - last_s)
                last_s = now_s
                if end.is_set():
                    return


def _send(target: Gateway, body: bytes, answers: list[int]) -> None:
    with Wire(target, 120) as wire:
        with suppress(OSError):  # refused before it was read
            wire.send(post("/v1/chat/completions", body, target.key))
        answers.append(wire.reply().status)


def guesses(_: argparse.Namespace) -> None:
    """Guess the owner's password from a thousand addresses while the owner signs in."""
    with gateway(TRUSTED_PROXIES="1") as target:
        known = _Browser(target, "198.51.100.7")
        known.sign_in(ADMIN_PASSWORD)
        end = threading.Event()
        attackers = [threading.Thread(target=_guess, args=(target, end)) for _ in range(8)]
        for attacker in attackers:
            attacker.start()
        time.sleep(10)
        tries = {"known browser": [], "new browser": []}
        for number in range(10):
            for name, browser in (
                ("known browser", known),
                ("new browser", _Browser(target, f"203.0.{number}.9")),
            ):
                began_s = time.monotonic()
                count = 1
                while not browser.sign_in(ADMIN_PASSWORD):
                    count += 1
                    time.sleep(1)
                tries[name].append((count, round(time.monotonic() - began_s, 2)))
        end.set()
        for attacker in attackers:
            attacker.join()
    for name, found in tries.items():
        print(f"guesses, {name}: (tries, seconds) worst {max(found)}, all {found}", flush=True)


class _Browser:
    """Somebody with cookies at an address."""

    def __init__(self, target: Gateway, address: str) -> None:
        self._url = f"{target.url}/auth/login"
        self._session = requests.Session()
        self._session.headers["X-Forwarded-For"] = address

    def sign_in(self, password: str) -> bool:
        """Whether the password let us in."""
        page = self._session.get(self._url, timeout=60, allow_redirects=False)
        token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert token is not None
        fields = {"username": "admin", "password": password, "csrf_token": token[1]}
        answer = self._session.post(self._url, fields, timeout=60, allow_redirects=False)
        is_in = answer.status_code == 303
        if is_in:  # the session ends, the browser stays known
            for cookie in [one for one in self._session.cookies if "session" in one.name]:
                self._session.cookies.clear(cookie.domain, cookie.path, cookie.name)
        return is_in


def _guess(target: Gateway, end: threading.Event) -> None:
    dice = random.Random()
    while not end.is_set():
        address = f"10.{dice.randrange(4)}.{dice.randrange(250)}.9"
        with suppress(requests.RequestException):
            _Browser(target, address).sign_in("not the password")


def kills(_: argparse.Namespace) -> None:
    """Kill a worker of four forty times, and compare what clients got with the records."""
    got: dict[str, int] = {}
    with running_redis() as redis, gateway(4, REDIS_URL=redis.url) as target:
        end = threading.Event()
        clients = [threading.Thread(target=_read, args=(target, got, end)) for _ in range(16)]
        for client in clients:
            client.start()
        for _ in range(40):
            time.sleep(2)
            until(lambda: len(_workers(target)) == 4, "four workers")
            os.kill(random.choice(_workers(target)), signal.SIGKILL)
        end.set()
        for client in clients:
            client.join()
        until(lambda: None not in _recorded(target).values(), "the end of every call", 120)
        recorded = _recorded(target)
    missing = [tokens - (recorded.get(name) or 0) for name, tokens in got.items()]
    print(
        f"40 kills: {len(got)} calls were answered, {len(got.keys() - recorded)} have no record; "
        f"{sum(short > 0 for short in missing)} records lack tokens, at most {max(missing)} "
        f"of fifty a second, median {sorted(missing)[-len(missing) // 4]}",
        flush=True,
    )


def _read(target: Gateway, got: dict[str, int], end: threading.Event) -> None:
    """Read streams and count their pieces, each of one token, by the id of the request."""
    body = {"model": "tern", "messages": [{"role": "user", "content": "a"}], "stream": True}
    while not end.is_set():
        with suppress(OSError, AssertionError, ValueError), Wire(target, 60) as wire:
            wire.send(post("/v1/chat/completions", body | {"max_tokens": 250}, target.key))
            status, headers = wire.head()
            if status == 200:
                name = headers["x-request-id"]
                got[name] = 0
                for piece in wire.body(headers):
                    got[name] += piece.count(b'"delta":{"content":"')


def _workers(target: Gateway) -> list[int]:
    text = Path(f"/proc/{target.pid}/task/{target.pid}/children").read_text()
    return [int(child) for child in text.split()]


def _recorded(target: Gateway) -> dict[str, int | None]:
    """Return the answer's tokens by request id, None of calls that have not ended."""
    with closing(sqlite3.connect(target.folder / "gateway.db", timeout=30)) as store:
        settled = "case when settled_at is not null then completion_tokens end"
        return dict(store.execute(f"select request_id, {settled} from request_log"))


def limits(chosen: argparse.Namespace) -> None:
    """Call with one key as fast as it may, and faster, in all ways that leave something."""
    with gateway() as target:
        target.key = target.issue_key("busy", requests_per_minute=600, concurrent=8)
        before = _stored(target)
        until_s = time.monotonic() + chosen.minutes * 60
        answers: Counter[int] = Counter()
        clients = [
            threading.Thread(target=_insist, args=(target, until_s, answers)) for _ in range(10)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        time.sleep(5)  # what is written late
        calls = len(_recorded(target))
        grown = _stored(target) - before
    print(
        f"one key for {chosen.minutes:g} minutes: answers {dict(answers)}, {calls} records, the "
        f"database grew by {grown / MB:.1f} MB, {grown / calls:.0f} bytes a record",
        flush=True,
    )


def _insist(target: Gateway, until_s: float, answers: Counter[int]) -> None:
    dice = random.Random()
    with requests.Session() as session:
        while time.monotonic() < until_s:
            body = {
                "model": "tern", "max_tokens": 3, "stop": [os.urandom(9).hex() for _ in range(9)],
                "user": os.urandom(20).hex(), os.urandom(9).hex(): os.urandom(99).hex(),
                "messages": [{"role": "user", "content": "a" * dice.randrange(9000)}],
            }  # fmt: skip
            headers = {
                "Authorization": f"Bearer {target.key}", "User-Agent": os.urandom(30).hex()
            }  # fmt: skip
            answer = session.post(
                f"{target.url}/v1/chat/completions", json=body, headers=headers, timeout=60
            )
            answers[answer.status_code] += 1
            time.sleep(0.4)


def _stored(target: Gateway) -> int:
    """Return the size of the database in bytes."""
    with closing(sqlite3.connect(target.folder / "gateway.db", timeout=30)) as store:
        return store.execute(
            "select page_count * page_size from pragma_page_count, pragma_page_size"
        ).fetchone()[0]


ATTACKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "crowd": crowd,
    "bodies": bodies,
    "guesses": guesses,
    "kills": kills,
    "limits": limits,
}

if __name__ == "__main__":
    main()
