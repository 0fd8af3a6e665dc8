"""Keys as the console shows them: their state in a word, their limits as bars, their models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.admin.status import Status
from gateway.core.catalog import Model
from gateway.core.requests import CallRow
from gateway.core.usage import Sums
from gateway.reports import key_status
from gateway.schemas.key import Budget, Key
from gateway.web.template_filters import duration, num, rate, short
from gateway.web.words import _

_SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Bar:
    """How much of a budget is used."""

    words: str
    used: int
    limit: int

    @property
    def share(self) -> float:
        """Used part, 1 is all of it."""
        return self.used / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in the list."""

    key: Key
    state: Status
    models: tuple[str, ...]
    bars: tuple[Bar, ...]
    rates: str
    requests: int
    tokens: int


def row(
    key: Key,
    now: datetime,
    models: Mapping[int, Model],
    spent: Mapping[tuple[str, str], int],
    sums: Sums,
) -> KeyRow:
    """Return a key with everything its line shows."""
    return KeyRow(
        key,
        state(key, now),
        model_names(key, models),
        tuple(bar(one, spent[one.metric, one.period]) for one in key.budgets),
        rates(key),
        sums.requests,
        sums.tokens,
    )


def state(key: Key, now: datetime) -> Status:
    """Return whether a key works, and if not, why."""
    match key_status.state(key, now):
        case "revoked":
            return Status("bad", _("Revoked"), _("It can never be used again."))
        case "disabled":
            return Status("idle", _("Disabled"), _("Somebody switched it off."))
        case "expired":
            return Status("bad", _("Expired"))
        case "active":
            pass
    if key.expires_at is not None and key.expires_at - now < _SOON:
        return Status("warn", _("Expires soon"))
    if key.last_used_at is None:
        return Status("info", _("Not used yet"))
    return Status("good", _("Active"))


def model_names(key: Key, models: Mapping[int, Model]) -> tuple[str, ...]:
    """Return the models a key may use, as chips."""
    if "*" in key.allow and not key.deny:
        return (_("all models"),)
    chosen = [models[id_].display_name for id_ in key.model_ids if id_ in models]
    allowed = [_("all models") if name == "*" else name for name in key.allow]
    denied = [_("not %(name)s", name=name) for name in key.deny]
    return (*chosen, *allowed, *denied)


def bar(budget: Budget, used: int) -> Bar:
    """Return a budget with what is used of it."""
    words = {
        ("requests", "day"): _("Requests today"),
        ("requests", "week"): _("Requests this week"),
        ("requests", "month"): _("Requests this month"),
        ("requests", "total"): _("Requests in all"),
        ("tokens", "day"): _("Tokens today"),
        ("tokens", "week"): _("Tokens this week"),
        ("tokens", "month"): _("Tokens this month"),
        ("tokens", "total"): _("Tokens in all"),
    }[budget.metric, budget.period]
    return Bar(words, used, budget.limit)


def rates(key: Key) -> str:
    """Return the limits per minute and at once in one line; "" without any."""
    parts = [
        key.requests_per_minute and _("%(count)s requests/min", count=num(key.requests_per_minute)),
        key.tokens_per_minute and _("%(count)s tokens/min", count=short(key.tokens_per_minute)),
        key.concurrent and _("%(count)s at once", count=num(key.concurrent)),
    ]
    return " · ".join(part for part in parts if part)


def figures(call: CallRow) -> str:
    """Return a call's figures in one line."""
    first, speed = duration(call.first_token_ms), rate(call.tokens_per_s)
    return _(
        "%(model)s · first token %(first)s · %(speed)s · %(count)s tokens",
        model=call.model,
        first=first,
        speed=speed,
        count=num(call.completion_tokens),
    )
