"""Versions: how another worker notices that keys, models or settings were changed.

A change raises its topic's number in its own transaction (`bump`). Workers compare numbers. On
SQLite a look costs microseconds, so it is taken at every request: `PRAGMA data_version` tells
whether anybody else committed at all, and only then the numbers are read. On PostgreSQL a
background loop asks twice a second.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from typing import Literal, TypeAlias

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.store.database.engine import insert_for
from gateway.store.tables import ChangeVersionRow

Topic: TypeAlias = Literal["keys", "models", "servers", "settings", "admins", "commands", "alerts"]


def bump(session: Session, topic: Topic) -> None:
    """Raise the number of `topic`; call in the transaction that changes it."""
    session.execute(
        insert_for(session, ChangeVersionRow)
        .values(topic=topic, version=1)
        .on_conflict_do_update(
            index_elements=[ChangeVersionRow.topic], set_={"version": ChangeVersionRow.version + 1}
        )
    )


def numbers(session: Session) -> dict[str, int]:
    """Return the number of each topic that was ever changed."""
    rows = session.execute(select(ChangeVersionRow.topic, ChangeVersionRow.version))
    return {row.topic: row.version for row in rows}


def bump_all(session: Session) -> None:
    """Raise every number: the whole store was replaced."""
    session.execute(update(ChangeVersionRow).values(version=ChangeVersionRow.version + 1))


class FileWatch:
    """Looks at the numbers in a SQLite file without ever waiting.

    Holds one connection open. That also keeps SQLite from folding the write-ahead log into the
    file each time the last short connection closes.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._numbers: Mapping[str, int] = {}

    def look(self) -> Mapping[str, int]:
        """Return the numbers now. Raises sqlite3.Error when the file cannot be asked."""
        with self._lock:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    self._path, timeout=0, isolation_level=None, check_same_thread=False
                )
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                rows = self._connection.execute("SELECT topic, version FROM change_version")
                self._numbers = dict(rows.fetchall())
                self._version = version
            return self._numbers

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._version = -1
