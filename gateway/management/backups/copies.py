"""Backups of SQLite: one file with everything, made while the gateway runs, checked before use.

`VACUUM INTO` copies a consistent state without holding up writers. A backup holds digests of keys
and hashes of passwords, but the headers sent to servers and the secrets of two-factor login as they
are: its mode is 0600, and it belongs in a safe place. PostgreSQL has `pg_dump` and `pg_restore`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from gateway.config import Settings
from gateway.runtime.workers import is_alive
from gateway.store.coordination import versions, workers
from gateway.store.database import schema
from gateway.store.database.engine import Database
from gateway.store.tables import Base

NAME = "gateway-%Y%m%d-%H%M%S.db"
"""What a backup is called, by the time in UTC when it was made."""
_ACTING = (
    "SELECT type, name FROM sqlite_master "
    "WHERE type IN ('trigger', 'view') AND coalesce(sql, '') NOT IN (?, ?)"
)
_OUR_TRIGGERS = (
    "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'audit rows cannot be changed'); END",
    "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
    "WHEN OLD.action NOT IN ('login.failed', 'login.code_failed', 'login.provider_failed') "
    "BEGIN SELECT RAISE(ABORT, 'audit rows cannot be changed'); END",
)
"""As the migrations 0001 and 0002 make it."""
_RECENT = timedelta(seconds=15)


class BackupError(Exception):
    """A backup cannot be made or used; the text says why, on one line."""


def make(settings: Settings, target: Path) -> Path:
    """Write a backup to `target`, a new file or a folder. Raises BackupError."""
    database = _file(settings)
    if target.is_dir():
        target = target / datetime.now(UTC).strftime(NAME)
    if target.exists():
        raise BackupError(f"{target} exists already: choose another name")
    part = target.with_name(f".{target.name}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(database, part)
        check(part)
        part.rename(target)
    except (OSError, sqlite3.Error) as exc:
        raise BackupError(f"{target} cannot be written: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)
    return target


def restore(settings: Settings, source: Path, *, force: bool = False) -> Path | None:
    """Replace the store by a backup; return where the replaced one was put.

    Raises BackupError, before anything is changed, if the backup is damaged, of a newer version or
    has other tables than the gateway, or if the gateway seems to run and `force` is off.
    """
    file = _file(settings)
    if not source.is_file():
        raise BackupError(f"{source} is not there")
    if not force:
        _refuse_while_running(settings)
    _refuse_acting(source)
    check(source)
    kept = _replace(source, file)
    database = Database.open(settings.database_url)
    with database.write() as session:
        versions.bump_all(session)
    database.close()
    return kept


def check(path: Path) -> str:
    """Return the schema of a backup. Raises BackupError for a damaged or newer one."""
    try:
        with closing(_opened(path)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    except (sqlite3.Error, TypeError) as exc:
        raise BackupError(f"{path} is not a backup of the gateway: {exc}") from exc
    if found != "ok":
        raise BackupError(f"{path} is damaged: {str(found).splitlines()[-1]}")
    try:
        schema.check_known(revision)
    except schema.SchemaError as exc:
        raise BackupError(f"{path} cannot be used: {exc}") from exc
    return str(revision)


def try_restore(path: Path) -> None:
    """Restore a backup into a folder that is thrown away. Raises BackupError if that fails."""
    with tempfile.TemporaryDirectory(prefix=".trying-", dir=path.parent) as folder:
        try:
            _bring_up_to_date(path, Path(folder) / path.name)
        except OSError as exc:
            raise BackupError(f"{path} cannot be restored: {exc.strerror}") from exc
        except schema.SchemaError as exc:
            raise BackupError(f"{path} cannot be restored: {exc}") from exc


def _bring_up_to_date(source: Path, fresh: Path) -> None:
    """Copy a backup to `fresh`, of this version's schema. Raises OSError, SchemaError."""
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copyfile(source, fresh)
    schema.upgrade(f"sqlite:///{fresh}")
    schema.check_tables(f"sqlite:///{fresh}")


def _copy(database: Path, part: Path) -> None:
    part.unlink()
    connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)
    previous = os.umask(0o077)
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
    finally:
        os.umask(previous)
        connection.close()


def _replace(source: Path, database: Path) -> Path | None:
    """Bring a copy of the backup to this version and put it in place; what was there is kept beside
    it."""
    folder = Path(tempfile.mkdtemp(prefix=".restoring-", dir=database.parent))  # of mode 0700
    kept: Path | None = None
    try:
        fresh = folder / database.name
        _bring_up_to_date(source, fresh)
        _fold_wal(fresh)
        if database.exists():
            kept = database.with_name(
                f"{database.name}.before-restore-{datetime.now(UTC):%Y%m%d%H%M%S}"
            )
            _fold_wal(database)
            database.rename(kept)
        for leftover in ("-wal", "-shm"):
            database.with_name(database.name + leftover).unlink(missing_ok=True)
        fresh.rename(database)
    except OSError as exc:
        raise BackupError(f"{database} cannot be replaced: {exc.strerror}") from exc
    except schema.SchemaError as exc:
        raise BackupError(f"{source} cannot be used, nothing was changed: {exc}") from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return kept


def _fold_wal(database: Path) -> None:
    """Bring what is still in the write-ahead log into the file, so that it can be moved alone."""
    try:
        connection = sqlite3.connect(database, timeout=5)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    except sqlite3.Error:
        return  # a damaged one is kept as it is: it is being replaced for a reason


def _refuse_acting(source: Path) -> None:
    """Raise BackupError for triggers of others, and for views in the place of our tables."""
    tables = {*Base.metadata.tables, "alembic_version"}
    with suppress(sqlite3.Error), closing(_opened(source)) as connection:
        for kind, name in connection.execute(_ACTING, _OUR_TRIGGERS).fetchall():
            if kind == "trigger" or name.lower() in tables:
                raise BackupError(f"{source} is not a backup of the gateway: it has a {kind} more")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)


def _refuse_while_running(settings: Settings) -> None:
    database = Database.open(settings.database_url)
    try:
        with database.read() as session:
            beats = workers.last_heard(session)
    except DBAPIError:  # a store too broken to ask is what a restore is for
        return
    finally:
        database.close()
    now, here = datetime.now(UTC), os.uname().nodename
    for worker, at in beats.items():
        host, _, pid = worker.rpartition(":")
        if now - at < _RECENT and (host != here or (pid.isdigit() and is_alive(int(pid)))):
            raise BackupError(f"the gateway is running ({worker}): stop it first, or use --force")


def _file(settings: Settings) -> Path:
    if not settings.uses_sqlite:
        raise BackupError(
            "PostgreSQL is backed up by pg_dump and restored by pg_restore: see docs/operations.md"
        )
    return Path(make_url(settings.database_url).database or "")
