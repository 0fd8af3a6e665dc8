"""Databases for the store's tests: a fresh SQLite file, and a fresh PostgreSQL where marked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.database import schema
from gateway.store.database.engine import Database
from tests.servers import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, on each kind of store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url()


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    """A migrated database, on each kind of store."""
    schema.upgrade(empty_url)
    database = Database.open(empty_url)
    yield database
    database.close()
