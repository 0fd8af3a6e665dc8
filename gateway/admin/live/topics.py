"""The topics of the console: what is read, how often, and of what value a change is noticed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from gateway.admin.live.board import Board, Topic
from gateway.core.requests import CallRow
from gateway.reports import dashboard
from gateway.reports.dashboard import Dashboard
from gateway.runtime.database import Store
from gateway.schemas.server import ServerView
from gateway.store import admins
from gateway.store.usage import request_queries, usage_queries
from gateway.web.context import Services

_SLOW_S = 5.0
_MOST_ENDED = 100


@dataclass(frozen=True, slots=True)
class RequestLog:
    """How far the log of requests is: the largest id, the ids of requests that run, of those that
    ended last, and the minute in which this was looked at."""

    newest: int
    running: frozenset[str]
    ended: tuple[str, ...]
    minute: int


@dataclass(frozen=True, slots=True)
class Minutes:
    """The requests of the last hour: (minute, kind, number), as `usage_queries.minutes` has them;
    `at` is when they were counted."""

    at: datetime
    counts: tuple[tuple[datetime, int, int], ...]


def board(parts: Services) -> Board:
    """Return the topics of an application; one that follows another stands behind it."""
    store = parts.store
    return Board(
        (
            Topic("minute", _minute),
            Topic("sessions", partial(open_sessions, store), every_s=3.0),
            Topic("calls", lambda: tuple(parts.live.everywhere())),
            Topic("servers", lambda: enabled_servers(parts)),
            Topic("jobs", lambda: tuple(parts.pulls.current())),
            Topic("requests", _LogReader(store).read),
            Topic("figures", lambda: figures(parts), _SLOW_S, after="requests"),
            Topic("minutes", partial(minutes, store), _SLOW_S, after="requests"),
            Topic("failures", partial(failures, store), _SLOW_S, after="requests"),
        )
    )


def open_sessions(store: Store) -> Mapping[int, str]:
    """Return the role of the account of each session that is good now, by the session's id."""
    return store.read(admins.open_sessions, datetime.now(UTC))


def enabled_servers(parts: Services) -> tuple[ServerView, ...]:
    """Return the servers that are enabled, without what every probe changes."""
    return tuple(
        replace(view, checked_at=None, latency_ms=None, latencies_ms=())
        for view in parts.scheduler.views()
        if view.server.enabled
    )


def figures(parts: Services) -> Dashboard:
    """Return the figures of the dashboard."""
    return dashboard.report(parts.store, parts.catalog, datetime.now(UTC))


def minutes(store: Store) -> Minutes:
    """Return the requests of the last hour."""
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    since = at - dashboard.LAST_HOUR
    return Minutes(at, tuple(store.read_slow(usage_queries.minutes, since)))


def failures(store: Store) -> tuple[CallRow, ...]:
    """Return the last requests that failed, newest first."""
    return tuple(dashboard.failures(store, datetime.now(UTC)))


def _minute() -> int:
    return int(time.time() // 60)


@dataclass(eq=False)
class _LogReader:
    """Reads how far the log is, and knows from one look to the next which requests ended."""

    store: Store
    _running: frozenset[str] = frozenset()
    _ended: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_ENDED))

    def read(self) -> RequestLog:
        newest, running = self.store.read(request_queries.state_of_log)
        self._ended.extend(self._running - running)
        self._running = running
        return RequestLog(newest, running, tuple(self._ended), _minute())
