"""The requests page: calls newest first, page by page, and one call in full."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, load_only

from gateway.core.requests import CallDetail, CallRow, Filter
from gateway.core.usage import CANCELLED
from gateway.errors import NotFound
from gateway.store.mapping import value_of
from gateway.store.tables import RequestLogBodyRow, RequestLogRow, UtcMicros, from_us

_NAMES = {field.name for field in fields(CallRow)} | {"created_at", "settled_at", "ollama_eval_ms"}
_LISTED = [getattr(RequestLogRow, name) for name in _NAMES if hasattr(RequestLogRow, name)]
_EQUAL = ("request_id", "key_id", "model_id", "server_id", "endpoint", "finish", "client_app")
_MOST = 500
_MOST_RUNNING = 2_000
_STATUS = re.compile(r"[0-9]{1,4}")
WAS_LOADED: ColumnElement[bool] = literal_column("load_reason") != literal_column("''")
WAS_CUT: ColumnElement[Any] = literal_column("cut")
"""Both as their indexes say it, literally: else the planner does not see that it may use them."""
_CLASSES = frozenset({"1xx", "2xx", "3xx", "4xx", "5xx"})


def page(
    session: Session,
    wanted: Filter,
    *,
    older_than: tuple[int, int] | None = None,
    among: Collection[str] | None = None,
    limit: int = 50,
) -> list[CallRow]:
    """Return calls newest first. `older_than` is (microseconds, id) of the last one seen; `among`
    are the only request ids that are meant."""
    query = narrowed(select(RequestLogRow).options(load_only(*_LISTED)), wanted)
    if older_than is not None:
        last = (literal(from_us(older_than[0]), UtcMicros()), literal(older_than[1]))
        # a row value, so that both databases walk the index (created_at, id)
        query = query.where(tuple_(RequestLogRow.created_at, RequestLogRow.id) < tuple_(*last))
    if among is not None:
        query = query.where(RequestLogRow.request_id.in_(among))
    query = query.order_by(RequestLogRow.created_at.desc(), RequestLogRow.id.desc())
    return [_row(row) for row in session.scalars(query.limit(min(limit, _MOST)))]


def detail(session: Session, request_id: str) -> CallDetail:
    """Return one call in full. Raises NotFound."""
    row = session.scalar(select(RequestLogRow).where(RequestLogRow.request_id == request_id))
    if row is None:
        raise NotFound(f"There is no request {request_id[:80]}.", code="request_not_found")
    bodies = session.get(RequestLogBodyRow, row.id) or RequestLogBodyRow()
    return value_of(
        row,
        CallDetail,
        row=_row(row),
        load_ms=row.ollama_load_ms,
        prompt_ms=row.ollama_prompt_ms,
        request_body=bodies.request_body,
        upstream_body=bodies.upstream_body,
        thinking_body=bodies.thinking_body,
        response_body=bodies.response_body,
    )


def with_id(session: Session, start: str, *, limit: int) -> list[CallRow]:
    """Return the calls whose id begins with `start`, which is `req_` and hexadecimal digits."""
    id_ = RequestLogRow.request_id  # a range, which both databases find in the index
    query = select(RequestLogRow).options(load_only(*_LISTED)).order_by(id_).limit(limit)
    return [_row(row) for row in session.scalars(query.where(id_ >= start, id_ < f"{start}g"))]


def neighbours(session: Session, call: CallRow, wanted: Filter) -> tuple[str | None, str | None]:
    """Return the ids of the next newer and the next older of the calls that are meant; None where
    there is none."""
    place = tuple_(RequestLogRow.created_at, RequestLogRow.id)
    here = tuple_(literal(call.at, UtcMicros()), literal(call.id))
    query = narrowed(select(RequestLogRow.request_id), wanted).limit(1)
    newer = query.where(place > here).order_by(RequestLogRow.created_at, RequestLogRow.id)
    older = query.where(place < here).order_by(
        RequestLogRow.created_at.desc(), RequestLogRow.id.desc()
    )
    return session.scalar(newer), session.scalar(older)


def first_of_key(session: Session, key_id: int, since: Any) -> CallRow | None:
    """Return the first call of a key after `since`; None before there is one."""
    query = (
        select(RequestLogRow)
        .options(load_only(*_LISTED))
        .where(RequestLogRow.key_id == key_id, RequestLogRow.created_at >= since)
        .order_by(RequestLogRow.created_at)
        .limit(1)
    )
    row = session.scalar(query)
    return None if row is None else _row(row)


def failures(session: Session, hours: Sequence[datetime], limit: int) -> list[CallRow]:
    """Return the calls of some hours, by their first instants, that failed, newest first."""
    at = RequestLogRow.created_at
    spans = [(at >= hour) & (at < hour + timedelta(hours=1)) for hour in hours]
    query = select(RequestLogRow).options(load_only(*_LISTED)).where(or_(*spans), _status("failed"))
    query = query.order_by(at.desc(), RequestLogRow.id.desc()).limit(limit)
    return [_row(row) for row in session.scalars(query)]


def state_of_log(session: Session) -> tuple[int, frozenset[str]]:
    """Return the largest id there is (0: none) and the ids of requests that run."""
    newest = session.scalar(select(func.max(RequestLogRow.id))) or 0
    running = select(RequestLogRow.request_id).where(RequestLogRow.settled_at.is_(None))
    return newest, frozenset(session.scalars(running.limit(_MOST_RUNNING)))


def narrowed(query: Select[Any], wanted: Filter) -> Select[Any]:
    """Return the query limited to the calls that are meant."""
    return query.where(*_conditions(wanted))


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found = in_span(RequestLogRow.created_at, wanted) + equal(RequestLogRow, wanted, _EQUAL)
    if wanted.min_ms is not None:
        found.append(RequestLogRow.duration_ms >= wanted.min_ms)
    if wanted.status:
        found.append(_status(wanted.status))
    found += [_FEATURES[name] for name in sorted(wanted.features) if name in _FEATURES]
    return found


_FEATURES: dict[str, ColumnElement[bool]] = {
    "tools": RequestLogRow.has_tools.is_(True),
    "images": RequestLogRow.has_images.is_(True),
    "thinking": RequestLogRow.had_thinking.is_(True),
    "streamed": RequestLogRow.streamed.is_(True),
    "whole": RequestLogRow.streamed.is_(False),
    "load": WAS_LOADED,
    "cut": WAS_CUT,
}


def in_span(column: Any, wanted: Filter) -> list[ColumnElement[bool]]:
    """Return the conditions that a moment is in the time that is meant."""
    found = [] if wanted.since is None else [column >= wanted.since]
    return found if wanted.until is None else [*found, column < wanted.until]


def equal(table: Any, wanted: Filter, names: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return the conditions that columns have the values a filter gives for them, if any."""
    given = {name: getattr(wanted, name) for name in names}
    return [getattr(table, name) == one for name, one in given.items() if one not in (None, "")]


def has_status(column: InstrumentedAttribute[int], word: str) -> ColumnElement[bool]:
    """Whether a status is this number, or of a class such as 4xx."""
    if word in _CLASSES:
        hundred = int(word[0]) * 100
        return column.between(hundred, hundred + 99)
    return column == (int(word) if _STATUS.fullmatch(word) else -1)


def is_cancelled() -> ColumnElement[bool]:
    """Whether a client left or an admin ended the call, as `Settlement.outcome` says it."""
    return or_(RequestLogRow.status == 499, RequestLogRow.finish.in_(sorted(CANCELLED)))


def _status(word: str) -> ColumnElement[bool]:
    went_wrong = or_(RequestLogRow.status >= 400, RequestLogRow.error_code != "")
    match word:
        case "running":
            return RequestLogRow.settled_at.is_(None)
        case "cancelled":
            return is_cancelled()
        case "ok":
            return RequestLogRow.settled_at.is_not(None) & ~went_wrong & ~is_cancelled()
        case "failed":
            return went_wrong & ~is_cancelled()
    return has_status(RequestLogRow.status, word)


def _row(row: RequestLogRow) -> CallRow:
    return value_of(
        row,
        CallRow,
        at=row.created_at,
        settled=row.settled_at is not None,
        eval_ms=row.ollama_eval_ms,
    )
