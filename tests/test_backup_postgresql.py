"""Backups on PostgreSQL: everything comes back or nothing changes, and what is missing is named."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from click.testing import Result
from flask import Flask
from sqlalchemy import create_engine

from gateway import create_app
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.errors import Unauthenticated
from gateway.management.postgres_dump import check
from gateway.store.database import schema, setup
from gateway.web.context import Services, of
from tests.servers import Postgres, running_postgres
from tests.test_cli import close, record

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> str:
    return server.url()


@pytest.fixture
def app(tmp_path: Path, url: str) -> Iterator[Flask]:
    environ = {"DATA_DIR": str(tmp_path / "data"), "PORT": "1", "DATABASE_URL": url}
    settings = Settings.load({**environ, "SESSION_SECRET": "s" * 32}, None)
    setup.prepare(settings)
    made = create_app(settings)
    yield made
    close(made)


@pytest.fixture
def parts(app: Flask) -> Services:
    return of(app)


def run(app: Flask, *args: object) -> Result:
    return app.test_cli_runner().invoke(args=[str(arg) for arg in args])


def is_valid(parts: Services, secret: str) -> bool:
    parts.keyring.drop()
    parts.keyring.revisions.look()
    try:
        parts.keyring.find(secret)
    except Unauthenticated:
        return False
    return True


def test_a_backup_brings_everything_back(app: Flask, parts: Services, tmp_path: Path) -> None:
    _, kept = parts.keys.issue({"name": "kept"}, SYSTEM)
    record(parts)
    folder = tmp_path / "kept here"
    folder.mkdir()
    made = run(app, "backup", folder)
    (target,) = folder.iterdir()
    _, later = parts.keys.issue({"name": "later"}, SYSTEM)
    again = run(app, "backup", target)
    restored = run(app, "restore", target, "--yes")

    assert (made.exit_code, restored.exit_code) == (0, 0), restored.output
    assert target.suffix == ".dump"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "exists already" in again.stderr
    assert (is_valid(parts, kept), is_valid(parts, later)) == (True, False)
    assert "kept  3 " in run(app, "usage").stdout
    assert kept.encode() not in target.read_bytes()
    assert schema.check(parts.config.database_url) == schema.head()


def test_a_backup_of_an_older_version_is_brought_along(
    app: Flask, parts: Services, server: Postgres, tmp_path: Path
) -> None:
    """The tables that are newer than the dump must not be in the way of its migration."""
    old = server.url()
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = create_engine(old)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    other = create_app(
        Settings.load(
            {
                "DATA_DIR": str(tmp_path / "old"),
                "PORT": "1",
                "DATABASE_URL": old,
                "SESSION_SECRET": "s" * 32,
            },
            None,
        )
    )
    target = tmp_path / "old.dump"
    made = run(other, "backup", target)
    restored = run(app, "restore", target, "--yes")

    assert made.exit_code == 0, made.output
    assert check(target) == "0002"
    assert restored.exit_code == 0, restored.output
    assert schema.check(parts.config.database_url) == schema.head()


def _cut(dump: Path, url: str) -> None:
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size * 3 // 4])


def _spoil(dump: Path, url: str) -> None:
    content = bytearray(dump.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 4000] = b"\xaa" * 4000
    dump.write_bytes(content)


def _replace(dump: Path, url: str) -> None:
    dump.write_bytes(b"SQLite format 3\0" + b"\0" * 4096)


def _make_newer(dump: Path, url: str) -> None:
    bare = url.replace("+psycopg", "")
    with psycopg.connect(bare) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    dump.unlink()
    from gateway.management import postgres_dump

    with pytest.raises(postgres_dump.BackupError):  # written, then found to be newer
        postgres_dump.make(url, dump)
    with psycopg.connect(bare) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (schema.head(),))


def _changed(*changes: str):
    def spoil(dump: Path, url: str) -> None:
        engine = create_engine(url)
        with engine.connect() as connection:
            for change in changes:
                connection.exec_driver_sql(change)
            connection.commit()
        dump.unlink()
        from gateway.management import postgres_dump

        postgres_dump.make(url, dump)
        engine.dispose()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(_changed("DROP TABLE usage_day"), "other tables", id="a table less"),
        pytest.param(
            _changed("ALTER TABLE usage_day RENAME TO u", "CREATE VIEW usage_day AS TABLE u"),
            "other tables",
            id="a view instead of a table",
        ),
        pytest.param(
            _changed("CREATE RULE r AS ON INSERT TO usage_day DO INSTEAD NOTHING"),
            "other tables",
            id="a rule",
        ),
        pytest.param(_cut, "", id="cut off"),
        pytest.param(_spoil, "", id="overwritten inside"),
        pytest.param(_replace, "is no backup of PostgreSQL", id="of SQLite"),
        pytest.param(_make_newer, "newer version", id="of a newer version"),
    ],
)
def test_a_backup_that_cannot_be_used_changes_nothing(
    app: Flask, parts: Services, url: str, tmp_path: Path, spoil, words: str
) -> None:
    _, secret = parts.keys.issue({"name": "kept"}, SYSTEM)
    record(parts, 300)
    target = tmp_path / "saved.dump"
    run(app, "backup", target)
    _, later = parts.keys.issue({"name": "later"}, SYSTEM)
    spoil(target, url)
    result = run(app, "restore", target, "--yes")

    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert (is_valid(parts, secret), is_valid(parts, later)) == (True, True)


@pytest.mark.parametrize(("name", "program"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_without_the_client_programs_it_says_what_to_install(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, program: str
) -> None:
    dump = tmp_path / "some.dump"
    if name == "restore":
        run(app, "backup", dump)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(app, name, dump, *(["--yes"] if name == "restore" else []))

    assert result.exit_code == 1
    assert f"{program} is not installed" in result.stderr
    assert "postgresql-client" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_dump_is_refused_where_sqlite_is_used(app: Flask, tmp_path: Path) -> None:
    dump = tmp_path / "some.dump"
    run(app, "backup", dump)
    settings = Settings.load({"DATA_DIR": str(tmp_path / "small"), "PORT": "1"}, None)
    setup.prepare(settings)
    other = create_app(settings)
    result = run(other, "restore", dump, "--yes")
    close(other)

    assert result.exit_code == 1
    assert "set DATABASE_URL to restore it" in result.stderr
