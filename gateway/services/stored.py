"""The way of services to the store: off the event loop, bounded in time, with one kind of failure.

Store functions take a session; here they are run with one. On SQLite that happens in a real
thread, because SQLite works and waits in C. On PostgreSQL psycopg waits cooperatively, but a frozen
server or network answers to none of its time limits (seen: 8 s and counting), so the caller stops
waiting by itself; the connection is given up when the kernel notices.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from gateway.errors import Unavailable
from gateway.services.offload import patched, run_blocking, spawn
from gateway.store.engine import Database

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_S = 2.0
LONG_ANSWER_S = 15.0


class StoreUnavailable(Unavailable):
    """The database does not answer, is full, locked or damaged; soon it may be well again."""

    code = "store_unavailable"
    retry_after_s: int | None = 2


class Store:
    """Runs store functions: `read` without committing, `write` with one commit at the end."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def read(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Give what `function(session, ...)` reads. Raises StoreUnavailable, and what it raises."""
        return self._run(lambda: self._reading(function, *args, **kwargs), ANSWER_S)

    def analyse(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read as `read` does, but allow a long query its time."""
        return self._run(lambda: self._reading(function, *args, **kwargs), LONG_ANSWER_S)

    def write(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Give what `function(session, ...)` returns, after its changes are committed. Raises
        StoreUnavailable, and what it raises; then nothing was changed."""
        return self._run(lambda: self._writing(function, *args, **kwargs), LONG_ANSWER_S)

    def _reading(
        self, function: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with self.database.read() as session:
            return function(session, *args, **kwargs)

    def _writing(
        self, function: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with self.database.write() as session:
            return function(session, *args, **kwargs)

    def _run(self, work: Callable[[], T], wait_s: float) -> T:
        try:
            return self._elsewhere(work, wait_s)
        except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as exc:
            log.warning("the store failed: %s", type(getattr(exc, "orig", None) or exc).__name__)
            raise StoreUnavailable("The gateway's database is not available; try again.") from exc

    def _elsewhere(self, work: Callable[[], T], wait_s: float) -> T:
        if self.database.is_sqlite:
            return run_blocking(work)
        if not patched():
            return work()
        task = spawn(work)
        if not task.wait(wait_s):
            log.warning("the store has not answered for %.0f s", wait_s)
            raise StoreUnavailable("The gateway's database does not answer; try again.")
        return task.result()
