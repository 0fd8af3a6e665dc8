"""A real gateway before several fake Ollamas, and callers that misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from sqlalchemy import select
from sqlalchemy.orm import Session

from fake_ollama import FakeModel, FakeOllama
from gateway.core.admin import SYSTEM
from gateway.management.settings import SettingsCache
from gateway.runtime.database import Store
from gateway.runtime.versions import ChangeVersions
from gateway.store import servers
from gateway.store.coordination import versions
from gateway.store.database.engine import Database
from gateway.store.tables import RequestLogRow
from tests.support.process import Gateway, until

TERN = FakeModel("tern:latest", ("completion", "tools"), context_length=8192, slots=64)
WAIT_S = 10.0
SEEN_S = 0.1
"""How old the gateway's look at its settings may be."""


class Site:
    """A gateway with `count` servers that all have the model `tern`. A context manager."""

    def __init__(
        self,
        folder: Path,
        count: int = 1,
        workers: int = 1,
        *,
        urls: Callable[[list[FakeOllama]], list[str]] = lambda found: [one.url for one in found],
        environ: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self._workers = workers
        self._urls = urls
        self._environ = environ
        self._settings = settings
        self.ollamas = [FakeOllama([TERN]) for _ in range(count)]

    def __enter__(self) -> Site:
        for ollama in self.ollamas:
            self._stack.enter_context(ollama)
        self.gateway = Gateway(
            self._folder / "data",
            ollama_url=",".join(self._urls(self.ollamas)),
            workers=self._workers,
            env=self._environ,
        )
        self._stack.enter_context(self.gateway)
        self.database = Database.open(f"sqlite:///{self._folder / 'data' / 'gateway.db'}")
        self._stack.callback(self.database.close)
        self.change(**self._settings)
        until(self.is_ready, "the models to be known")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def ollama(self) -> FakeOllama:
        """The first server."""
        return self.ollamas[0]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.gateway.key}"}

    def change(self, **settings: Any) -> None:
        """Change settings, as another worker would."""
        store = Store(self.database)
        versions = ChangeVersions(store)
        SettingsCache(store, versions).update(settings, SYSTEM)
        versions.stop()
        time.sleep(2 * SEEN_S)

    def change_servers(self, urls: list[str] | None = None, **values: Any) -> None:
        """Change all servers, as another worker would; `urls` gives each another address."""

        def write(session: Session) -> None:
            for number, server in enumerate(servers.all_servers(session)):
                moved = {} if urls is None else {"url": urls[number]}
                servers.save(session, replace(server, **moved, **values))
            versions.bump(session, "servers")

        Store(self.database).write(write)

    def is_ready(self) -> bool:
        listed = requests.get(f"{self.gateway.url}/v1/models", headers=self.headers, timeout=5)
        return listed.ok and bool(listed.json()["data"])

    def chat(self, timeout_s: float = 30, key: str = "", **more: Any) -> requests.Response:
        """Make one chat call."""
        return requests.post(
            f"{self.gateway.url}/v1/chat/completions",
            json={"model": "tern", "messages": [{"role": "user", "content": "Tide?"}], **more},
            headers={"Authorization": f"Bearer {key}"} if key else self.headers,
            timeout=timeout_s,
        )

    def stream(self, **more: Any) -> Streamed:
        """Make one streamed chat call and read it to its end."""
        answer = self.chat(stream=True, **more)
        return Streamed(answer.status_code, answer.content, answer.headers)

    def row(self, request_id: str) -> RequestLogRow:
        """Give the settled usage row of a call; there must be exactly one."""

        def settled() -> list[RequestLogRow]:
            with self.database.read() as session:
                query = select(RequestLogRow).where(
                    RequestLogRow.request_id == request_id, RequestLogRow.settled_at.is_not(None)
                )
                return list(session.scalars(query))

        rows: list[RequestLogRow] = until(settled, f"the record of {request_id}")
        assert len(rows) == 1
        return rows[0]

    def rows(self) -> list[RequestLogRow]:
        """Give every usage row, oldest first."""
        with self.database.read() as session:
            return list(session.scalars(select(RequestLogRow).order_by(RequestLogRow.id)))

    def open_calls(self) -> int:
        """Give how many calls are admitted and not settled."""
        return sum(row.settled_at is None for row in self.rows())

    def is_back(self, ollama: FakeOllama) -> bool:
        """Whether a server gets calls: makes up to twelve of different conversations."""
        before = len(ollama.calls("/api/chat"))
        for number in range(12):
            self.chat(messages=[{"role": "user", "content": f"Conversation {number}"}])
            if len(ollama.calls("/api/chat")) > before:
                return True
        return False

    def is_known_dead(self, ollama: FakeOllama) -> bool:
        """Whether a server gets no calls any more."""
        return not self.is_back(ollama)

    def workers(self) -> list[int]:
        """Give the worker processes."""
        master = self.gateway.pid
        path = Path(f"/proc/{master}/task/{master}/children")
        return [int(pid) for pid in path.read_text().split()]

    def sockets(self) -> int:
        """Count the open sockets of all workers."""
        count = 0
        for pid in self.workers():
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    count += os.readlink(entry).startswith("socket:")
        return count

    def log(self) -> str:
        """Give what the gateway logged."""
        return "".join(self.gateway.log)


@dataclass(frozen=True)
class Streamed:
    """A streamed chat answer as it arrived."""

    status: int
    body: bytes
    headers: Any

    @property
    def frames(self) -> list[Any]:
        """The data of all frames, decoded; `[DONE]` as it is."""
        found = []
        for line in self.body.decode().splitlines():
            if line.startswith("data: "):
                data = line.removeprefix("data: ")
                found.append(data if data == "[DONE]" else json.loads(data))
        return found

    @property
    def text(self) -> str:
        """The visible text."""
        return "".join(
            choice["delta"].get("content") or ""
            for frame in self.frames
            if isinstance(frame, dict)
            for choice in frame.get("choices", ())
        )

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that ended it, if one did."""
        return next((f["error"] for f in self.frames if isinstance(f, dict) and "error" in f), None)

    @property
    def finishes(self) -> list[str]:
        """Every reason to end that was told."""
        return [
            choice["finish_reason"]
            for frame in self.frames
            if isinstance(frame, dict)
            for choice in frame.get("choices", ())
            if choice.get("finish_reason")
        ]

    @property
    def is_complete(self) -> bool:
        """Whether it ended as a whole answer does."""
        return self.frames[-1:] == ["[DONE]"]


class RawCaller:
    """A caller on a bare socket: sends what it likes, leaves how it likes."""

    def __init__(self, site: Site, **body: Any) -> None:
        given = {"model": "tern", "messages": [{"role": "user", "content": "Tide?"}], **body}
        self.data = json.dumps(given).encode()
        self.site = site
        self.sock = socket.create_connection(("127.0.0.1", site.gateway.port), 10)
        self.received = b""

    def head(self, length: int | None = None) -> bytes:
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
            f"Authorization: Bearer {self.site.gateway.key}\r\n"
            f"Content-Type: application/json\r\n"
            f"Content-Length: {len(self.data) if length is None else length}\r\n\r\n"
        ).encode()

    def send(self) -> RawCaller:
        """Send the whole request."""
        self.sock.sendall(self.head() + self.data)
        return self

    def read_until(self, mark: bytes) -> bytes:
        """Read until `mark` has come."""
        while mark not in self.received:
            part = self.sock.recv(65536)
            assert part, f"closed before {mark!r}: {self.received!r}"
            self.received += part
        return self.received

    def leave(self, how: str) -> None:
        """Hang up: by FIN, by RST, by closing only the sending half, or after sending more."""
        match how:
            case "fin":
                self.sock.close()
            case "rst":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.sock.close()
            case "half":
                self.sock.shutdown(socket.SHUT_WR)
            case "pipelined":
                self.sock.sendall(self.head() + self.data)
                self.sock.close()
            case other:
                raise AssertionError(other)

    def close(self) -> None:
        self.sock.close()


@contextlib.contextmanager
def caller(site: Site, **body: Any) -> Iterator[RawCaller]:
    """Give a raw caller whose socket is closed in the end."""
    found = RawCaller(site, **body)
    try:
        yield found
    finally:
        found.close()
