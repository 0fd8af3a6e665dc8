"""Runs store functions for services: off the event loop, bounded in time, one kind of failure.

Store functions take a session; here they are run with one. On SQLite that happens in a real
thread, because SQLite works and waits in C. On PostgreSQL psycopg waits cooperatively, but a frozen
server or network answers to none of its time limits (seen: 8 s and counting), so the caller stops
waiting by itself. What was given up is never committed, its connections are not used again, and for
a moment everybody else is refused at once: one caller at a time tries whether it is back.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from gateway.errors import Message, Unavailable
from gateway.runtime.tasks import patched, run_blocking, spawn
from gateway.store.database.engine import BUSY_TIMEOUT_MS, Database

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_S = 2.0
LONG_ANSWER_S = 15.0
UNAVAILABLE = Message("The gateway's database is not available; try again.")
PAUSE_S = 1.0
_LOCK_MS = 1_000
"""How long a call of the API waits for SQLite's lock."""


class StoreUnavailable(Unavailable):
    """The database does not answer, is full, locked or damaged; soon it may be well again."""

    code = "store_unavailable"
    retry_after_s: int | None = 2


class Store:
    """Runs store functions: `read` without committing, `write` with one commit at the end."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.database = database
        self._clock = clock
        self._silent_until_s: float | None = None
        """The database was silent: one caller in PAUSE_S tries it, the others do not wait."""

    def read(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what `function(session, ...)` reads. Raises StoreUnavailable, and its errors."""
        work = partial(self._reading, lambda s: function(s, *args, **kwargs))
        return self._run(work, ANSWER_S)

    def read_slow(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read as `read` does, but allow a long query its time."""
        work = partial(self._reading, lambda s: function(s, *args, **kwargs))
        return self._run(work, LONG_ANSWER_S)

    def write(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what `function(session, ...)` returns, after its changes are committed. Raises
        StoreUnavailable, and what it raises; then nothing was changed."""

        work = partial(self._writing, BUSY_TIMEOUT_MS, lambda s: function(s, *args, **kwargs))
        return self._run(work, LONG_ANSWER_S)

    def write_fast(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Write as `write` does, for a call of the API that waits for it: a database that is locked
        or silent is not waited for long, and not at all shortly after that was seen."""

        work = partial(self._writing, _LOCK_MS, lambda s: function(s, *args, **kwargs))
        return self._run(work, ANSWER_S, for_a_call=True)

    def _reading(self, work: Callable[[Session], T], _: threading.Event) -> T:
        with self.database.read() as session:
            return work(session)

    def _writing(self, wait_ms: int, work: Callable[[Session], T], abandoned: threading.Event) -> T:
        with self.database.write(wait_ms=wait_ms) as session:
            result = work(session)
            if abandoned.is_set():  # its caller was told that nothing was changed
                raise _Abandoned
            return result

    def _run(
        self, work: Callable[[threading.Event], T], wait_s: float, *, for_a_call: bool = False
    ) -> T:
        is_watched = for_a_call or not self.database.is_sqlite  # SQLite's readers wait for nobody
        if is_watched and not self._may_try():
            raise StoreUnavailable(UNAVAILABLE)
        try:
            result = self._off_loop(work, wait_s)
        except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as exc:
            if is_watched and (self.database.is_sqlite or isinstance(exc, PoolTimeout)):
                self._silent_until_s = self._clock() + PAUSE_S
            log.warning("the store failed: %s", _name(exc))
            raise StoreUnavailable(UNAVAILABLE) from exc
        if is_watched:
            self._silent_until_s = None
        return result

    def _may_try(self) -> bool:
        """Whether to ask the database; who is told so while it is silent is the one who tries."""
        now_s = self._clock()
        if self._silent_until_s is not None and now_s < self._silent_until_s:
            return False
        if self._silent_until_s is not None:
            self._silent_until_s = now_s + PAUSE_S
        return True

    def _off_loop(self, work: Callable[[threading.Event], T], wait_s: float) -> T:
        abandoned = threading.Event()
        if self.database.is_sqlite:
            return run_blocking(work, abandoned)
        if not patched():
            return work(abandoned)
        task = spawn(work, abandoned)
        if not task.wait(wait_s):
            abandoned.set()
            if wait_s <= ANSWER_S:  # a long query that takes too long says nothing of the others
                self._silent_until_s = self._clock() + PAUSE_S
                self.database.close()
            log.warning("the store has not answered for %.0f s", wait_s)
            raise StoreUnavailable(Message("The gateway's database does not answer; try again."))
        return task.result()


def _name(error: Exception) -> str:
    """Return what an operator can look up, such as SQLITE_FULL; never a text with values in it."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlite_errorname", type(cause).__name__))


class _Abandoned(Exception):
    """Nobody waits for this any more: rolls the transaction back."""
