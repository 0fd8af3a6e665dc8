"""Make the store ready before any worker starts: migrate it, and put in what an empty one needs.

Seeds come from the environment once: the first account, and the servers of OLLAMA_URL. Later
changes of those variables change nothing. Without OLLAMA_URL a server is looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gateway.config import ConfigError, Settings
from gateway.core.admin import SYSTEM, Admin, AuditAction
from gateway.core.passwords import problem
from gateway.errors import InvalidRequest
from gateway.schemas.server import Server
from gateway.store import admins, audit, passwords, servers
from gateway.store.coordination import versions
from gateway.store.database import schema
from gateway.store.database.engine import Database
from gateway.store.tables import AuditRow

FIRST_PASSWORD = "admin"
_SEEDED: AuditAction = "server.seed"
Find = Callable[[], tuple[str, str] | None]


def prepare(settings: Settings, find: Find = lambda: None) -> list[str]:
    """Migrate and seed; return what the operator should know. `find` looks for an Ollama server and
    returns its address and version. Raises ConfigError."""
    try:
        schema.upgrade(settings.database_url)
    except schema.SchemaError as exc:
        raise ConfigError("DATABASE_URL", str(exc)) from exc
    database = Database.open(settings.database_url)
    try:
        note = ""
        if _lacks_servers(database):
            urls, note = _first_servers(settings, find)
            settings = replace(settings, ollama_urls=urls)
        notes = seed(database, settings, datetime.now(UTC))
        return [*notes, note] if note else notes
    finally:
        database.close()


def _lacks_servers(database: Database) -> bool:
    with database.read() as session:
        return not (_were_seeded(session) or servers.all_servers(session))


def _first_servers(settings: Settings, find: Find) -> tuple[tuple[str, ...], str]:
    """Return the servers an empty database gets, and what the operator should know of them."""
    given = settings.ollama_urls
    if given is not None:
        return given, f"Ollama at {', '.join(given)} was added from OLLAMA_URL." if given else ""
    found = find()
    if found is None:
        return (), (
            "No Ollama was found. Start it and then the gateway again, set OLLAMA_URL, or add it in"
            " the console."
        )
    url, version = found
    return (url,), f"Ollama {version} was found at {url}."


def _were_seeded(session: Session) -> bool:
    return session.scalar(select(AuditRow.id).where(AuditRow.action == _SEEDED)) is not None


def seed(database: Database, settings: Settings, now: datetime) -> list[str]:
    """Put in the first account and the first servers where there are none."""
    notes: list[str] = []
    try:
        with database.write() as session:
            notes += _seed_admin(session, settings, now)
            _seed_servers(session, settings, now)
    except (IntegrityError, InvalidRequest):
        return []  # another instance was first; its seeds count
    return notes


def _seed_admin(session: Session, settings: Settings, now: datetime) -> list[str]:
    if admins.all_admins(session):
        return []
    given = settings.admin_password.reveal()
    name = settings.admin_username
    weak = problem(given, name) if given else "is the documented one"
    admin = Admin(
        id=0,
        username=name,
        role="owner",
        password_hash=passwords.hash_password(given or FIRST_PASSWORD),
        must_change_password=bool(weak),
        password_changed_at=None if weak else now,
    )
    stored = admins.insert(session, admin, now)
    audit.record(session, SYSTEM, "admin.seed", "admin", stored.id, name, now=now)
    if given and weak:
        return [f"Log in as {name} with ADMIN_PASSWORD: it {weak}, so you must choose another."]
    if given:
        return [f"Log in as {name} with the password of ADMIN_PASSWORD."]
    return [
        f"Log in as {name} / {FIRST_PASSWORD} from this machine or a private network;"
        " you then choose your own password."
    ]


def _seed_servers(session: Session, settings: Settings, now: datetime) -> None:
    if not settings.ollama_urls or _were_seeded(session) or servers.all_servers(session):
        return
    for number, url in enumerate(settings.ollama_urls, 1):
        host = urlsplit(url).hostname or "ollama"
        name = host if number == 1 else f"{host} {number}"
        stored = servers.insert(session, Server(id=0, name=name[:120], url=url), now)
        audit.record(session, SYSTEM, _SEEDED, "server", stored.id, stored.name, now=now)
    versions.bump(session, "servers")
