"""What is wrong, what waits to be told, and what was sent.

Any number of workers look at the same things; a conditional UPDATE decides which of them notes a
change, and which of them sends what waits:

    alert_cause    one row a thing that may be wrong; who turns it on or off tells of it
    alert_pending  one row for each target and thing, which counts what was not told yet; who
                   moves the row of the whole rule (subject "") sends what is due
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, String, and_, case, cast, delete, func, or_, select, update
from sqlalchemy.orm import Session

from gateway.core.periods import period_start
from gateway.core.usage import CANCELLED
from gateway.schemas.alert import AlertTarget
from gateway.schemas.key import Budget, Key
from gateway.store import key_queries
from gateway.store.database.engine import insert_for
from gateway.store.mapping import changed, values
from gateway.store.tables import (
    AlertCauseRow,
    AlertLogRow,
    AlertPendingRow,
    ApiKeyRow,
    KeyCounterRow,
    RequestLogRow,
)

GAP = timedelta(minutes=1)
"""Between two messages of one rule to one target, whatever number of things it is about."""
MOST_CALLS = 1_000
"""Calls that are looked at for the error rate."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """What one target is to be told of one subject; `count` is how often it was."""

    target: AlertTarget
    rule: str
    subject: str
    words: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A message that was sent, or could not be: `outcome` says it in words."""

    id: int
    at: datetime
    rule: str
    target: str
    words: str
    count: int
    is_sent: bool
    outcome: str


def active(session: Session) -> set[tuple[str, str]]:
    """Return what is wrong according to the store, as (rule, subject)."""
    rows = session.execute(
        select(AlertCauseRow.rule, AlertCauseRow.subject).where(AlertCauseRow.is_on)
    )
    return {(row.rule, row.subject) for row in rows}


def turn(session: Session, rule: str, subject: str, *, is_on: bool, at: datetime) -> bool:
    """Record that a thing is wrong since `at`, or no longer; False where that is known, or
    something newer."""
    session.execute(
        insert_for(session, AlertCauseRow)
        .values(rule=rule, subject=subject, is_on=False, changed_at=_NEVER)
        .on_conflict_do_nothing(index_elements=[AlertCauseRow.rule, AlertCauseRow.subject])
    )
    old = and_(
        AlertCauseRow.rule == rule,
        AlertCauseRow.subject == subject,
        AlertCauseRow.is_on != is_on,
        AlertCauseRow.changed_at < at,
    )
    statement = update(AlertCauseRow).where(old).values(is_on=is_on, changed_at=at)
    return bool(changed(session, statement))


def add(session: Session, told: Iterable[Told]) -> None:
    """Count what targets are to be told; the last words of a subject hold."""
    statement = insert_for(session, AlertPendingRow)
    statement = statement.on_conflict_do_update(
        index_elements=list(AlertPendingRow.__table__.primary_key),
        set_={
            "count": AlertPendingRow.count + statement.excluded.count,
            "words": statement.excluded.words,
        },
    )
    rows = [
        {"target_id": one.target.id, "rule": one.rule, "subject": one.subject,
         "count": one.count, "words": one.words, "next_at": _NEVER}
        for one in told
    ]  # fmt: skip
    if rows:
        session.execute(statement, rows)


def is_due(session: Session, now: datetime) -> bool:
    """Whether anything may have to be sent: a cheap look before `take_due`."""
    return session.scalar(select(AlertPendingRow.rule).where(_due(now)).limit(1)) is not None


def take_due(session: Session, targets: Mapping[int, AlertTarget], now: datetime) -> list[Told]:
    """Claim what is to be sent now; another worker does not get it again, and for the time of
    silence of its target nobody gets it."""
    waiting = select(AlertPendingRow.target_id, AlertPendingRow.rule).where(_due(now)).distinct()
    found: list[Told] = []
    for target_id, rule in session.execute(waiting).all():
        target = targets.get(target_id)
        if target is None or not _may_send(session, target_id, rule, now):
            continue
        here = and_(AlertPendingRow.target_id == target_id, AlertPendingRow.rule == rule)
        due = select(AlertPendingRow).where(here, _due(now)).order_by(AlertPendingRow.subject)
        for row in session.scalars(due.with_for_update()).all():
            found.append(Told(target, rule, row.subject, row.words, row.count))
            row.count, row.next_at = 0, now + timedelta(seconds=target.quiet_s)
    session.flush()
    return found


def log(
    session: Session, at: datetime, rule: str, target: str, words: str, count: int,
    *, is_sent: bool, outcome: str,
) -> None:  # fmt: skip
    """Record what was sent, or could not be."""
    session.add(
        AlertLogRow(at=at, rule=rule, target=target, words=words, count=count, is_sent=is_sent,
                    outcome=outcome)
    )  # fmt: skip
    session.flush()


def page(session: Session, *, before: int = 0, limit: int = 50) -> list[LogEntry]:
    """Return what was sent, newest first, older than the entry with the id `before` (0: all)."""
    query = select(AlertLogRow).order_by(AlertLogRow.id.desc()).limit(limit)
    if before:
        query = query.where(AlertLogRow.id < before)
    return values(session, query, LogEntry)


def prune(session: Session, before: datetime, limit: int) -> int:
    """Delete at most `limit` entries of the log older than `before`; return how many."""
    old = select(AlertLogRow.id).where(AlertLogRow.at < before).order_by(AlertLogRow.at)
    ids = session.scalars(old.limit(limit)).all()
    return changed(session, delete(AlertLogRow).where(AlertLogRow.id.in_(ids)))


def tidy(session: Session, before: datetime) -> None:
    """Forget what was well, and nothing to tell of, since before then."""
    quiet = and_(AlertPendingRow.count == 0, AlertPendingRow.next_at < before)
    well = and_(AlertCauseRow.is_on.is_(False), AlertCauseRow.changed_at < before)
    session.execute(delete(AlertPendingRow).where(quiet))
    session.execute(delete(AlertCauseRow).where(well))


def error_share(session: Session, since: datetime) -> tuple[int, int]:
    """Return how many of the last calls since then, of MOST_CALLS at most, failed, and how many
    they were; calls that nobody wanted any more count as good ones."""
    row = RequestLogRow
    last = (
        select(row.status, row.error_code, row.finish)
        .where(row.created_at >= since, row.settled_at.is_not(None))
        .order_by(row.created_at.desc())
        .limit(MOST_CALLS)
        .subquery()
    )
    is_failed = and_(
        last.c.status != 499,
        last.c.finish.not_in(CANCELLED),
        or_(last.c.status >= 400, last.c.error_code != ""),
    )
    found = session.execute(select(func.sum(case((is_failed, 1), else_=0)), func.count())).one()
    return int(found[0] or 0), int(found[1])


def budgets(session: Session, now: datetime) -> list[tuple[Key, Mapping[tuple[str, str], int]]]:
    """Return the keys that work and have budgets, with their names and budgets only, each with what
    it used of them in the present periods, by metric and period."""
    row = ApiKeyRow
    has_some = (cast(row.budgets, String) != "[]", key_queries.usable(now))
    columns = (row.id, row.name, row.budgets, row.zone, row.lineage_id)
    keys = [
        Key(one.id, one.name, lineage_id=one.lineage_id, zone=one.zone,
            budgets=tuple(Budget(**budget) for budget in one.budgets))
        for one in session.execute(select(*columns).where(*has_some))
    ]  # fmt: skip
    starts = {
        (zone, period): period_start(period, now, zone)
        for zone, period in {(key.zone, one.period) for key in keys for one in key.budgets}
    }
    counter = KeyCounterRow
    query = select(counter.key_id, counter.metric, counter.period, counter.start, counter.used)
    owners = select(func.coalesce(row.lineage_id, row.id)).where(*has_some)
    query = query.where(counter.key_id.in_(owners), counter.start.in_(set(starts.values())))
    used = {tuple(one[:4]): one.used for one in session.execute(query)} if keys else {}
    return [
        (
            key,
            {
                (one.metric, one.period): used.get(
                    (key.counter_id, one.metric, one.period, starts[key.zone, one.period]), 0
                )
                for one in key.budgets
            },
        )
        for key in keys
    ]


def expiring(session: Session, now: datetime, until: datetime) -> list[Key]:
    """Return the keys that work and end before `until`."""
    query = select(ApiKeyRow).where(ApiKeyRow.expires_at <= until, key_queries.usable(now))
    return values(session, query, Key)


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(AlertPendingRow.count > 0, AlertPendingRow.next_at <= now)


def _may_send(session: Session, target_id: int, rule: str, now: datetime) -> bool:
    """Claim the right to send the one message of this rule and minute."""
    session.execute(
        insert_for(session, AlertPendingRow)
        .values(target_id=target_id, rule=rule, subject="", count=0, words="", next_at=_NEVER)
        .on_conflict_do_nothing(index_elements=list(AlertPendingRow.__table__.primary_key))
    )
    free = and_(
        AlertPendingRow.target_id == target_id,
        AlertPendingRow.rule == rule,
        AlertPendingRow.subject == "",
        AlertPendingRow.next_at <= now,
    )
    return bool(changed(session, update(AlertPendingRow).where(free).values(next_at=now + GAP)))
