"""Adds, tries, changes and removes Ollama servers: one place for console, command line and REST.

Every change is checked, stored, marked for the other workers and written to the audit log in one
transaction. The authorization header goes in here and never out again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.core.catalog import Server
from gateway.core.chat import Json
from gateway.errors import GatewayError, InvalidRequest
from gateway.ollama import server_url
from gateway.ollama.diagnosis import Trouble, explain
from gateway.runtime import tasks as offload
from gateway.runtime.database import Store
from gateway.scheduling.clients import Clients
from gateway.scheduling.discovery import Refresher
from gateway.store import audit, servers
from gateway.store.coordination import versions

CANDIDATES: Final = (
    "http://127.0.0.1:11434",
    "http://host.docker.internal:11434",
    "http://ollama:11434",
)
DISCOVERY_S: Final = 4.0
_FIRST_LIST_S: Final = 3.0
_MAX_SLOTS: Final = 1024
_MAX_WEIGHT: Final = 100
_MAX_TAGS: Final = 20
_FIELDS: Final = frozenset(
    {
        "name",
        "url",
        "weight",
        "enabled",
        "draining",
        "auth_header",
        "tls_verify",
        "tls_ca_file",
        "slots",
        "tags",
    }
)
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\x21-\x7e][\x20-\x7e]*")
_RESERVED: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"}
)


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
        server = read(raw, Server(0, "", ""))
        if not server.url:
            raise InvalidRequest("Enter the address of the server.", param="url")
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
            after = read(raw, before)
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
        urls = dict.fromkeys([*map(server_url.normalise, further), *CANDIDATES])
        tasks = [(url, offload.spawn(self.attempt, Server(0, "candidate", url))) for url in urls]
        until_s = time.monotonic() + DISCOVERY_S + 1
        found: list[Tried] = []
        for url, task in tasks:
            if task.wait(max(until_s - time.monotonic(), 0)):
                found.append(task.result())
            else:
                late = Trouble("timeout", "It does not answer.", "Check that Ollama runs there.")
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


def read(raw: Mapping[str, Json], before: Server) -> Server:
    """Return `before` with the fields of `raw`. Raises InvalidRequest naming the field."""
    for name in raw:
        if name not in _FIELDS:
            raise InvalidRequest(f"A server has no field '{name}'.", param=name)
    values: dict[str, Json] = dict(raw)
    for name, check in _CHECKS.items():
        if name in values:
            values[name] = check(name, values[name])
    server = replace(before, **values)
    if server.url != before.url and before.auth_header and "auth_header" not in raw:
        same = server_url.split(server.url)[:2] == server_url.split(before.url)[:2]
        if not same:  # a secret goes only where it was meant to go
            raise InvalidRequest(
                "The server moves to another host: enter its authorization header again, or "
                "remove it.",
                param="auth_header",
            )
    return server


def _text(limit: int) -> Callable[[str, Json], Json]:
    def check(name: str, value: Json) -> Json:
        if not isinstance(value, str):
            raise InvalidRequest(f"'{name}' must be text.", param=name, code="invalid_type")
        value = value.strip()
        if len(value) > limit or not value.isprintable():
            raise InvalidRequest(
                f"'{name}' must be at most {limit} printable characters.", param=name
            )
        return value

    return check


def _name(name: str, value: Json) -> Json:
    value = _text(120)(name, value)
    if not value:
        raise InvalidRequest("Give the server a name.", param=name)
    return value


def _url(name: str, value: Json) -> Json:
    return server_url.normalise(_text(512)(name, value))


def _number(low: int, high: int) -> Callable[[str, Json], Json]:
    def check(name: str, value: Json) -> Json:
        if type(value) is not int or not low <= value <= high:
            raise InvalidRequest(
                f"'{name}' must be a whole number from {low} to {high}.", param=name
            )
        return value

    return check


def _flag(name: str, value: Json) -> Json:
    if not isinstance(value, bool):
        raise InvalidRequest(f"'{name}' must be true or false.", param=name, code="invalid_type")
    return value


def _header(name: str, value: Json) -> Json:
    value = _text(8192)(name, value)
    if not value:
        return ""
    if _HEADER.fullmatch(value) is None:
        raise InvalidRequest(
            "The header must read 'Name: value', for example 'Authorization: Bearer ...'.",
            param=name,
        )
    if value.partition(":")[0].strip().lower() in _RESERVED:
        raise InvalidRequest("This header is set by the gateway itself.", param=name)
    return value


def _file(name: str, value: Json) -> Json:
    value = _text(512)(name, value)
    if value and not Path(value).is_file():
        raise InvalidRequest("There is no such file on the gateway's machine.", param=name)
    return value


def _tags(name: str, value: Json) -> Json:
    if not isinstance(value, list | tuple) or len(value) > _MAX_TAGS:
        raise InvalidRequest(f"'{name}' must be a list of at most {_MAX_TAGS} texts.", param=name)
    return tuple(dict.fromkeys(tag for tag in (_text(40)(name, one) for one in value) if tag))


_CHECKS: Final[Mapping[str, Callable[[str, Json], Json]]] = {
    "name": _name,
    "url": _url,
    "weight": _number(1, _MAX_WEIGHT),
    "enabled": _flag,
    "draining": _flag,
    "auth_header": _header,
    "tls_verify": _flag,
    "tls_ca_file": _file,
    "slots": _number(0, _MAX_SLOTS),
    "tags": _tags,
}


def _record(
    session: Session,
    actor: Actor,
    word: str,
    before: Server | None,
    after: Server | None,
    now: datetime,
) -> None:
    one = after or before
    assert one is not None
    old, new = (None if it is None else servers.as_json(it) for it in (before, after))
    audit.record(session, actor, word, "server", one.id, one.name, now=now, before=old, after=new)
    versions.bump(session, "servers", now)
    versions.bump(session, "models", now)
