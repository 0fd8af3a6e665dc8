"""Databases that are up to date at once: migrating one takes longer than most tests."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from gateway.config import Settings
from gateway.store.database import schema, setup


def migrated(folder: Path) -> str:
    """Write a migrated SQLite database without content into a folder; return its address."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "gateway.db"
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


def prepare(settings: Settings) -> None:
    """Make the store ready as a start does. Raises ConfigError."""
    path = settings.data_dir / "gateway.db"
    if settings.database_url == f"sqlite:///{path}" and not path.exists():
        migrated(settings.data_dir)
    setup.prepare(settings)


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        schema.upgrade(f"sqlite:///{path}")
        return path.read_bytes()
