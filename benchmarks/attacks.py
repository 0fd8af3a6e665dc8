"""What honest callers notice while somebody attacks; a real gateway, real sockets.

    python -m benchmarks.attacks [crowd|bodies|guesses ...] [--connections 10000]

*crowd*: a stranger holds thousands of connections that say nothing, half a head, half a form, or
drip; measured is how long a look at `/healthz`, the page to sign in and a call with a key take.
*bodies*: legal bodies of just under `max_body_mb`, three at once, beside twenty streams; measured
is the longest gap between two tokens of a stream, and of looks at `/healthz`.
*guesses*: wrong passwords for the owner's name from a thousand addresses; measured is how long the
owner with the right one tries, from a browser that signed in before and from a new one.

Each prints a line of the table in `docs/reliability.md`. Times include the attacker's own work on
the same processors.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from tests.contract.wire import Wire, post
from tests.fake_ollama import FakeModel, FakeOllama, Script
from tests.process import ADMIN_PASSWORD, Gateway

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
    parser.add_argument("attacks", nargs="*", choices=[*ATTACKS], default=list(ATTACKS))
    parser.add_argument("--connections", type=int, default=10_000)
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name in chosen.attacks:
        ATTACKS[name](chosen.connections)


@contextmanager
def gateway(**env: str) -> Iterator[Gateway]:
    """Start a gateway before a fake Ollama with one paced model."""
    with (
        FakeOllama([FakeModel("tern:latest", ("completion", "tools"), slots=64)]) as ollama,
        tempfile.TemporaryDirectory() as folder,
        Gateway(Path(folder) / "data", ollama_url=ollama.url, env=env) as running,
    ):
        ollama.script("tern", Script(content="one two three " * 400, delay_s=0.02))
        yield running


def crowd(connections: int) -> None:
    """Hold connections and look how others are served meanwhile."""
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


def bodies(_: int) -> None:
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


def guesses(_: int) -> None:
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


ATTACKS: dict[str, Callable[[int], None]] = {"crowd": crowd, "bodies": bodies, "guesses": guesses}

if __name__ == "__main__":
    main()
