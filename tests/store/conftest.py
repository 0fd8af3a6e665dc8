"""Databases for the store's tests: a fresh SQLite file, and a fresh PostgreSQL where marked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.database.engine import Database
from tests.support.servers import Postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, on each kind of store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url()


@pytest.fixture
def database(any_url: str) -> Iterator[Database]:
    """A migrated database, on each kind of store."""
    database = Database.open(any_url)
    yield database
    database.close()
