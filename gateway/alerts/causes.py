"""What may be wrong with the gateway right now: each thing with whether it is, and its words.

Nothing here is kept: `alerts.Alerts` compares what was seen with what the store knows, and tells
of what changed.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.errors import Message
from gateway.runtime.database import Store
from gateway.runtime.tasks import run_blocking
from gateway.schemas.alert import AlertRule
from gateway.schemas.key import Budget, Key
from gateway.schemas.server import ServerView
from gateway.schemas.settings import RuntimeSettings
from gateway.store import alerts

ERRORS_WITHIN: Final = timedelta(minutes=5)
LEAST_CALLS: Final = 20
"""Of fewer calls a share of errors says nothing."""
NOTICES: Final = (timedelta(days=1), timedelta(days=7))
"""How long before its end a key is told of, the last notice first."""
NEARLY: Final = 0.8
_PERIODS: Final = {
    "day": Message("a day"),
    "week": Message("a week"),
    "month": Message("a month"),
    "total": Message("in all"),
}
_METRICS: Final = {"requests": Message("requests"), "tokens": Message("tokens")}


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing as it was seen `at`: `is_on` says whether it is wrong, None that this is not known.
    `tells` is the rule that tells of it if this is new, None for nobody."""

    cause: AlertRule
    subject: str
    is_on: bool | None
    at: datetime
    words: Message | None = None
    tells: AlertRule | None = None


def servers(views: Iterable[ServerView], now: datetime) -> Iterator[Seen]:
    """Yield the Ollama servers, as this worker's health checks last saw them."""
    for view in views:
        name, at = view.server.name, view.checked_at or now
        subject = f"server {view.server.id}"
        if view.state == "down":
            words = Message("%(name)s is down: %(reason)s", name=name, reason=view.reason)
            yield Seen("server_down", subject, True, at, words, "server_down")
        elif view.checked_at is None or view.state in {"unknown", "draining"}:
            yield Seen("server_down", subject, None, at)
        else:
            words = Message("%(name)s answers again.", name=name)
            yield Seen("server_down", subject, False, at, words, "server_back")


def error_rate(store: Store, limit_percent: int, now: datetime) -> Iterator[Seen]:
    """Yield whether more than `limit_percent` of the calls of the last minutes failed."""
    failed, calls = store.read(alerts.error_share, now - ERRORS_WITHIN)
    is_on = calls >= LEAST_CALLS and failed * 100 > limit_percent * calls
    words = Message(
        "%(failed)s of the last %(calls)s requests failed.",
        failed=f"{failed:,}",
        calls=f"{calls:,}",
    )
    yield Seen("error_rate", "all", is_on, now, words, "error_rate")


def budgets(
    found: Iterable[tuple[Key, Mapping[tuple[str, str], int]]], now: datetime
) -> Iterator[Seen]:
    """Yield the budgets that are nearly or wholly used, each with its step of 80 or 100 %."""
    for key, spent in found:
        for budget in key.budgets:
            used = spent[budget.metric, budget.period]
            if used < NEARLY * budget.limit:
                continue
            step = 100 if used >= budget.limit else 80
            subject = f"key {key.id} {budget.metric} {budget.period} {step}"
            yield Seen("budget", subject, True, now, _used(key, budget, used, step), "budget")


def expiring(found: Iterable[Key], now: datetime) -> Iterator[Seen]:
    """Yield the keys that end soon, unless they were made for less than that."""
    for key in found:
        assert key.expires_at is not None
        for notice in NOTICES:
            if key.expires_at - now > notice or key.expires_at - key.created_at <= notice:
                continue
            words = Message(
                "The key “%(name)s” expires at %(at)s.",
                name=key.name,
                at=f"{key.expires_at:%Y-%m-%d %H:%M} UTC",
            )
            subject = f"key {key.id} {notice.days} d"
            yield Seen("key_expiry", subject, True, now, words, "key_expiry")
            break


def disk(folder: Path, limit_percent: int, now: datetime) -> Iterator[Seen]:
    """Yield whether less than `limit_percent` of the disk with the data folder is free."""
    usage = run_blocking(shutil.disk_usage, folder)
    words = Message(
        "%(free)s GB of %(total)s GB are free for %(folder)s on %(machine)s.",
        free=f"{usage.free / 1e9:.1f}",
        total=f"{usage.total / 1e9:.1f}",
        folder=folder,
        machine=platform.node(),
    )
    is_on = usage.free * 100 < limit_percent * usage.total
    yield Seen("disk", platform.node()[:160], is_on, now, words, "disk")


def seen(
    wanted: frozenset[str],
    store: Store,
    views: Iterable[ServerView],
    behaviour: RuntimeSettings,
    folder: Path,
    now: datetime,
) -> Iterator[Seen]:
    """Yield everything that somebody wants to be told of (`wanted` are rules)."""
    if wanted & {"server_down", "server_back"}:
        yield from servers(views, now)
    if "error_rate" in wanted:
        yield from error_rate(store, behaviour.alert_error_percent, now)
    if "budget" in wanted:
        yield from budgets(store.read_slow(alerts.budgets, now), now)
    if "key_expiry" in wanted:
        found = store.read_slow(alerts.expiring, now, now + max(NOTICES))
        yield from expiring(found, now)
    if "disk" in wanted:
        yield from disk(folder, behaviour.alert_disk_free_percent, now)


def _used(key: Key, budget: Budget, used: int, step: int) -> Message:
    values = {
        "name": key.name,
        "used": f"{used:,}",
        "limit": f"{budget.limit:,}",
        "what": _METRICS[budget.metric],
        "period": _PERIODS[budget.period],
    }
    if step == 100:
        return Message(
            "The key “%(name)s” has used its budget: %(used)s of %(limit)s %(what)s %(period)s.",
            **values,
        )
    return Message(
        "The key “%(name)s” has used over 80 %% of its budget: %(used)s of %(limit)s %(what)s "
        "%(period)s.",
        **values,
    )
