"""Adds, changes and removes the targets of alerts: one place for console, command line and REST.

Addresses are checked as those of Ollama servers are: private ones may be told, those through which
machines in a cloud hand out their secrets may not. Address and token go in here and never out
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditAction
from gateway.core.chat import Json
from gateway.errors import InvalidRequest, Message
from gateway.ollama import server_url
from gateway.runtime.database import Store
from gateway.schemas import convert
from gateway.schemas.alert import AlertTarget
from gateway.store import alert_targets, audit

NEW = AlertTarget(0, "")


@dataclass(eq=False)
class AlertTargets:
    """Manages who is told when something is wrong."""

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def all(self) -> list[AlertTarget]:
        """Return every target, oldest first."""
        return self.store.read(alert_targets.all_targets)

    def get(self, target_id: int) -> AlertTarget:
        """Return a target. Raises NotFound."""
        return self.store.read(alert_targets.get, target_id)

    def find(self, name: str) -> AlertTarget | None:
        """Return the target of this name, None where there is none."""
        return self.store.read(alert_targets.find_named, name)

    def create(self, raw: Mapping[str, Json], actor: Actor) -> AlertTarget:
        """Add a target from plain values. Raises InvalidRequest."""
        target, now = changed(NEW, raw), self.now()

        def change(session: Session) -> AlertTarget:
            stored = alert_targets.insert(session, target, now)
            record(session, actor, "alert.create", None, stored, now)
            return stored

        return self.store.write(change)

    def update(self, target_id: int, raw: Mapping[str, Json], actor: Actor) -> AlertTarget:
        """Change a target. Raises NotFound, InvalidRequest."""
        now = self.now()

        def change(session: Session) -> AlertTarget:
            before = alert_targets.get(session, target_id)
            stored = alert_targets.save(session, changed(before, raw))
            record(session, actor, "alert.update", before, stored, now)
            return stored

        return self.store.write(change)

    def delete(self, target_id: int, actor: Actor) -> None:
        """Remove a target; what was sent to it stays in the log. Raises NotFound."""
        now = self.now()

        def change(session: Session) -> None:
            before = alert_targets.get(session, target_id)
            alert_targets.delete(session, target_id)
            record(session, actor, "alert.delete", before, None, now)

        self.store.write(change)


def changed(target: AlertTarget, raw: Mapping[str, Json]) -> AlertTarget:
    """Return `target` with the fields of `raw`. Raises InvalidRequest."""
    after = replace(target, **convert.read(raw, AlertTarget))
    if not after.name:
        raise InvalidRequest(Message("Enter a name."), param="name")
    if after.url:
        _check_url(after)
    elif after.enabled:
        raise InvalidRequest(Message("Enter the address."), param="url")
    if after.kind == "email" and not (after.sender and after.recipients):
        field = "recipients" if after.sender else "sender"
        raise InvalidRequest(
            Message("E-mail needs the address it comes from and those it goes to."), param=field
        )
    moves = bool(target.url) and after.place != target.place
    if moves and target.token and "token" not in raw:  # a secret goes only where it was meant to
        raise InvalidRequest(
            Message("It moves to another host: enter its token or password again, or remove it."),
            param="token",
        )
    return after


def record(
    session: Session,
    actor: Actor,
    word: AuditAction,
    before: AlertTarget | None,
    after: AlertTarget | None,
    now: datetime,
) -> None:
    """Write a change into the audit log, and tell the workers."""
    audit.change(session, actor, word, before, after, now=now, topics=("alerts",))


def _check_url(target: AlertTarget) -> None:
    url = target.url
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _refused(Message("The address cannot be read: check the brackets.")) from error
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused(Message("The address may hold only plain characters, without spaces."))
    if target.kind == "email" and parts.scheme != "smtp":
        raise _refused(Message("The address must begin with smtp://."))
    if target.kind != "email" and parts.scheme not in {"http", "https"}:
        raise _refused(Message("The address must begin with http:// or https://."))
    if "@" in parts.netloc:
        raise _refused(
            Message("The address must not hold a name or password: they have fields of their own.")
        )
    if not parts.hostname:
        raise _refused(Message("The address names no host."))
    server_url.normalise(f"http://{parts.netloc}")
    topic = parts.path.strip("/")
    if target.kind == "ntfy" and not topic:
        raise _refused(Message("The address must end in the topic, as https://ntfy.sh/my-topic."))
    if target.kind == "email" and (topic or parts.query):
        raise _refused(Message("The address of a mail server has host and port only."))


def _refused(message: Message) -> InvalidRequest:
    return InvalidRequest(message, param="url")
