"""The requests page: calls newest first, page by page, and one call in full."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select, tuple_
from sqlalchemy.orm import Session, load_only

from gateway.core.requests import CallDetail, CallRow, Filter
from gateway.core.usage import CANCELLED
from gateway.errors import NotFound
from gateway.store.mapping import value_of
from gateway.store.tables import RequestLogBodyRow, RequestLogRow, UtcMicros, from_us

_NAMES = {field.name for field in fields(CallRow)} | {"created_at", "settled_at", "ollama_eval_ms"}
_LISTED = [getattr(RequestLogRow, name) for name in _NAMES if hasattr(RequestLogRow, name)]
_EQUAL = ("request_id", "key_id", "model_id", "server_id", "endpoint", "finish", "client_app")
_MOST = 500
_STATUS = re.compile(r"[0-9]{1,4}")
_CLASSES = frozenset({"1xx", "2xx", "3xx", "4xx", "5xx"})


def page(
    session: Session,
    wanted: Filter,
    *,
    older_than: tuple[int, int] | None = None,
    newer_than_id: int | None = None,
    limit: int = 50,
) -> list[CallRow]:
    """Return calls newest first. `older_than` is (microseconds, id) of the last one already
    seen."""
    query = select(RequestLogRow).options(load_only(*_LISTED))
    query = narrowed(query, wanted)
    if older_than is not None:
        query = query.where(_before(*older_than))
    if newer_than_id is not None:
        query = query.where(RequestLogRow.id > newer_than_id)
    query = query.order_by(RequestLogRow.created_at.desc(), RequestLogRow.id.desc()).limit(
        min(limit, _MOST)
    )
    return [_row(row) for row in session.scalars(query)]


def detail(session: Session, request_id: str) -> CallDetail:
    """Return one call in full. Raises NotFound."""
    row = session.scalar(select(RequestLogRow).where(RequestLogRow.request_id == request_id))
    if row is None:
        raise NotFound(f"There is no request {request_id[:80]}.", code="request_not_found")
    bodies = session.get(RequestLogBodyRow, row.id)
    return value_of(
        row,
        CallDetail,
        row=_row(row),
        load_ms=row.ollama_load_ms,
        prompt_ms=row.ollama_prompt_ms,
        request_body=None if bodies is None else bodies.request_body,
        response_body=None if bodies is None else bodies.response_body,
    )


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


def narrowed(query: Select[Any], wanted: Filter) -> Select[Any]:
    """Return the query limited to the calls that are meant."""
    return query.where(*_conditions(wanted))


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(RequestLogRow.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(RequestLogRow.created_at < wanted.until)
    for name in _EQUAL:
        if (value := getattr(wanted, name)) not in (None, ""):
            found.append(getattr(RequestLogRow, name) == value)
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
}


def is_cancelled() -> ColumnElement[bool]:
    """Whether a client left or an admin ended the call, as `Settlement.outcome` says it."""
    return or_(RequestLogRow.status == 499, RequestLogRow.finish.in_(sorted(CANCELLED)))


def _status(word: str) -> ColumnElement[bool]:
    if word == "running":
        return RequestLogRow.settled_at.is_(None)
    if word == "cancelled":
        return is_cancelled()
    if word == "ok":
        return and_(
            RequestLogRow.settled_at.is_not(None),
            RequestLogRow.status < 400,
            RequestLogRow.error_code == "",
            RequestLogRow.finish.not_in(CANCELLED),
        )
    if word == "failed":
        return and_(
            or_(RequestLogRow.status >= 400, RequestLogRow.error_code != ""),
            RequestLogRow.status != 499,
            RequestLogRow.finish.not_in(CANCELLED),
        )
    if word in _CLASSES:
        hundred = int(word[0]) * 100
        return RequestLogRow.status.between(hundred, hundred + 99)
    return RequestLogRow.status == (int(word) if _STATUS.fullmatch(word) else -1)


def _before(at_us: int, row_id: int) -> ColumnElement[bool]:
    # A row value, so that both databases walk the index (created_at, id).
    return tuple_(RequestLogRow.created_at, RequestLogRow.id) < tuple_(
        literal(from_us(at_us), UtcMicros()), literal(row_id)
    )


def _row(row: RequestLogRow) -> CallRow:
    return value_of(
        row,
        CallRow,
        at=row.created_at,
        settled=row.settled_at is not None,
        eval_ms=row.ollama_eval_ms,
    )
