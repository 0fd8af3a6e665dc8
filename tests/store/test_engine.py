"""Transactions on SQLite: writers do not trip over one another."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError, StatementError

from gateway.store.coordination import versions
from gateway.store.database.engine import Database, merge_histograms
from gateway.store.tables import CommandRow, SettingRow, from_us, to_us
from tests.support.database import migrated

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return migrated(tmp_path)


def setting(name: str, value: object = 1) -> SettingRow:
    return SettingRow(name=name, value=value)


def test_a_writing_transaction_is_alone_from_its_first_statement(url: str) -> None:
    database = Database.open(url)
    other = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    with database.write() as session:
        session.scalars(select(CommandRow)).all()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        session.add(setting("x"))
    other.execute("BEGIN IMMEDIATE")
    found = other.execute("SELECT name FROM setting").fetchall()
    other.close()
    database.close()

    assert found == [("x",)]


def test_reading_goes_on_while_somebody_writes(url: str) -> None:
    database = Database.open(url)
    holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with database.read() as session:
        found = session.scalars(select(SettingRow)).all()
    holder.close()
    database.close()

    assert found == []


def test_a_full_disk_is_an_error_and_damages_nothing(url: str) -> None:
    database = Database.open(url)

    def fill() -> None:
        with database.write() as session:
            pages = session.scalar(text("PRAGMA page_count"))
            session.execute(text(f"PRAGMA max_page_count={pages}"))
            for number in range(2_000):
                session.add(setting(f"n{number}", "x" * 1000))

    with pytest.raises(OperationalError):
        fill()
    with database.read() as session:
        left = session.scalars(select(SettingRow)).all()
        state = session.scalar(text("PRAGMA quick_check"))
    database.close()

    assert (left, state) == ([], "ok")


def test_a_failed_write_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(setting("x"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as session:
        found = session.scalars(select(SettingRow)).all()

    assert found == []


@pytest.mark.parametrize(
    "value",
    [{"a": [1, 2.5, None, "漢字 🧭"], "b": {"c": True}}, 900, 0, 2.5, "900", "", True, []],
    ids=repr,
)
def test_instants_and_json_come_back_as_they_were(database: Database, value: object) -> None:
    with database.write() as session:
        session.add(CommandRow(created_at=NOW, kind="x", payload=value))
    with database.read() as session:
        row = session.scalars(select(CommandRow)).one()

    assert (row.created_at, row.payload) == (NOW, value)
    assert from_us(to_us(NOW)) == NOW


def test_a_naive_time_is_refused(database: Database) -> None:
    with database.read() as session:
        session.add(CommandRow(created_at=NOW.replace(tzinfo=None), kind="x"))
        with pytest.raises(StatementError, match="naive"):
            session.flush()


@pytest.mark.parametrize(
    ("stored", "more", "merged"),
    [
        ("{}", '{"a":{"1":2}}', {"a": {"1": 2}}),
        (
            '{"a":{"1":2,"3":1}}',
            '{"a":{"1":5},"b":{"9":1}}',
            {"a": {"1": 7, "3": 1}, "b": {"9": 1}},
        ),
        ('{"a":{"1":1}}', "{}", {"a": {"1": 1}}),
        ("{}", "{}", {}),
    ],
)
def test_both_databases_merge_histograms_alike(
    database: Database, stored: str, more: str, merged: dict[str, dict[str, int]]
) -> None:
    with database.read() as session:
        found = session.scalar(
            text("SELECT merge_histograms(:stored, :more)"), {"stored": stored, "more": more}
        )

    assert json.loads(found) == json.loads(merge_histograms(stored, more)) == merged


def test_a_change_mark_is_seen_by_another_connection_at_once(url: str) -> None:
    database = Database.open(url)
    watch = versions.FileWatch(url.removeprefix("sqlite:///"))
    before = watch.look()
    with database.write() as session:
        versions.bump(session, "keys")
    first = watch.look()
    same = watch.look()
    with database.write() as session:
        versions.bump(session, "keys")
        versions.bump(session, "models")
    second = watch.look()
    watch.close()
    database.close()

    assert (before, first, second) == ({}, {"keys": 1}, {"keys": 2, "models": 1})
    assert same is first


def test_marks_are_counted_on_both_databases(database: Database) -> None:
    for _ in range(3):
        with database.write() as session:
            versions.bump(session, "settings")
    with database.read() as session:
        found = versions.numbers(session)

    assert found == {"settings": 3}


def test_the_newest_page_walks_an_index(url: str) -> None:
    database = Database.open(url)
    with database.read() as session:
        newest = "ORDER BY created_at DESC, id DESC LIMIT 50"
        for query in (
            f"SELECT * FROM request_log {newest}",
            f"SELECT * FROM request_log WHERE (created_at, id) < (5, 5) {newest}",
            f"SELECT * FROM request_log WHERE key_id = 3 {newest}",
            f"SELECT * FROM request_log WHERE model = 'm' {newest}",
            f"SELECT * FROM request_log WHERE status = 502 {newest}",
            "SELECT DISTINCT worker FROM request_log WHERE settled_at IS NULL",
        ):
            plan = " ".join(
                str(row[3]) for row in session.execute(text(f"EXPLAIN QUERY PLAN {query}"))
            )
            assert "USING INDEX" in plan or "USING COVERING INDEX" in plan, (query, plan)
            assert "TEMP B-TREE FOR ORDER BY" not in plan, (query, plan)
    database.close()


def test_a_nul_is_stored_and_sought_on_each_kind_of_store(database: Database) -> None:
    """PostgreSQL knows none: another character takes its place, and nothing is refused."""
    name = "a\0b"
    value = {"nul": name, "an escape": "\\u0000", "both": "\\\0"}
    with database.write() as session:
        session.add(CommandRow(created_at=NOW, worker=name, kind="x", payload=value))
    with database.read() as session:
        row = session.scalars(select(CommandRow).where(CommandRow.worker == name)).one()

    kept = "\0" if database.is_sqlite else "\ufffd"
    assert row.worker == name.replace("\0", kept)
    assert row.payload == {
        "nul": name.replace("\0", kept), "an escape": "\\u0000", "both": f"\\{kept}"
    }  # fmt: skip
