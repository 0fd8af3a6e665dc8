"""Asks servers what models they have, and writes it down for all workers.

/api/tags tells which models there are, /api/show what each can do; the latter is asked once a
digest, as the same digest is the same model on every server. What cannot be asked leaves the last
good list in force and is noted beside the server. So does a server that suddenly lists nothing:
it must say so three times before it is believed.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from gateway.core.catalog import Listed
from gateway.core.chat import Json
from gateway.errors import GatewayError, Message
from gateway.ollama.capabilities import Shown
from gateway.ollama.client import OllamaClient
from gateway.ollama.diagnosis import explain
from gateway.policy import names
from gateway.runtime import tasks as offload
from gateway.runtime.database import Store
from gateway.scheduling.catalog import Catalog, Refreshed, RefreshNote
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings
from gateway.store import catalog, servers
from gateway.store.coordination import versions, workers

log = logging.getLogger(__name__)

PERIOD_S = 60.0
AFTER_ERROR_S = 10.0
LOOK_S = 1.0
SPREAD = 0.1
SOONEST_S = 3.0
EMPTY_LISTS = 3
_MAX_LISTED = 10_000
_MAX_NAME = 256
_SHOWN_KEPT = 4096
_AT_ONCE = 8
_WAIT_S = 60.0
_DETAILS = ("family", "parameter_size", "quantization", "modelfile", "parameters", "template")
_TEXTS = ("system", "license")
_MAX_TEXT = 65_536


@dataclass(eq=False)
class Refresher:
    """Refreshes the catalogue: on demand, and regularly, one worker at a time for each server."""

    store: Store
    catalog: Catalog
    client_for: Callable[[Server], OllamaClient]
    behaviour: Callable[[], RuntimeSettings]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    _due_s: dict[int, float] = field(default_factory=dict)
    _asked_s: dict[int, float] = field(default_factory=dict)
    _wanted: set[int] = field(default_factory=set)
    _empty: dict[int, int] = field(default_factory=dict)
    _shown: OrderedDict[str, Shown] = field(default_factory=OrderedDict)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._job = offload.Every(LOOK_S, self.refresh_due, "refreshing the models")

    # -- on demand -------------------------------------------------------------------------------

    def refresh(
        self, server_id: int | None = None, *, believe_empty: bool = False
    ) -> tuple[Refreshed, ...]:
        """Ask one server, or all enabled ones at once, and take over what they say.

        Failures are told in the result, never raised; only StoreUnavailable is. `believe_empty`
        accepts a list without models at once.
        """
        chosen = [
            server
            for server in self.catalog.servers()
            if (server.enabled if server_id is None else server.id == server_id)
        ]
        return self._refresh(chosen, believe_empty)

    def _refresh(self, chosen: Sequence[Server], believe_empty: bool) -> tuple[Refreshed, ...]:
        tasks = [offload.spawn(self._ask, server, believe_empty) for server in chosen]
        results = [
            task.result() if task.wait(_WAIT_S) else _late(server)
            for server, task in zip(chosen, tasks, strict=True)
        ]
        self._complete_details()
        self.catalog.reload()
        return tuple(results)

    def refresh_soon(self, server_id: int, reason: str = "") -> None:
        """Have a server asked at the next look; not more often than every few seconds."""
        log.info("server %d will be asked for its models: %s", server_id, reason or "on demand")
        self._wanted.add(server_id)

    # -- regularly ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to refresh, at once and regularly."""
        self._job.start()
        offload.spawn(self.refresh_due)

    def stop(self) -> None:
        """Refresh no more."""
        self._job.stop()

    def refresh_due(self) -> None:
        """Apply changes of others, and refresh the servers that are due."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            self.catalog.follow()
            due = list(self._due())
            if due:
                self._refresh(due, believe_empty=False)
        finally:
            self._busy.release()

    def _due(self) -> Iterator[Server]:
        """Yield the servers to ask now: those asked for, and those whose turn this worker gets."""
        now_s = self.clock()
        snapshot = self.catalog.snapshot()
        for server in snapshot.servers:
            if server.id in self._wanted:
                if now_s - self._asked_s.get(server.id, -SOONEST_S) >= SOONEST_S:
                    yield server
            elif server.enabled and now_s >= self._due_s.get(server.id, 0.0):
                failed = bool(snapshot.notes[server.id].error)
                if self._claim(server, AFTER_ERROR_S if failed else PERIOD_S):
                    yield server

    def _claim(self, server: Server, period_s: float) -> bool:
        """Claim the regular refresh of a server, unless another worker has just done so."""
        spread = 1 + SPREAD * (2 * self.chance() - 1)
        self._due_s[server.id] = self.clock() + period_s * spread
        job, now = f"refresh.{server.id}", self.now()
        # a little less than the period, so that the one who took it last is not always too early
        period = timedelta(seconds=period_s * 0.8)
        if not self.store.read(workers.is_job_due, job, now, period):
            return False
        return self.store.write(workers.take_job, job, now, period)

    # -- one server --------------------------------------------------------------------------------

    def _ask(self, server: Server, believe_empty: bool) -> Refreshed:
        self._wanted.discard(server.id)
        self._asked_s[server.id] = self.clock()
        try:
            client = self.client_for(server)
            tags, version = client.tags(), client.version()
        except GatewayError as error:
            trouble = explain(error, server.url)
            return self._failed(server, trouble.message, trouble.fix)
        if not tags and not self._is_believed(server, believe_empty):
            return self._failed(
                server,
                Message("It suddenly lists no models."),
                Message(
                    "If they were removed on purpose, wait a few minutes or refresh this server."
                ),
            )
        return self._take_over(server, tags, version)

    def _is_believed(self, server: Server, believe_empty: bool) -> bool:
        had_some = any(server.id in model.server_ids for model in self.catalog.models())
        self._empty[server.id] = self._empty.get(server.id, 0) + 1
        return believe_empty or not had_some or self._empty[server.id] >= EMPTY_LISTS

    def _take_over(self, server: Server, tags: Sequence[Listed], version: str) -> Refreshed:
        if tags:
            self._empty.pop(server.id, None)
        now = self.now()
        listing = _listing(tags)
        enable_new = self.behaviour().enable_new_models
        was_failing = bool(self._note(server).error)

        def change(session: Session) -> None:
            if catalog.record_listing(session, server.id, listing, now, enable_new=enable_new):
                versions.bump(session, "models")
            servers.note_refresh(session, server.id, now, version=version)
            if was_failing:
                versions.bump(session, "servers")

        self.store.write(change)
        return Refreshed(server.id, server.name, models=len(listing), version=version)

    def _failed(self, server: Server, message: str, fix: str) -> Refreshed:
        now = self.now()
        if self._note(server).error != message:
            log.warning("the models of server %s cannot be read: %s", server.name, message)

            def change(session: Session) -> None:
                servers.note_refresh(session, server.id, now, error=message)
                versions.bump(session, "servers")

            self.store.write(change)
        self._due_s[server.id] = self.clock() + AFTER_ERROR_S
        return Refreshed(server.id, server.name, error=message, fix=fix)

    def _note(self, server: Server) -> RefreshNote:
        notes = self.catalog.snapshot().notes
        return notes.get(server.id, RefreshNote(None, "", ""))

    # -- details of models -------------------------------------------------------------------------

    def _complete_details(self) -> None:
        """Ask what models can do, where that is not known of their digest yet."""
        lacking = self.store.read(catalog.lacking_details)
        if not lacking:
            return
        self.catalog.drop()
        snapshot = self.catalog.snapshot()
        by_id = {server.id: server for server in snapshot.servers}
        for start in range(0, len(lacking), _AT_ONCE):
            asked = []
            for model_id, name, digest in lacking[start : start + _AT_ONCE]:
                model = snapshot.by_id.get(model_id)
                ids = model.server_ids if model else ()
                holders = [by_id[one] for one in ids if one in by_id]
                asked.append((model_id, digest, offload.spawn(self._show, name, digest, holders)))
            found = [
                (model_id, digest, task.result() if task.wait(_WAIT_S) else None)
                for model_id, digest, task in asked
            ]
            self._save([(one, digest, shown) for one, digest, shown in found if shown])

    def _show(self, name: str, digest: str, holders: Iterable[Server]) -> Shown | None:
        known = self._shown.get(digest)
        if known is not None:
            return known
        for server in holders:
            try:
                shown = self.client_for(server).show(name)
            except GatewayError as error:
                log.info("server %s does not describe a model: %s", server.name, error.code)
                continue
            if digest:
                self._shown[digest] = shown
                while len(self._shown) > _SHOWN_KEPT:
                    self._shown.popitem(last=False)
            return shown
        return None

    def _save(self, found: Sequence[tuple[int, str, Shown]]) -> None:
        if not found:
            return

        def change(session: Session) -> None:
            for model_id, digest, shown in found:
                catalog.save_details(
                    session,
                    model_id,
                    digest,
                    capabilities=shown.capabilities,
                    context_tokens=shown.context_tokens,
                    details=_details(shown),
                )
            versions.bump(session, "models")

        self.store.write(change)


def _listing(tags: Sequence[Listed]) -> list[Listed]:
    """Return what is worth keeping of a list: names Ollama itself would accept, each once."""
    found: dict[str, Listed] = {}
    for tag in tags[:_MAX_LISTED]:
        if names.parse_name(tag.name) is not None and len(tag.name) <= _MAX_NAME:
            remote = tag.remote or names.is_cloud(tag.name)
            found.setdefault(tag.name.lower(), replace(tag, remote=remote))
    return list(found.values())


def _details(shown: Shown) -> Mapping[str, Json]:
    """Return what the model's page shows; long texts are cut."""
    values = asdict(shown)
    kept: dict[str, Json] = {name: values[name][:_MAX_TEXT] for name in (*_DETAILS, *_TEXTS)}
    kept["embedding_length"] = shown.embedding_length
    kept["weights"] = shown.weights
    kept["cache"] = values["cache"]
    return kept


def _late(server: Server) -> Refreshed:
    return Refreshed(
        server.id,
        server.name,
        error=Message("It took too long to answer."),
        fix=Message("Try again."),
    )
