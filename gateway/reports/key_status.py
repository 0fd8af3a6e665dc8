"""Whether a key works, and what it used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from gateway.core.requests import Filter
from gateway.core.usage import Sums
from gateway.runtime.database import Store
from gateway.schemas.key import Budget, Key
from gateway.store import key_queries
from gateway.store.usage import usage_queries

DAYS = 30
State: TypeAlias = Literal["active", "disabled", "revoked", "expired"]


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget and how much of its present period is used."""

    budget: Budget
    used: int


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key's state, its budgets, and its sums of the last DAYS days."""

    state: State
    budgets: tuple[BudgetUse, ...]
    sums: Sums


def state(key: Key, now: datetime) -> State:
    """Return whether a key works, or the first reason why not."""
    if key.revoked_at is not None:
        return "revoked"
    if not key.enabled:
        return "disabled"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def budgets(key: Key, spent: Mapping[tuple[str, str], int]) -> tuple[BudgetUse, ...]:
    """Return the budgets of a key; `spent` is what it used, by metric and period."""
    return tuple(BudgetUse(one, spent[one.metric, one.period]) for one in key.budgets)


def report(store: Store, key: Key, now: datetime) -> KeyStatus:
    """Return the status of a key."""
    spent = store.read(key_queries.spent, [key], now)[key.id]
    wanted = Filter(since=now - timedelta(days=DAYS), key_id=key.id)
    return KeyStatus(
        state(key, now), budgets(key, spent), store.read_slow(usage_queries.totals, wanted)
    )
