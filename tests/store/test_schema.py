"""Migrations: equal to the tables, whole or not at all, once however many start them."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError

from gateway.store import jobs, responses
from gateway.store.database import schema
from gateway.store.database.engine import Database
from gateway.store.tables import Base, UsageHourRow
from gateway.store.usage import rollups

_START = "import sys; from gateway.store.database import schema; schema.upgrade(sys.argv[1])"


def test_migrations_make_exactly_the_tables_of_the_metadata(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_an_upgrade_of_an_up_to_date_database_changes_nothing(
    database: Database, empty_url: str
) -> None:
    schema.upgrade(empty_url)

    assert schema.check(empty_url) == schema.head()


def test_a_database_of_a_newer_version_is_refused(database: Database, empty_url: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(schema.SchemaError, match="newer version"):
        schema.upgrade(empty_url)
    with pytest.raises(schema.SchemaError, match="newer version"):
        schema.check(empty_url)


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


def test_sums_of_before_come_out_as_their_status_says(empty_url: str) -> None:
    engine = create_engine(empty_url)
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    names = ("start", "key_id", "model", "server_id", "endpoint", "status", "client_app")
    sums = rollups.SUMS
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for status in (200, 429, 499, 503):
            values = "0, 1, 'm', 1, 'chat', :status, 'sdk'" + ", 2" * len(sums) + ", '{}'"
            connection.execute(
                text(f"INSERT INTO usage_hour ({', '.join((*names, *sums))}, histograms)"
                     f" VALUES ({values})"),
                {"status": status},
            )  # fmt: skip
        connection.commit()
    engine.dispose()
    schema.upgrade(empty_url)
    schema.upgrade(empty_url)  # looks the file over as well
    database = Database(empty_url)
    with database.read() as session:
        query = select(UsageHourRow.status, UsageHourRow.outcome, UsageHourRow.requests)
        found = [tuple(row) for row in session.execute(query.order_by(UsageHourRow.status))]
        if database.is_sqlite:
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    database.close()

    assert found == [
        (200, "ok", 2),
        (429, "failed", 2),
        (499, "cancelled", 2),
        (503, "failed", 2),
    ]


def test_jobs_of_before_and_of_an_older_gateway_are_pulls(empty_url: str) -> None:
    """A gateway of before knows no kinds, and may still write while others are renewed."""
    server = (
        "INSERT INTO server (id, name, url, weight, enabled, draining, auth_header, tls_verify,"
        " tls_ca_file, slots, tags, notes, created_at, version, refresh_error)"
        " VALUES (1, 'box', 'http://box', 1, true, false, '', true, '', 0, '[]', '', 1, '', '')"
    )
    insert = (
        "INSERT INTO pull_job (server_id, model, state, status, completed_bytes, total_bytes,"
        " layers, error, cancel_requested, actor_name, created_at, worker)"
        " VALUES (1, :model, 'done', '', 0, 0, '{}', '', false, 'eve', 1, '')"
    )
    engine = create_engine(empty_url)
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(text(server))
        connection.execute(text(insert), {"model": "before"})
        connection.commit()
    schema.upgrade(empty_url)
    with engine.begin() as connection:
        connection.execute(text(insert), {"model": "beside"})
    engine.dispose()
    database = Database(empty_url)
    with database.read() as session:
        found = [(job.model, job.kind) for job in jobs.recent(session)]
    database.close()

    assert found == [("beside", "pull"), ("before", "pull")]


def test_responses_of_before_get_their_size_and_are_still_told_whole(empty_url: str) -> None:
    """A gateway of before kept the output in the response as well."""
    response = (
        "INSERT INTO stored_response (id, key_id, model, status, body, created_at)"
        " VALUES ('resp_1', 7, 'tern', 'completed', :body, 1)"
    )
    item = (
        "INSERT INTO stored_item (response_id, key_id, item_id, kind, position, body)"
        " VALUES ('resp_1', 7, 'msg_1', 'output', 0, :body)"
    )
    engine = create_engine(empty_url)
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        connection.execute(text(response), {"body": '{"id": "resp_1", "output": [{"a": 1}]}'})
        connection.execute(text(item), {"body": '{"a": 1}'})
        connection.commit()
    engine.dispose()
    schema.upgrade(empty_url)
    database = Database(empty_url)
    with database.read() as session:
        found = responses.find(session, 7, "resp_1", datetime.now(UTC))
        row = session.get(responses.StoredResponseRow, "resp_1")
    database.close()

    assert found == {"id": "resp_1", "output": [{"a": 1}]}
    assert row is not None
    assert row.size == 38 + 8


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", _START, empty_url], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=60)[1].decode() for process in starting]

    assert [process.returncode for process in starting] == [0] * 4, ended
    assert schema.check(empty_url) == schema.head()


def test_an_audit_row_cannot_be_changed(database: Database) -> None:
    row = (
        "INSERT INTO audit (at, actor_kind, actor_name, ip, action, object_kind, object_id,"
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
    database = Database(url)
    with database.write() as session:
        session.execute(text("DELETE FROM notice"))
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


def test_a_migration_killed_half_way_leaves_whole_steps_only(tmp_path: Path) -> None:
    states = set()
    for statement in (1, 2, 7, 13, 20, 21, 22, 26, 30):
        path = tmp_path / f"{statement}.db"
        assert _kill_after(f"sqlite:///{path}", statement) == -signal.SIGKILL
        with sqlite3.connect(path) as connection:
            tables = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
                " AND name NOT IN ('alembic_version', 'sqlite_sequence')"
            ).fetchone()[0]
        connection.close()
        states.add(tables)
        schema.upgrade(f"sqlite:///{path}")
        assert schema.check(f"sqlite:///{path}") == schema.head()

    assert 0 in states
    assert states <= {0, 14, len(Base.metadata.tables)}


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
