"""How we talk to SQLite and PostgreSQL: engines, transactions, pragmas, time limits.

SQLite, WAL: one writer at a time. A transaction that reads first and writes later may find that
somebody wrote in between, and cannot be saved (SQLITE_BUSY_SNAPSHOT). So whoever is going to write
says so at the start (`BEGIN IMMEDIATE`): `Database.write`. SQLite works and waits in C, so its
connections are used in real threads only (`runtime/database.py`).

PostgreSQL: the server ends what takes too long, and the kernel drops a silent connection.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

BUSY_TIMEOUT_MS = 5_000
_WRITES_AFTER = "sqlite_writes_after_ms"
"""The option of a connection that is going to write: how long it waits for the lock."""
_STATEMENT_TIMEOUT_MS = 10_000
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # the escape, not the text of one


class Database:
    """The database of one process: sessions on its one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        if self.is_sqlite:
            create_private(engine.url)

    @classmethod
    def open(cls, url: str) -> Database:
        """Return the database at `url` where there is no application: at start, in tests."""
        return cls(make_engine(url))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Return a session to read with; nothing is committed."""
        with Session(self.engine, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self, *, wait_ms: int = BUSY_TIMEOUT_MS) -> Iterator[Session]:
        """Return a session that may write from its first statement; commits, or rolls back on any
        exception. `wait_ms` is for SQLite's lock."""
        with Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={_WRITES_AFTER: wait_ms})
            yield session
            session.commit()

    def close(self) -> None:
        """Close every pooled connection; those in use end with their use."""
        self.engine.dispose()


def make_engine(url: str | URL, **limits: int) -> Engine:
    """Return an engine of our own; `limits` are those of `engine_options`."""
    return prepare(create_engine(url, **engine_options(url, **limits)))


def engine_options(
    url: str | URL, *, pool: int = 10, statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS
) -> dict[str, Any]:
    """Return what `create_engine` takes beside the address: pools, and limits in time."""
    if make_url(url).get_backend_name() == "sqlite":
        return {
            "hide_parameters": True,
            "json_deserializer": _from_json,
            "pool_size": 8,
            "max_overflow": 32,
            "connect_args": {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        }
    return {
        "hide_parameters": True,
        "json_serializer": _json_without_nul,
        "pool_pre_ping": True,
        "pool_size": pool,
        "max_overflow": pool,
        "pool_timeout": 2,
        "pool_recycle": 1800,
        "connect_args": {
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "keepalives_idle": 20,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout=5000"
            " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
        },
    }


def _from_json(text: str) -> Any:
    """Return the value of a JSON column: 15,000 lists of 5,000 keys in 40 ms, json alone 115.

    What orjson refuses goes to `json`: half an emoji, NaN, and the numbers SQLite keeps as numbers
    (TypeError, by which SQLAlchemy takes them as they are).
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def prepare(engine: Engine, synchronous: str = "normal") -> Engine:
    """Set how an engine begins on each connection and, on SQLite, each transaction."""
    if engine.dialect.name != "sqlite":
        event.listen(engine, "connect", _without_nul)
        return engine

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, DDL included
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "journal_size_limit=67108864",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        connection.create_function("merge_histograms", 2, merge_histograms, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        wait_ms = connection.get_execution_options().get(_WRITES_AFTER)
        if wait_ms is None:
            connection.exec_driver_sql("BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms:d}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")

    return engine


def _without_nul(connection: Any, _record: object) -> None:
    """Have U+FFFD stored and sought where a NUL is: PostgreSQL stores none, in text or JSON."""
    from psycopg.types.string import StrDumper  # after the standard library was patched

    class TextWithoutNul(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, TextWithoutNul)


def _json_without_nul(value: Any) -> str:
    text = json.dumps(value)
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def insert(dialect: str, table: Any) -> Any:
    """Return an INSERT, which may have ON CONFLICT, into a table of the database of this name.

    A dialect is loaded when it is first asked for: PostgreSQL's alone takes 2 MB.
    """
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_for(session: Session, table: Any) -> Any:
    """Return the same for the database of a session."""
    return insert(session.get_bind().dialect.name, table)


def merge_histograms(stored: str, more: str) -> str:
    """Add two sets of histograms, both as JSON text; SQLite calls this from our statements, and
    PostgreSQL has a function of the same name (migration 0001)."""
    merged = orjson.loads(stored)
    for metric, counts in orjson.loads(more).items():
        mine = merged.setdefault(metric, {})
        for bucket, times in counts.items():
            mine[bucket] = mine.get(bucket, 0) + times
    return orjson.dumps(merged).decode()


def create_private(url: URL) -> None:
    """Make the database file, and so its -wal and -shm, readable by its owner only."""
    if not url.database:
        return
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o600)
