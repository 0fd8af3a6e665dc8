"""Adds, tries, changes and removes Ollama servers: one place for console, command line and REST.

Every change is checked, stored, marked for the other workers and written to the audit log in one
transaction. The authorization header goes in here and never out again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditAction
from gateway.core.chat import Json
from gateway.errors import GatewayError, InvalidRequest, Message
from gateway.ollama import nearby, server_url
from gateway.ollama.diagnosis import Trouble, explain
from gateway.runtime import tasks as offload
from gateway.runtime.database import Store
from gateway.scheduling.clients import Clients
from gateway.scheduling.discovery import Refresher
from gateway.schemas import convert
from gateway.schemas.server import Server
from gateway.store import audit, servers

DISCOVERY_S: Final = 4.0
_FIRST_LIST_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial of an address showed: version and models, or the trouble with it."""

    url: str
    version: str = ""
    models: tuple[str, ...] = ()
    latency_ms: float | None = None
    trouble: Trouble | None = None


@dataclass(eq=False)
class Servers:
    """Manages the servers. Nothing here waits for a server longer than a few seconds."""

    store: Store
    clients: Clients
    refresher: Refresher
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def create(self, raw: Mapping[str, Json], actor: Actor) -> Server:
        """Add a server from plain values, and ask it for its models. Raises InvalidRequest."""
        server = changed(Server(0, "", ""), raw)
        if not server.url:
            raise InvalidRequest(Message("Enter the address of the server."), param="url")
        is_named = bool(server.name)
        self.clients.fresh(server).close()
        now = self.now()

        def change(session: Session) -> Server:
            named = server if is_named else _with_free_name(session, server)
            stored = servers.insert(session, named, now)
            _record(session, actor, "server.create", None, stored, now)
            return stored

        stored = self.store.write(change)
        self._ask(stored.id)
        return stored

    def update(self, server_id: int, raw: Mapping[str, Json], actor: Actor) -> Server:
        """Change a server; calls that run there go on. Raises NotFound, InvalidRequest."""
        now = self.now()

        def change(session: Session) -> Server:
            before = servers.get(session, server_id)
            after = changed(before, raw)
            if not after.name:
                after = _with_free_name(session, after)
            self.clients.fresh(after).close()
            stored = servers.save(session, after)
            _record(session, actor, "server.update", before, stored, now)
            return stored

        stored = self.store.write(change)
        self._ask(stored.id)
        return stored

    def delete(self, server_id: int, actor: Actor) -> None:
        """Remove a server; models only it had keep their settings. Raises NotFound."""
        now = self.now()

        def change(session: Session) -> None:
            before = servers.get(session, server_id)
            servers.delete(session, server_id)
            _record(session, actor, "server.delete", before, None, now)

        self.store.write(change)
        self.clients.forget(server_id)
        self.refresher.catalog.reload()

    def attempt(self, server: Server) -> Tried:
        """Try a server, stored or not, and say in words what is wrong with it."""
        try:
            client = self.clients.fresh(server)
        except InvalidRequest as error:
            return Tried(server.url, trouble=Trouble("failed", error.message, ""))
        started_s = time.monotonic()
        try:
            version = client.version(timeout_s=DISCOVERY_S)
            latency_ms = (time.monotonic() - started_s) * 1000
            names = tuple(sorted(tag.name for tag in client.tags()))
        except GatewayError as error:
            return Tried(server.url, trouble=explain(error, server.url))
        finally:
            client.close()
        return Tried(server.url, version, names, latency_ms)

    def discover(self, further: Sequence[str] = ()) -> list[Tried]:
        """Try the usual addresses and `further` ones at once, for the first run. Servers found
        come first; the same server under two names is told once."""
        urls = dict.fromkeys([*map(server_url.normalise, further), *nearby.candidates(os.environ)])
        tasks = [(url, offload.spawn(self.attempt, Server(0, "candidate", url))) for url in urls]
        until_s = time.monotonic() + DISCOVERY_S + 1
        found: list[Tried] = []
        for url, task in tasks:
            if task.wait(max(until_s - time.monotonic(), 0)):
                found.append(task.result())
            else:
                late = Trouble(
                    "timeout",
                    Message("It does not answer."),
                    Message("Check that Ollama runs there."),
                )
                found.append(Tried(url, trouble=late))
        return sorted(found, key=lambda tried: tried.trouble is not None)

    def _ask(self, server_id: int) -> None:
        """Have a changed server asked for its models; wait for that only a moment."""
        self.refresher.catalog.reload()
        offload.spawn(self.refresher.refresh, server_id).wait(_FIRST_LIST_S)


def _with_free_name(session: Session, server: Server) -> Server:
    """Call a server as its host; with the port if another server there has that name."""
    _scheme, host, port = server_url.split(server.url)
    taken = {one.name.lower() for one in servers.all_servers(session)}
    return replace(server, name=host if host.lower() not in taken else f"{host}:{port}")


def changed(server: Server, raw: Mapping[str, Json]) -> Server:
    """Return `server` with the fields of `raw`. Raises InvalidRequest."""
    fields = convert.read(raw, Server)
    if "url" in fields:
        fields["url"] = server_url.normalise(fields["url"])
    after = replace(server, **fields)
    if after.url != server.url and server.auth_header and "auth_header" not in raw:
        same = server_url.split(after.url)[:2] == server_url.split(server.url)[:2]
        if not same:  # a secret goes only where it was meant to go
            raise InvalidRequest(
                Message(
                    "The server moves to another host: enter its authorization header again, or "
                    "remove it."
                ),
                param="auth_header",
            )
    return after


def _record(
    session: Session,
    actor: Actor,
    word: AuditAction,
    before: Server | None,
    after: Server | None,
    now: datetime,
) -> None:
    audit.change(session, actor, word, before, after, now=now, topics=("servers", "models"))
