"""Which model was in memory of which server when, and why it left: a span a stay and window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from gateway.core.catalog import Loaded
from gateway.store.mapping import changed, values
from gateway.store.tables import MemorySpanRow, ServerRow

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Span:
    """One stay of a model in memory, with one window. Sizes are of its beginning; `ended_at` None:
    it is there now. `end_reason` is idle, evicted (by `evicted_by`), unloaded or window."""

    server_id: int
    model: str
    context_tokens: int
    size_bytes: int
    vram_bytes: int
    started_at: datetime
    ended_at: datetime | None
    end_reason: str
    evicted_by: str


def note(
    session: Session,
    server_id: int,
    loaded: Mapping[str, Loaded],
    reasons: Mapping[str, str],
    at: datetime,
) -> None:
    """Record what is in memory of a server at `at`; of what is no longer, `reasons` tell why.

    Whoever calls it next, with the same, changes nothing: every worker may.
    """
    server = session.get(ServerRow, server_id, with_for_update=True)
    if server is None:
        return  # removed meanwhile
    taken = sum(one.vram_bytes for one in loaded.values())
    server.vram_seen_bytes = max(server.vram_seen_bytes, taken)
    query = select(MemorySpanRow).where(
        MemorySpanRow.server_id == server_id, MemorySpanRow.ended_at.is_(None)
    )
    known = {row.model: row for row in session.scalars(query)}
    new = ", ".join(sorted(loaded.keys() - known.keys()))
    for name, row in list(known.items()):
        now = loaded.get(name)
        if now is not None and now.context_tokens == row.context_tokens:
            continue
        row.ended_at = at
        row.end_reason = "window" if now is not None else reasons.get(name, "unloaded")
        row.evicted_by = new[:256] if row.end_reason == "evicted" else ""
        del known[name]
    session.flush()
    for name in loaded.keys() - known.keys():
        one = loaded[name]
        session.add(
            MemorySpanRow(
                server_id=server_id,
                model=name[:256],
                context_tokens=one.context_tokens,
                size_bytes=one.size_bytes,
                vram_bytes=one.vram_bytes,
                started_at=at,
            )
        )


def spans(session: Session, since: datetime) -> list[Span]:
    """Return what was in memory since then, by server and time."""
    row = MemorySpanRow
    query = select(row).where(or_(row.ended_at.is_(None), row.ended_at >= since))
    return values(session, query.order_by(row.server_id, row.started_at, row.id), Span)


def most_vram(session: Session) -> dict[int, int]:
    """Return the most GPU memory that models were ever seen to take together, in bytes, by server:
    what a server has is that or more."""
    query = select(ServerRow.id, ServerRow.vram_seen_bytes)
    return {row.id: row.vram_seen_bytes for row in session.execute(query)}


def prune(session: Session, now: datetime) -> int:
    """Delete what ended longer ago than it is kept; return how many."""
    return changed(session, delete(MemorySpanRow).where(MemorySpanRow.ended_at < now - KEPT))
