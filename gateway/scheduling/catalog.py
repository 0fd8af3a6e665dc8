"""The models that can be called: a snapshot of the store that routing reads without asking anybody.

The snapshot is built anew when models, servers or settings change, so an edit in one worker is seen
by the others within half a second. While the store is away the last snapshot holds.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.core.catalog import Model, Resolved
from gateway.errors import ModelNotFound, NotFound, Unavailable
from gateway.policy import roles
from gateway.policy.routing import Index
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.versions import ChangeVersions
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings
from gateway.store import catalog, servers
from gateway.store.coordination.versions import Topic
from gateway.store.tables import ServerRow

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RefreshNote:
    """When a server last told its models, and why it could not since then ("": it could)."""

    at: datetime | None
    error: str
    version: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Servers and models as of one moment; `names` are the tags each server lists, `notes` how
    its last refresh went."""

    servers: tuple[Server, ...]
    models: tuple[Model, ...]
    by_id: Mapping[int, Model]
    names: Mapping[int, frozenset[str]]
    notes: Mapping[int, RefreshNote]
    index: Index


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How a refresh went: what the server lists, or `error` and what to do."""

    server_id: int
    server_name: str
    models: int = 0
    version: str = ""
    error: str = ""
    fix: str = ""


@dataclass(eq=False)
class Catalog:
    """Hands out the current snapshot, and tells `listener` of each new one."""

    store: Store
    versions: ChangeVersions
    behaviour: Callable[[], RuntimeSettings]
    listener: Callable[[Snapshot], None] = lambda snapshot: None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _snapshot: Snapshot | None = None
    _changes: int = 0
    _loaded: int = -1
    """How many changes the snapshot knows of."""

    def __post_init__(self) -> None:
        topics: tuple[Topic, ...] = ("models", "servers", "settings")
        for topic in topics:
            self.versions.on_change(topic, self._forget)

    def snapshot(self) -> Snapshot:
        """Return servers and models. Raises StoreUnavailable only while none was ever read."""
        if self._snapshot is not None and self._loaded == self._changes:
            return self._snapshot
        with self._lock:
            known = self._snapshot
            if known is not None and self._loaded == self._changes:
                return known
            changes = self._changes
            try:
                fresh = self._load()
            except StoreUnavailable:
                if known is None:
                    raise
                log.warning("the list of models cannot be read; the last known one holds")
                return known
            self._snapshot, self._loaded = fresh, changes
            self.listener(fresh)
        return fresh

    def index(self) -> Index:
        """Return the names that can be called."""
        return self.snapshot().index

    def resolve(self, name: str, key: Key, fallback: str = "") -> Resolved:
        """Return the model that a caller with this key means by a name; `fallback` is the model for
        names that nobody has.

        Raises InvalidRequest, ModelNotFound, Forbidden, and Unavailable while there is no server,
        or none has told its models yet.
        """
        snapshot = self.snapshot()
        try:
            return roles.resolve(name, key, snapshot.index, fallback)
        except ModelNotFound as error:
            if not snapshot.servers:
                raise Unavailable(
                    "No Ollama server is connected yet: open /admin/.",
                    code="no_upstream_available",
                    should_retry=False,
                ) from error
            if self.is_awaited():
                raise Unavailable(
                    "The servers are still being asked for their models; try again in a moment.",
                    code="no_upstream_available",
                    retry_after_s=1,
                ) from error
            raise

    def models(self) -> tuple[Model, ...]:
        """Return every model, also disabled and missing ones, by display name."""
        return self.snapshot().models

    def model(self, model_id: int) -> Model:
        """Return a model. Raises NotFound."""
        try:
            return self.snapshot().by_id[model_id]
        except KeyError:
            raise NotFound(f"There is no model {model_id}.", code="model_not_found") from None

    def fallbacks(self, model_id: int) -> tuple[Model, ...]:
        """Return the models that may answer in place of this one, in the admin's order; only those
        that can be called. Raises NotFound."""
        snapshot = self.snapshot()
        callable_ones = {model.id: model for model in snapshot.index.models}
        return tuple(
            callable_ones[other]
            for other in self.model(model_id).fallbacks
            if other in callable_ones and other != model_id
        )

    def servers(self) -> tuple[Server, ...]:
        """Return every server, oldest first."""
        return self.snapshot().servers

    def server(self, server_id: int) -> Server:
        """Return a server. Raises NotFound."""
        for server in self.servers():
            if server.id == server_id:
                return server
        raise NotFound(f"There is no server {server_id}.", code="server_not_found")

    def is_awaited(self) -> bool:
        """Whether there are servers and none of them has been asked for its models yet: the first
        moments of an empty database. Raises StoreUnavailable as `snapshot` does."""
        snapshot = self.snapshot()
        notes = [snapshot.notes[server.id] for server in snapshot.servers if server.enabled]
        return bool(notes) and all(note.at is None and not note.error for note in notes)

    def drop(self) -> None:
        """Read everything anew at the next look: this worker has just changed something."""
        self.versions.look()
        self._forget()

    def reload(self) -> None:
        """Read everything anew, now: this worker has just changed something."""
        self.drop()
        self.follow()

    def follow(self) -> None:
        """Apply what changed, also when no request asks. Never raises for an absent store."""
        try:
            self.snapshot()
        except StoreUnavailable:
            log.warning("the list of models cannot be read yet")

    def _forget(self) -> None:
        self._changes += 1

    def _load(self) -> Snapshot:
        found_servers, notes, models = self.store.read(_everything)
        names: dict[int, set[str]] = defaultdict(set)
        for model in models:
            for server_id in model.server_ids:
                names[server_id].add(model.name)
        return Snapshot(
            servers=tuple(found_servers),
            models=tuple(models),
            by_id={model.id: model for model in models},
            names={server_id: frozenset(listed) for server_id, listed in names.items()},
            notes=notes,
            index=Index(models, allow_cloud=self.behaviour().allow_cloud_models),
        )


def _everything(
    session: Session,
) -> tuple[Sequence[Server], Mapping[int, RefreshNote], Sequence[Model]]:
    columns = (ServerRow.id, ServerRow.refreshed_at, ServerRow.refresh_error, ServerRow.version)
    notes = {
        server_id: RefreshNote(at, error, version)
        for server_id, at, error, version in session.execute(select(*columns))
    }
    return servers.all_servers(session), notes, catalog.all_models(session)
