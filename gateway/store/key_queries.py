"""What the keys page shows beside a key: used budgets, and what a name came to mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.core.periods import period_start
from gateway.schemas.key import Key
from gateway.store.tables import ApiKeyRow, KeyCounterRow, ServerRow


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


def names(session: Session) -> dict[int, str]:
    """Return the name of every key by id."""
    rows = session.execute(select(ApiKeyRow.id, ApiKeyRow.name))
    return {row.id: row.name for row in rows}


def server_names(session: Session) -> dict[int, str]:
    """Return the name of every server by id."""
    rows = session.execute(select(ServerRow.id, ServerRow.name))
    return {row.id: row.name for row in rows}
