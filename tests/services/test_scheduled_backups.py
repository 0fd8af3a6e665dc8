"""Backups on a schedule: one worker makes them, each is tried, old ones go, a failure is told."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.management.backups import copies, schedule
from gateway.management.backups.schedule import ScheduledBackups
from gateway.services import make
from gateway.store import audit
from gateway.store.database import schema
from gateway.web.context import Services

HOUR = timedelta(hours=1)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Services]:
    """Services on a store of their own, with a backup a day and two kept."""
    settings = Settings.load({"DATA_DIR": str(tmp_path / "data")}, None)
    schema.upgrade(settings.database_url)
    found = make(settings)
    found.settings.update({"backup_every_h": 24, "backup_keep": 2}, SYSTEM)
    yield found
    found.store.database.close()


def at(parts: Services, when: datetime) -> ScheduledBackups:
    """Return another worker's schedule, with its clock at `when`."""
    return ScheduledBackups(parts.store, parts.config, parts.settings.behaviour, now=lambda: when)


def actions(parts: Services) -> list[str]:
    return [one.action for one in parts.store.read(audit.page, object_kind="backup", limit=20)]


def test_one_worker_makes_one_a_day_and_old_ones_go(parts: Services) -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    made = []
    for hours in (0, 0, 23, 24, 24, 48, 72):
        at(parts, day + hours * HOUR).look()
        made.append([one.made_at - day for one in parts.backups.kept()])

    assert made == [
        [0 * HOUR],
        [0 * HOUR],
        [0 * HOUR],
        [24 * HOUR, 0 * HOUR],
        [24 * HOUR, 0 * HOUR],
        [48 * HOUR, 24 * HOUR],
        [72 * HOUR, 48 * HOUR],
    ]
    assert actions(parts) == [schedule.MADE] * 4


def test_a_backup_can_be_restored_and_is_private(parts: Services) -> None:
    made = parts.backups.make()

    assert made is not None
    path = parts.backups.find(made.name)
    assert path is not None
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT value FROM setting WHERE name = 'backup_keep'").fetchone()
    assert str(kept[0]) == "2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == [made.name]


def test_a_failure_is_told_and_tried_again_after_an_hour(
    parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise copies.BackupError(f"{path} cannot be restored: disk full")

    day = datetime.now(UTC)
    monkeypatch.setattr(copies, "try_restore", full)
    at(parts, day).look()
    at(parts, day + HOUR / 2).look()
    after_half_an_hour = actions(parts)
    at(parts, day + HOUR).look()

    assert after_half_an_hour == [schedule.FAILED]
    assert actions(parts) == [schedule.FAILED] * 2
    assert parts.backups.kept() == []
    assert list(parts.backups.folder.iterdir()) == []


def test_nothing_is_made_while_it_is_off(parts: Services) -> None:
    parts.settings.update({"backup_every_h": 0}, SYSTEM)
    parts.backups.look()

    assert parts.backups.kept() == []


@pytest.mark.parametrize("name", ["../gateway.db", "gateway.db", "", "gateway-20261101-000000.db"])
def test_only_backups_of_the_folder_are_found(parts: Services, name: str) -> None:
    assert parts.backups.find(name) is None
