"""Lists of keys: page by page in SQL, whatever number there is, and what is shown beside a key."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String, and_, cast, func, not_, or_, select
from sqlalchemy.orm import Session

from gateway.core.periods import period_start
from gateway.core.usage import Sums
from gateway.schemas.key import Key
from gateway.store.mapping import values
from gateway.store.tables import ApiKeyModelRow, ApiKeyRow, KeyCounterRow, UsageSumRow
from gateway.store.usage import usage_queries

_SUMS = {
    "requests": UsageSumRow.requests,
    "tokens": UsageSumRow.prompt_tokens + UsageSumRow.completion_tokens,
}


def search(
    session: Session,
    now: datetime,
    text: str = "",
    *,
    works: bool | None = None,
    tag: str = "",
    order: str = "new",
    since: datetime | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Key]:
    """Return one page of the keys whose name, owner, prefix or end contains `text`.

    `works` leaves those that may be used now, or those that may not, `tag` those that have it.
    `order` is new (newest first), name, used (last used first), requests or tokens (most in the
    days from `since`, 00:00 UTC, on), each the other way round with a minus sign before it.
    """
    query = select(ApiKeyRow).where(*_conditions(now, text, works, tag))
    column = order.removeprefix("-")
    is_reversed = order.startswith("-")
    if column == "name":
        name = func.lower(ApiKeyRow.name)
        query = query.order_by(name.desc() if is_reversed else name)
    elif column == "used":
        used = ApiKeyRow.last_used_at
        query = query.order_by((used if is_reversed else used.desc()).nulls_last())
    elif column in _SUMS:
        sums = (
            select(UsageSumRow.value, func.sum(_SUMS[column]).label("used"))
            .where(UsageSumRow.dimension == "key", UsageSumRow.step == "day")
            .where(UsageSumRow.start >= since)
            .group_by(UsageSumRow.value)
            .subquery()
        )
        query = query.outerjoin(sums, sums.c.value == cast(ApiKeyRow.id, String))
        most = func.coalesce(sums.c.used, 0)
        query = query.order_by(most if is_reversed else most.desc())
    query = query.order_by(ApiKeyRow.id.desc()).limit(limit).offset(offset)
    return values(session, query, Key)


def count(
    session: Session,
    now: datetime,
    text: str = "",
    *,
    works: bool | None = None,
    tag: str = "",
) -> int:
    """Return how many keys all pages of `search` have."""
    query = select(func.count(ApiKeyRow.id)).where(*_conditions(now, text, works, tag))
    return session.scalar(query) or 0


def find_shown(session: Session, prefix: str, last4: str) -> list[Key]:
    """Return the keys that are shown as `prefix…last4`."""
    query = select(ApiKeyRow).where(ApiKeyRow.prefix == prefix, ApiKeyRow.last4 == last4)
    return values(session, query, Key)


def bound_to(session: Session, model_id: int) -> list[str]:
    """Return the names of the keys whose rules name a model by its id, in their order."""
    query = select(ApiKeyRow.name).join(ApiKeyModelRow, ApiKeyModelRow.key_id == ApiKeyRow.id)
    query = query.where(ApiKeyModelRow.model_id == model_id)
    return list(session.scalars(query.order_by(func.lower(ApiKeyRow.name))))


def usable(now: datetime) -> ColumnElement[bool]:
    """Return what holds of the keys that may be used now."""
    return and_(
        ApiKeyRow.enabled,
        ApiKeyRow.revoked_at.is_(None),
        or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now),
    )


def sums(
    session: Session, keys: Collection[Key], since: datetime, now: datetime
) -> dict[int, Sums]:
    """Return what each of a few keys used from `since` (00:00 UTC) on, by key id."""
    days = [since + timedelta(days=n) for n in range((now - since).days + 1)]
    query = (
        select(UsageSumRow.value, *usage_queries.columns(UsageSumRow))
        .where(UsageSumRow.dimension == "key", UsageSumRow.step == "day")
        .where(UsageSumRow.start.in_(days))  # each a look-up in the index, as is each key
        .where(UsageSumRow.value.in_([str(key.id) for key in keys]))
        .group_by(UsageSumRow.value)
    )
    found = {int(row[0]): usage_queries.to_sums(row[1:]) for row in session.execute(query)}
    return {key.id: found.get(key.id, Sums()) for key in keys}


def spent(
    session: Session, keys: Collection[Key], now: datetime
) -> dict[int, dict[tuple[str, str], int]]:
    """Return what each key used of the current periods: key id to (metric, period) to units."""
    wanted = {key.counter_id for key in keys if key.budgets}
    found: dict[int, dict[tuple[str, str, datetime], int]] = defaultdict(dict)
    query = select(KeyCounterRow).where(KeyCounterRow.key_id.in_(wanted))
    for row in session.scalars(query) if wanted else ():
        found[row.key_id][row.metric, row.period, row.start] = row.used
    return {
        key.id: {
            (b.metric, b.period): found[key.counter_id].get(
                (b.metric, b.period, period_start(b.period, now, key.zone)), 0
            )
            for b in key.budgets
        }
        for key in keys
    }


def _conditions(
    now: datetime, text: str, works: bool | None, tag: str
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if tag:  # tags are stored as a JSON list
        found.append(cast(ApiKeyRow.tags, String).contains(json.dumps(tag), autoescape=True))
    if text:
        columns = (ApiKeyRow.name, ApiKeyRow.owner, ApiKeyRow.prefix, ApiKeyRow.last4)
        found.append(or_(*(one.icontains(text[:100], autoescape=True) for one in columns)))
    if works is not None:
        found.append(usable(now) if works else not_(usable(now)))
    return found
