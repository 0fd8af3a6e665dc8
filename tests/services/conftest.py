"""Services on a real database: SQLite always, PostgreSQL where a test asks for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.management.keyring import Keyring
from gateway.management.keys import Keys
from gateway.management.settings import SettingsCache
from gateway.runtime.database import Store
from gateway.runtime.versions import ChangeVersions
from gateway.store.database.engine import Database
from tests.support.database import migrated


@pytest.fixture
def any_store(any_url: str) -> Iterator[Store]:
    """A store on each kind of database."""
    database = Database.open(any_url)
    yield Store(database)
    database.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a migrated SQLite database."""
    return migrated(tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on SQLite."""
    database = Database.open(url)
    yield Store(database)
    database.close()


@dataclass
class FakeClock:
    """A clock that goes on when told: `now()` for dates, `seconds()` for durations."""

    at: datetime = field(default=datetime(2030, 5, 15, 12, 0, tzinfo=UTC))
    elapsed_s: float = 1000.0

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
        self.elapsed_s += seconds

    def now(self) -> datetime:
        """Give the date and time."""
        return self.at

    def seconds(self) -> float:
        """Give monotonic seconds."""
        return self.elapsed_s


@pytest.fixture
def clock() -> FakeClock:
    """A clock under the test's control."""
    return FakeClock()


class Worker:
    """The services of one worker on a store, as a process would make them."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.versions = ChangeVersions(store, clock.seconds)
        self.settings = SettingsCache(store, self.versions, clock.now)
        self.keys = Keys(store, self.versions, now=clock.now)
        self.keyring = Keyring(store, self.versions, now=clock.now, clock=clock.seconds)


@pytest.fixture
def worker(any_store: Store, clock: FakeClock) -> Iterator[Worker]:
    """One worker."""
    worker = Worker(any_store, clock)
    yield worker
    worker.versions.stop()


@pytest.fixture
def other(any_url: str, clock: FakeClock) -> Iterator[Worker]:
    """A second worker on the same database, with connections of its own."""
    database = Database.open(any_url)
    worker = Worker(Store(database), clock)
    yield worker
    worker.versions.stop()
    database.close()
