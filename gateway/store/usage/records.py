"""Usage records: written in batches, in two phases, together with everything that counts them.

One transaction holds the rows, the hourly and daily rollups, the keys' counters and the leases
those were paid from. So whatever is killed when, rollups and counters equal the sum of settled
rows.

A batch whose commit was lost with the connection is written again: rows that are there already are
left alone and not counted twice. A call that was given up as `worker_lost`, but whose worker
settles it after all, is taken back from the sums and counted as what it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.orm import Session

from gateway.core.usage import Admission, Settlement
from gateway.errors import Unavailable
from gateway.store import keys
from gateway.store.tables import RequestLogBodyRow, RequestLogRow
from gateway.store.usage import bulk, counters, rollups

LOST = "worker_lost"
_MOST = 10**12
_calls = cast(Table, RequestLogRow.__table__)
_LIMITS: dict[str, int] = {
    column.name: getattr(column.type, "length", None) or 2_000 for column in _calls.columns
}
_BODIES = ("request_body", "upstream_body", "thinking_body", "response_body")
_SETTLED = tuple(
    field.name
    for field in fields(Settlement)
    if field.name not in {"request_id", *_BODIES, "model_id", "model"}
)
_NUMBERS = tuple(
    name for name in _SETTLED if name.endswith(("_tokens", "_ms")) or name == "upstream_calls"
)
_SETTLED_TOO = ("settled_at", "counted", "model_id", "model")
_ADMITTED = tuple(field.name for field in fields(Admission))
_PROGRESS = (
    update(_calls)
    .where(_calls.c.request_id == bindparam("which"), _calls.c.settled_at.is_(None))
    .values(
        prompt_tokens=bindparam("prompt"), completion_tokens=bindparam("answer"), estimated=True
    )
)
_SETTLE = (
    update(_calls)
    .where(_calls.c.request_id == bindparam("which"))
    .values({name: bindparam(f"new_{name}") for name in (*_SETTLED, *_SETTLED_TOO)})
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A call to write: just admitted (`settlement` is None), or settled; `stored` tells that its
    admission was written before."""

    admission: Admission
    settlement: Settlement | None = None
    stored: bool = False

    @property
    def final(self) -> Admission:
        """The admission, under the model that answered in the end."""
        settlement = self.settlement
        if settlement is None or not settlement.model:
            return self.admission
        return replace(self.admission, model_id=settlement.model_id, model=settlement.model)


def write(
    session: Session, entries: Sequence[Entry], *, worker: str, now: datetime, again: bool = False
) -> None:
    """Write a batch. `again`: an earlier try may have been committed without our hearing of it."""
    open_ones = [entry for entry in entries if entry.settlement is None]
    settled = [replace(one, settlement=_tame(one.settlement)) for one in entries if one.settlement]
    if open_ones:
        bulk.insert_new(session, _calls, [_admitted(entry.admission) for entry in open_ones])
    if settled:
        _settle(session, settled, worker, now, again)
    calls = sorted((entry.admission for entry in entries), key=lambda call: call.created_at)
    keys.touch(session, {call.key_id: call.created_at for call in calls if call.key_id is not None})


def progress(session: Session, counts: Sequence[tuple[str, int, int]]) -> None:
    """Note what running calls have taken so far, as (request id, prompt tokens, tokens of the
    answer): it is what counts of a call whose worker is killed."""
    rows = [{"which": name, "prompt": prompt, "answer": answer} for name, prompt, answer in counts]
    session.connection().execute(_PROGRESS, rows)


def unsettled_workers(session: Session) -> list[str]:
    """Return the workers that have calls without an end."""
    query = select(RequestLogRow.worker).where(RequestLogRow.settled_at.is_(None)).distinct()
    return list(session.scalars(query))


def give_up(session: Session, worker: str, before: datetime, *, now: datetime, limit: int) -> int:
    """Settle calls a dead worker admitted before `before` as `worker_lost`; return how many."""
    taken = (_calls.c.prompt_tokens, _calls.c.completion_tokens)
    query = (
        select(*(_calls.columns[name] for name in _ADMITTED), *taken)
        .where(
            _calls.c.settled_at.is_(None), _calls.c.worker == worker, _calls.c.created_at < before
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    entries = []
    for *values, prompt, answer in session.execute(query):
        admission = Admission(**dict(zip(_ADMITTED, values, strict=True)))
        lost = lost_settlement(admission.request_id, prompt, answer)
        entries.append(Entry(admission, lost, stored=True))
    if entries:
        _settle(session, entries, worker, now, again=False)
    return len(entries)


def lost_settlement(request_id: str, prompt_tokens: int = 0, answered: int = 0) -> Settlement:
    """Return how a call ends whose worker was killed: what was last noted of it is known."""
    return Settlement(
        request_id=request_id,
        prompt_tokens=prompt_tokens,
        completion_tokens=answered,
        estimated=bool(answered),
        status=500,
        finish=LOST,
        error_code=LOST,
        error_message="The worker that served this call ended before the call did.",
    )


def _settle(
    session: Session, entries: Sequence[Entry], worker: str, now: datetime, again: bool
) -> None:
    known: dict[str, tuple[str, Settlement]] = {}
    if again or any(entry.stored for entry in entries):
        known = _known(session, [entry.admission.request_id for entry in entries])
    new, old, revived, taken_back = [], [], [], []
    for entry in entries:
        found = known.get(entry.admission.request_id)
        if found is None:
            new.append(entry)
        elif found[0] == "open":
            old.append(entry)
        elif found[0] == LOST and entry.settlement and entry.settlement.finish != LOST:
            revived.append(entry)
            taken_back.append((entry.admission, found[1], -1))
    if new:
        rows = [_admitted(e.final) | _settled(e.settlement, now) for e in new]
        if bulk.insert_new(session, _calls, rows) != len(rows):
            # an earlier try of ours commits right now; counting them again would count them twice
            raise Unavailable("Calls of this batch were stored meanwhile; write it again.")
    if old or revived:
        _update(session, [*old, *revived], now)
    counted = [(e.final, e.settlement, 1) for e in (*new, *old, *revived) if e.settlement]
    rollups.count(session, [*taken_back, *counted])
    counters.settle(session, [*taken_back, *counted], worker)
    _write_bodies(session, (*new, *old, *revived), now)


def _known(session: Session, request_ids: Sequence[str]) -> dict[str, tuple[str, Settlement]]:
    """Return which calls are stored already: open, settled, or given up as lost; and what they
    would be, or were, counted as when given up."""
    taken = (_calls.c.prompt_tokens, _calls.c.completion_tokens)
    columns = (_calls.c.request_id, _calls.c.settled_at, _calls.c.finish, *taken)
    query = select(*columns).where(_calls.c.request_id.in_(request_ids)).with_for_update()
    found: dict[str, tuple[str, Settlement]] = {}
    for request_id, settled_at, finish, prompt, answer in session.execute(query):
        state = "open" if settled_at is None else LOST if finish == LOST else "settled"
        found[request_id] = state, lost_settlement(request_id, prompt, answer)
    return found


def _update(session: Session, entries: Sequence[Entry], now: datetime) -> None:
    rows = []
    for entry in entries:
        final = entry.final
        values = _settled(entry.settlement, now)
        values |= {"model_id": final.model_id, "model": _short("model", final.model)}
        rows.append(
            {"which": entry.admission.request_id}
            | {f"new_{name}": value for name, value in values.items()}
        )
    session.connection().execute(_SETTLE, rows)


def _write_bodies(session: Session, entries: Sequence[Entry], now: datetime) -> None:
    bodies = {
        entry.settlement.request_id: entry.settlement
        for entry in entries
        if entry.settlement and any(getattr(entry.settlement, name) for name in _BODIES)
    }
    if not bodies:
        return
    query = select(_calls.c.id, _calls.c.request_id, _calls.c.created_at).where(
        _calls.c.request_id.in_(list(bodies))
    )
    rows = [
        {
            "request_log_id": row.id,
            "created_at": row.created_at,
            **{name: _text(getattr(bodies[row.request_id], name)) for name in _BODIES},
        }
        for row in session.execute(query)
    ]
    session.execute(insert(RequestLogBodyRow), rows)


def _admitted(admission: Admission) -> dict[str, Any]:
    row = {name: getattr(admission, name) for name in _ADMITTED}
    for name in ("key_name", "endpoint", "model", "requested_model", "client_ip", "client_app"):
        row[name] = _short(name, row[name])
    row["end_user"] = _short("end_user", row["end_user"])
    return row | _NOT_SETTLED


def _settled(settlement: Settlement | None, now: datetime | None) -> dict[str, Any]:
    assert settlement is not None
    row: dict[str, Any] = {}
    for name in _SETTLED:
        value = getattr(settlement, name)
        row[name] = _short(name, value) if type(value) is str else value
    row["explain"] = _plain(settlement.explain)
    row["settled_at"] = now
    row["counted"] = settlement.is_counted
    return row


def _tame(settlement: Settlement) -> Settlement:
    """Bound what Ollama counted, so that sums never overflow: rows and sums take the same."""
    odd: dict[str, Any] = {}
    for name in _NUMBERS:
        value = getattr(settlement, name)
        if value is not None and not 0 <= value <= _MOST:
            odd[name] = _MOST if value > _MOST and math.isfinite(value) else 0
    return replace(settlement, **odd) if odd else settlement


@lru_cache(maxsize=4096)
def _short(name: str, text: str) -> str:
    return (_text(text) or "")[: _LIMITS[name]]


def _text(text: str | None) -> str | None:
    """Make a text storable: PostgreSQL takes no NUL, neither takes half a surrogate pair."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """Make a value storable as JSON on both databases."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(_text(str(name))): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float) else str(value)


_NOT_SETTLED = _settled(Settlement("", status=0), None) | {"counted": False}
