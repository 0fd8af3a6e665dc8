"""How we talk to SQLite and PostgreSQL: engines, transactions, pragmas, time limits.

SQLite, WAL: one writer at a time. A transaction that reads first and writes later may find that
somebody wrote in between, and cannot be saved (SQLITE_BUSY_SNAPSHOT). So whoever is going to write
says so at the start (`BEGIN IMMEDIATE`): `Database.write`, or `begins_writing` for sessions of a
web request.

Waiting for that lock happens in two ways. A real thread lets SQLite wait (`busy_timeout`). Code on
the event loop must not: SQLite would hold the whole loop. There the timeout is 0 and our cursor
tries again after a cooperative sleep.

PostgreSQL: the server ends what takes too long, and the kernel drops a silent connection.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

BUSY_TIMEOUT_S = 5.0
_RETRY_S = 0.005
_BEGIN = "sqlite_begin"
_WAIT = "sqlite_wait_ms"
_STATEMENT_TIMEOUT_MS = 10_000
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # the escape, not the text of one


class Database:
    """The store of one process: an engine for the event loop and one for real threads.

    They are separate because a connection pool shared by both sides deadlocks. On PostgreSQL
    psycopg waits cooperatively, so one engine does.
    """

    def __init__(self, url: str, *, synchronous: str = "normal", pool: int = 10) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            create_private(self.url)
            self.engine = sqlite_engine(self.url, synchronous=synchronous, threads=True)
        else:
            self.engine = postgresql_engine(self.url, pool=pool)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Return a session to read with; nothing is committed."""
        with Session(self.engine, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self, *, wait_ms: int | None = None) -> Iterator[Session]:
        """Return a session that may write from its first statement; commits, or rolls back on any
        exception. `wait_ms` is for SQLite's lock, by default BUSY_TIMEOUT_S."""
        with Session(self.engine, expire_on_commit=False) as session:
            begin_write(session, wait_ms)
            yield session
            session.commit()

    def forget_idle(self) -> None:
        """Close what is pooled and begin with an empty pool; connections in use end with their
        use."""
        self.engine.dispose()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def begin_write(session: Session, wait_ms: int | None = None) -> None:
    """Begin the session's transaction as a writing one. Call before its first statement."""
    session.connection(execution_options={_BEGIN: "IMMEDIATE", _WAIT: wait_ms})


def sqlite_engine(
    url: URL,
    *,
    synchronous: str = "normal",
    threads: bool,
    begins_writing: Callable[[], bool] = lambda: False,
) -> Engine:
    """Return an engine for a SQLite file.

    `threads`: used in real threads only; else on the event loop, where nothing may block.
    `begins_writing` is asked for each transaction that does not say itself whether it writes.
    """
    arguments: dict[str, Any] = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_S}
    if not threads:
        arguments |= {"timeout": 0, "factory": PatientConnection}
    engine = create_engine(
        url, connect_args=arguments, pool_size=8, max_overflow=32, hide_parameters=True
    )
    level = "FULL" if synchronous == "full" else "NORMAL"

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, DDL included
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={level}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "journal_size_limit=67108864",
            f"wal_autocheckpoint={1000 if threads else 20000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        connection.create_function("merge_histograms", 2, merge_histograms, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get(_BEGIN)
        if mode is None:
            mode = "IMMEDIATE" if begins_writing() else "DEFERRED"
        wait_ms = connection.get_execution_options().get(_WAIT)
        if wait_ms is None:
            connection.exec_driver_sql(f"BEGIN {mode}")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms:d}")
        try:
            connection.exec_driver_sql(f"BEGIN {mode}")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={arguments['timeout'] * 1000:.0f}")

    return engine


def postgresql_engine(
    url: URL, *, pool: int = 10, statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS
) -> Engine:
    """Return an engine for PostgreSQL; connections are checked before use and bounded in time.

    PostgreSQL stores no NUL, neither in text nor in JSON: in its place U+FFFD is stored and sought.
    """
    engine = create_engine(
        url,
        hide_parameters=True,
        json_serializer=_json_without_nul,
        pool_pre_ping=True,
        pool_size=pool,
        max_overflow=pool,
        pool_timeout=2,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "keepalives_idle": 20,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout=5000"
            " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        from psycopg.types.string import StrDumper  # after the standard library was patched

        class TextWithoutNul(StrDumper):
            def dump(self, obj: str) -> Any:
                return super().dump(obj.replace("\0", "\ufffd"))

        connection.adapters.register_dumper(str, TextWithoutNul)

    return engine


def _json_without_nul(value: Any) -> str:
    text = json.dumps(value)
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


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
    """Make the database file readable by its owner only; SQLite gives its -wal and -shm the same
    mode."""
    if not url.database:
        return
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o600)


def _patiently(call: Callable[..., Any], *args: Any) -> Any:
    """Call until the database is not locked, at most BUSY_TIMEOUT_S, sleeping cooperatively."""
    until_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return call(*args)
        except sqlite3.OperationalError as exc:
            # only plain SQLITE_BUSY: a stale snapshot does not get better by waiting
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
        time.sleep(_RETRY_S)


class PatientCursor(sqlite3.Cursor):
    """A cursor that waits for locks without holding the event loop."""

    def execute(self, sql: str, parameters: Any = (), /) -> PatientCursor:
        """Execute one statement."""
        _patiently(super().execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> PatientCursor:
        """Execute one statement for each set of parameters."""
        _patiently(super().executemany, sql, list(parameters))
        return self


class PatientConnection(sqlite3.Connection):
    """A connection whose cursors and commits wait cooperatively."""

    def cursor(self, factory: Any = PatientCursor) -> Any:
        """Return a patient cursor."""
        return super().cursor(factory)

    def commit(self) -> None:
        """Commit, waiting for readers that are in the way."""
        _patiently(super().commit)
