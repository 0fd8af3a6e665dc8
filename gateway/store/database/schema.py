"""Bring a database to this version's schema, once, however many processes start.

A lock (a file beside SQLite, an advisory lock on PostgreSQL) lets one process migrate while the
others wait. Each migration is one transaction: killed half-way it leaves nothing behind, and the
next start goes on. A database made by a newer version is refused, as is a damaged file. A SQLite
file that holds something is copied beside itself first; of PostgreSQL the operator makes backups.

Alembic is imported where it migrates: 11 MB that a worker has no use for, and 0.2 s of a start.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from gateway.store.database.engine import create_private, make_engine
from gateway.store.tables import Base

MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"
HEAD = "alerts"
"""The revision this version works with: the newest of `migrations/versions`."""
LOCK_WAIT_S = 30.0
_ADVISORY_LOCK = 0x6F326F61
_BEFORE_RELEASE = frozenset(("initial", *(f"000{number}" for number in range(1, 9))))
_QUICK_CHECK_BYTES = 64 << 20
_HOW_TO_MIGRATE = "start the gateway once (ollama2openai serve --prepare only migrates)"
_HOW_TO_REPAIR = (
    "restore a backup with 'ollama2openai restore', or move the file away to start afresh"
)


class SchemaError(Exception):
    """The store cannot be used; the text is one line that says why and what to do."""


def upgrade(url: str) -> None:
    """Create or migrate the database at `url`. Raises SchemaError."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _upgrade_sqlite(parsed)
    else:
        _upgrade_postgresql(parsed)


def check(url: str) -> str:
    """Return the schema's revision. Raises SchemaError if it is not the one needed, or damaged."""
    with _opened(make_url(url)) as engine:
        if engine.dialect.name == "sqlite":
            _check_file(engine.url)
        with engine.connect() as connection:
            revision = _current(connection)
    if revision != HEAD:
        check_known(revision)
        state = f"has schema {revision}, and {HEAD} is needed" if revision else "is not set up"
        raise SchemaError(f"the database {shown(url)} {state}: {_HOW_TO_MIGRATE}")
    return revision


def check_tables(url: str) -> None:
    """Raise SchemaError where our tables lack something or have more than they should."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with _opened(make_url(url)) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
        found = compare_metadata(context, Base.metadata)
    if found:
        raise SchemaError("its tables are not those of the gateway")


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or name in Base.metadata.tables


def check_known(revision: str | None) -> None:
    """Raise SchemaError for a schema that this version neither made nor can migrate."""
    from alembic.script import ScriptDirectory

    if revision in _BEFORE_RELEASE:
        raise SchemaError(
            f"the database has schema {revision} of a gateway before the first release: carry keys"
            " and models over into a new database, with 'config export --with-digests FILE' of that"
            " gateway ('flask --app wsgi export-config --with-digests FILE' of older ones) and"
            " 'ollama2openai config import FILE' of this one"
        )
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaError(
            f"the database has schema {revision}, which a newer version of the gateway made: "
            "start that version, or restore an older backup"
        )


def shown(url: URL | str) -> str:
    """Return a database address without its password."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def _opened(url: URL) -> Iterator[Engine]:
    engine = make_engine(url, pool=1, statement_timeout_ms=600_000)
    try:
        yield engine
    except (DBAPIError, sqlite3.DatabaseError) as exc:
        raise SchemaError(_explain(url, exc)) from exc
    finally:
        engine.dispose()


def _upgrade_sqlite(url: URL) -> None:
    path = Path(url.database or "")
    try:
        create_private(url)
    except OSError as exc:
        raise SchemaError(f"database {path} cannot be opened: {exc.strerror}") from exc
    with _file_lock(path.with_name(f".{path.name}.lock")), _opened(url) as engine:
        _check_file(url)
        _copy_before_migrating(path, engine)
        with engine.connect() as connection:
            _migrate(connection)


def _copy_before_migrating(path: Path, engine: Engine) -> None:
    """Keep the database as it is, as `gateway.db.before-REVISION`, if it is going to change."""
    with engine.connect() as connection:
        revision = _current(connection)
    if revision is None or revision == HEAD:
        return
    check_known(revision)
    copy = path.with_name(f"{path.name}.before-{revision}")
    fresh = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(fresh)) as target:
            source.backup(target)
        fresh.replace(copy)
    except (OSError, sqlite3.Error) as exc:
        raise SchemaError(f"database {path} cannot be copied before its migration: {exc}") from exc
    finally:
        fresh.unlink(missing_ok=True)


def _upgrade_postgresql(url: URL) -> None:
    with _opened(url) as engine, engine.connect() as holder:
        _advisory_lock(holder)
        with engine.connect() as connection:
            _migrate(connection)
        holder.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _ADVISORY_LOCK})
        holder.commit()


def _migrate(connection: Connection) -> None:
    revision = _current(connection)
    connection.rollback()
    if revision == HEAD:
        return
    check_known(revision)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _check_file(url: URL) -> None:
    """Check the file with SQLite; all of it if it is small, else its beginning."""
    path = Path(url.database or "")
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()
        if path.stat().st_size > _QUICK_CHECK_BYTES:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        first = str(found).splitlines()[-1]
        raise SchemaError(f"database {path} is damaged (quick_check: {first}): {_HOW_TO_REPAIR}")


def _explain(url: URL, exc: Exception) -> str:
    cause: Any = getattr(exc, "orig", None) or exc
    words = " ".join(str(cause).split())[:200]
    if url.get_backend_name() != "sqlite":
        return f"database {shown(url)} cannot be used: {words}"
    if isinstance(exc, OperationalError | sqlite3.OperationalError):
        return f"database {url.database} cannot be used: {words}"
    return f"database {url.database} is damaged ({words}): {_HOW_TO_REPAIR}"


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for(lambda: _try_flock(descriptor), str(path))
        yield
    finally:
        os.close(descriptor)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _advisory_lock(holder: Connection) -> None:
    def take() -> bool:
        query = text("SELECT pg_try_advisory_lock(:lock)")
        return bool(holder.execute(query, {"lock": _ADVISORY_LOCK}).scalar_one())

    _wait_for(take, "the migration lock")
    holder.commit()  # the lock belongs to the connection, not to the transaction


def _wait_for(take: Any, what: str) -> None:
    until_s = time.monotonic() + LOCK_WAIT_S
    while not take():
        if time.monotonic() > until_s:
            raise SchemaError(f"another process migrates for over {LOCK_WAIT_S:.0f} s ({what})")
        time.sleep(0.05)
