"""Knows which topics of the store have changed, within a stated time, without waiting.

SQLite: `of` looks at the file, once in LOOK_S at most (a look is three system calls, and was 4 % of
a small call). PostgreSQL: a loop asks each POLL_S; `of` gives what it last heard. While the store
does not answer, the numbers stay and `age_s` grows: whoever caches decides how long that is good
enough.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping

from gateway.errors import Unavailable
from gateway.runtime.database import Store
from gateway.runtime.tasks import Every, note_failure
from gateway.store.coordination import versions
from gateway.store.coordination.versions import FileWatch, Topic

log = logging.getLogger(__name__)

POLL_S = 0.4
LOOK_S = 0.05


class ChangeVersions:
    """The change versions as this worker sees them."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        database = store.database
        self._watch = FileWatch(database.engine.url.database or "") if database.is_sqlite else None
        self._numbers: Mapping[str, int] = {}
        self._looked_s = -1e9
        self._heard_s = -1e9
        self._job = Every(POLL_S, self.look, "looking for changes")
        self._is_running = False
        self._listeners: list[tuple[Topic, Callable[[], object]]] = []

    def of(self, topic: Topic) -> int:
        """Return the topic's number, as new as can be had without waiting: of this moment as long
        as nothing looks regularly, else LOOK_S old at most on SQLite, POLL_S on PostgreSQL."""
        if self._watch is not None:
            self.look(LOOK_S if self._is_running else 0.0)
        elif not self._is_running:
            self.look(POLL_S)
        return self._numbers.get(topic, 0)

    def age_s(self) -> float:
        """Return how long ago the store last told its numbers."""
        return self._clock() - self._heard_s

    def look(self, max_age_s: float = 0.0) -> None:
        """Ask the store, if `max_age_s` has passed. Never raises for a store that is away."""
        now_s = self._clock()
        if max_age_s and now_s - self._looked_s < max_age_s:
            return
        self._looked_s = now_s
        try:
            found = self._watch.look() if self._watch else self._store.read(versions.numbers)
        except (Unavailable, sqlite3.Error) as exc:
            log.debug("the change versions cannot be read: %s", type(exc).__name__)
            return
        self._heard_s = self._clock()
        if found is not self._numbers:
            self._tell(found)

    def on_change(self, topic: Topic, listener: Callable[[], object]) -> None:
        """Call `listener` soon after the topic changes; it must not raise nor wait long."""
        self._listeners.append((topic, listener))

    def start(self) -> None:
        """Begin to look regularly, also when no request comes."""
        self.look()
        self._job.start()
        self._is_running = True

    def stop(self) -> None:
        """End the regular looks and let go of the file."""
        self._job.stop()
        self._is_running = False
        if self._watch is not None:
            self._watch.close()

    def _tell(self, found: Mapping[str, int]) -> None:
        before, self._numbers = self._numbers, found
        for topic, listener in self._listeners:
            if before.get(topic, 0) != found.get(topic, 0):
                try:
                    listener()
                except Exception as error:
                    note_failure(f"taking over changed {topic}", error)
