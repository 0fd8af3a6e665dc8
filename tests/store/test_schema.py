"""Migrations: equal to the tables, whole or not at all, once however many start them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.store.database import schema
from gateway.store.database.engine import Database
from gateway.store.tables import Base

_START = "import sys; from gateway.store.database import schema; schema.upgrade(sys.argv[1])"


def test_migrations_make_exactly_the_tables_of_the_metadata(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_an_upgrade_of_an_up_to_date_database_changes_nothing(
    database: Database, any_url: str
) -> None:
    schema.upgrade(any_url)

    assert schema.check(any_url) == schema.HEAD


def test_a_database_of_a_newer_version_is_refused(database: Database, any_url: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(schema.SchemaError, match="newer version"):
        schema.upgrade(any_url)
    with pytest.raises(schema.SchemaError, match="newer version"):
        schema.check(any_url)


def test_a_key_is_the_beginning_of_a_table_without_rowid(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    schema.upgrade(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'"
        ).fetchall()
        tables = {
            name: connection.execute(f"PRAGMA table_info({name})").fetchall() for (name,) in names
        }

    assert {"usage_hour", "usage_day"} <= set(tables)
    for name, columns in tables.items():
        places = [place for *_rest, place in columns]
        length = max(places)
        assert places[:length] == list(range(1, length + 1)), name


@pytest.mark.parametrize("revision", ["0001", "0008", "initial"])
def test_a_database_of_before_the_first_release_is_refused(
    database: Database, any_url: str, revision: str
) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})

    for refusing in (schema.upgrade, schema.check):
        with pytest.raises(schema.SchemaError, match="export-config --with-digests") as caught:
            refusing(any_url)
        assert "\n" not in str(caught.value)


def test_an_old_database_is_copied_before_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gateway.db"
    schema.upgrade(f"sqlite:///{path}")
    schema.upgrade(f"sqlite:///{path}")
    assert not list(tmp_path.glob("*before*"))
    migrations = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, migrations)
    (migrations / "versions" / "0003_next.py").write_text(
        "from alembic import op\nrevision, down_revision = 'next', 'alerts'\n"
        "def upgrade(): op.execute('CREATE TABLE more (id INTEGER)')\n"
    )
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "HEAD", "next")
    schema.upgrade(f"sqlite:///{path}")
    copy = tmp_path / "gateway.db.before-alerts"
    tables = []
    for file in (path, copy):
        with closing(sqlite3.connect(file)) as database:
            tables.append(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    assert schema.check(f"sqlite:///{path}") == "next"
    assert tables[0] == tables[1] + 1
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", _START, empty_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=60)[1].decode() for process in starting]

    assert [process.returncode for process in starting] == [0] * 3, ended
    assert schema.check(empty_url) == schema.HEAD


def test_an_audit_row_cannot_be_changed(database: Database) -> None:
    row = (
        "INSERT INTO audit (created_at, actor_kind, actor_name, ip, action, object_kind, object_id,"
        " object_name) VALUES (1, 'system', 'x', '', 'a', 'b', '', '')"
    )
    with database.engine.begin() as connection:
        connection.execute(text(row))

    with (
        pytest.raises(DBAPIError, match="cannot be changed"),
        database.engine.begin() as connection,
    ):
        connection.execute(text("UPDATE audit SET actor_name = 'y'"))


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'data' / 'gateway.db'}"
    schema.upgrade(url)
    database = Database.open(url)
    with database.write() as session:
        session.execute(text("DELETE FROM setting"))
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()
        }
    database.close()

    assert {"gateway.db", "gateway.db-wal", "gateway.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}


def _kill_after(url: str, statements: int) -> int:
    """Run the migration in a process that kills itself before statement number `statements`."""
    program = f"""
import os, signal, sys
from sqlalchemy import Engine, event
count = 0
@event.listens_for(Engine, "before_cursor_execute")
def strike(conn, cursor, statement, parameters, context, executemany):
    global count
    if statement.startswith(("CREATE", "INSERT", "UPDATE")):
        count += 1
        if count == {statements}:
            os.kill(os.getpid(), signal.SIGKILL)
from gateway.store.database import schema
schema.upgrade(sys.argv[1])
"""
    return subprocess.run([sys.executable, "-c", program, url], timeout=60).returncode


@pytest.mark.slow
def test_a_migration_killed_half_way_leaves_whole_steps_only(tmp_path: Path) -> None:
    states = set()
    for statement in (1, 2, 7, 13, 20, 21, 22, 26, 30):
        path = tmp_path / f"{statement}.db"
        assert _kill_after(f"sqlite:///{path}", statement) == -signal.SIGKILL
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
                " AND name NOT IN ('alembic_version', 'sqlite_sequence')"
            ).fetchone()[0]
        states.add(tables)
        schema.upgrade(f"sqlite:///{path}")
        assert schema.check(f"sqlite:///{path}") == schema.HEAD

    assert 0 in states
    assert states <= {0, len(Base.metadata.tables)}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(b"this is not a database at all" * 300, "is damaged", id="other file"),
        pytest.param(None, "is damaged", id="flipped pages"),
    ],
)
def test_a_damaged_file_stops_the_start_with_one_line(
    tmp_path: Path, damage: bytes | None, words: str
) -> None:
    path = tmp_path / "gateway.db"
    url = f"sqlite:///{path}"
    schema.upgrade(url)
    if damage is not None:
        path.write_bytes(damage)
    else:
        content = bytearray(path.read_bytes())
        content[4096 * 3 : 4096 * 8] = os.urandom(4096 * 5)
        path.write_bytes(content)

    with pytest.raises(schema.SchemaError, match=words) as caught:
        schema.upgrade(url)

    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(schema.SchemaError, match="cannot be opened"):
        schema.upgrade(f"sqlite:///{tmp_path / 'file' / 'gateway.db'}")


def test_a_database_of_the_first_release_is_brought_up_to_date(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = tmp_path / "migrations"
    later = shutil.ignore_patterns("000[2-9]*")
    shutil.copytree(schema.MIGRATIONS, migrations, ignore=later)
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "HEAD", "release_1")
    schema.upgrade(empty_url)
    monkeypatch.undo()
    now = {"created_at": 1, "epoch": 1, "totp_last_step": 0}
    database = Database.open(empty_url)
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO account (id, username, role, totp_secret, last_login_ip,"
                " password_hash, must_change_password, enabled, totp_enabled, totp_last_step,"
                " epoch, preferences, created_at) VALUES (1, 'mara', 'owner', '', '', 'x', false,"
                " true, false, :totp_last_step, :epoch, '{}', :created_at)"
            ),
            now,
        )
    database.close()

    schema.upgrade(empty_url)

    database = Database.open(empty_url)
    with database.read() as session:
        kept = session.execute(text("SELECT username, failed_logins, issuer FROM account")).one()
    database.close()
    assert tuple(kept) == ("mara", 0, None)
    assert schema.check(empty_url) == schema.HEAD
