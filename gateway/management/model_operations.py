"""Changes models on servers: copy, delete, load, unload, pin, unpin. On several servers at once,
each with its own outcome; pulls, which take long, are in `management.model_jobs`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditAction
from gateway.errors import GatewayError, InvalidRequest, Message, ModelNotFound
from gateway.ollama.client import OllamaClient
from gateway.policy import names
from gateway.runtime import tasks as offload
from gateway.runtime.database import Store
from gateway.scheduling.discovery import Refresher
from gateway.scheduling.loading import FOREVER, Loading
from gateway.scheduling.scheduler import Scheduler
from gateway.store import audit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What an operation came to on one server; `error` is "" when it went well."""

    server_id: int
    server_name: str
    error: str = ""


@dataclass(eq=False)
class Operations:
    """Short operations on models. Failures of servers are in the results, never raised."""

    store: Store
    scheduler: Scheduler
    refresher: Refresher
    loading: Loading
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def copy(
        self, source: str, destination: str, server_ids: Sequence[int], actor: Actor
    ) -> list[Done]:
        """Copy a model to a second name on servers."""
        new = valid_name(destination, "destination")
        return self._each(
            server_ids,
            lambda client: client.copy(source, new),
            actor,
            "model.copy",
            f"{source} -> {new}",
        )

    def delete(self, model: str, server_ids: Sequence[int], actor: Actor) -> list[Done]:
        """Remove a model from the disks of servers; one that is not there is no failure."""

        def remove(client: OllamaClient) -> None:
            try:
                client.delete(model)
            except ModelNotFound:
                log.info("server %d did not have the model to delete", client.server.id)

        return self._each(server_ids, remove, actor, "model.delete", model, believe_empty=True)

    def load(
        self,
        model: str,
        server_ids: Sequence[int],
        actor: Actor,
        *,
        keep_alive: float | str | None = None,
    ) -> list[Done]:
        """Bring a model into the memory of servers; returns when it is there."""
        return self._each(
            server_ids,
            lambda client: self.loading.load(client, model, keep_alive),
            actor,
            "model.load",
            model,
            changes_list=False,
        )

    def pin(self, model: str, server_ids: Sequence[int], actor: Actor) -> list[Done]:
        """Load a model and keep it in memory until it is unloaded."""
        done = self.load(model, server_ids, actor, keep_alive=FOREVER)
        self.loading.pin(model, [one.server_id for one in done if not one.error], True)
        return done

    def unpin(self, model: str, server_ids: Sequence[int], actor: Actor) -> list[Done]:
        """Have a model leave the memory of servers after its usual time again; what is not loaded
        is not loaded by it."""
        self.loading.pin(model, server_ids, False)
        return self._each(
            server_ids,
            lambda client: self.loading.release(client, model),
            actor,
            "model.unpin",
            model,
            changes_list=False,
        )

    def unload(self, model: str, server_ids: Sequence[int], actor: Actor) -> list[Done]:
        """Unload a model from servers as soon as it is idle; it is not pinned there any more."""
        self.loading.pin(model, server_ids, False)
        return self._each(
            server_ids,
            lambda client: client.unload(model),
            actor,
            "model.unload",
            model,
            changes_list=False,
        )

    def _each(
        self,
        server_ids: Sequence[int],
        act: Callable[[OllamaClient], None],
        actor: Actor,
        action: AuditAction,
        name: str,
        *,
        changes_list: bool = True,
        believe_empty: bool = False,
    ) -> list[Done]:
        """Do something on several servers at once, write it down, and look what came of it."""

        def work(server_id: int) -> None:
            act(client_of(self.scheduler, server_id))

        tasks = [(server_id, offload.spawn(work, server_id)) for server_id in server_ids]
        results = []
        for server_id, task in tasks:
            task.wait(None)
            results.append(Done(server_id, self._name(server_id), _failure(task)))
        now = self.now()
        good = [done.server_id for done in results if not done.error]

        def write(session: Session) -> None:
            for server_id in good:
                record(session, actor, action, name, server_id, now)

        self.store.write(write)
        for server_id in good:
            if changes_list:
                self.refresher.refresh(server_id, believe_empty=believe_empty)
            self.scheduler.probe_now(server_id)
        return results

    def _name(self, server_id: int) -> str:
        server = self.scheduler.servers.get(server_id)
        return f"server {server_id}" if server is None else server.server.name


def client_of(scheduler: Scheduler, server_id: int) -> OllamaClient:
    """Return the client of a server. Raises InvalidRequest when there is no such server."""
    server = scheduler.servers.get(server_id)
    if server is None:
        raise InvalidRequest(f"There is no server {server_id}.", param="server_ids")
    return server.client


def valid_name(model: str, param: str = "model") -> str:
    """Return the canonical form of a model's name. Raises InvalidRequest naming `param`."""
    parsed = names.parse_name(model.strip())
    if parsed is None or len(parsed.short) > 256:
        raise InvalidRequest(
            Message("This is not a model name; write it like llama3.2 or hf.co/user/model:Q4_K_M."),
            param=param,
        )
    return parsed.short


def _failure(task: offload.Task[None]) -> str:
    try:
        task.result()
    except GatewayError as error:
        return in_words(error)
    return ""


def in_words(error: GatewayError) -> str:
    """Return Ollama's errors of model management in words that help."""
    text = error.message
    if "file does not exist" in text:
        return Message("The registry does not know this model: check its name and tag.")
    if "no space left" in text or "not enough space" in text:
        return Message("The disk of the server is full.")
    if "no such host" in text or "dial tcp" in text or "i/o timeout" in text:
        return Message(
            "The server cannot reach the registry: check its connection to the internet."
        )
    if "requires a newer version" in text:
        return Message("This model needs a newer Ollama: update that server.")
    if "unauthorized" in text.lower() or "401" in text:
        return Message("The registry wants a sign-in for this model.")
    return text


def record(
    session: Session, actor: Actor, action: AuditAction, name: str, server_id: int, now: datetime
) -> None:
    """Write an operation on a server to the audit log."""
    audit.record(
        session, actor, action, "model", name, name, now=now, after={"server_id": server_id}
    )
