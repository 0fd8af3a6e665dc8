"""Many rows of one table by one statement that is prepared once.

SQLAlchemy's own way compiles and converts anew for each row: 30 us for a usage record, of which the
database needs six. Here the statement is still SQLAlchemy's, but the conversions are our three: an
instant to microseconds, JSON to text, everything else as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Dialect, Table
from sqlalchemy.orm import Session

from gateway.store.database.engine import insert
from gateway.store.tables.base import JsonType, UtcMicros, to_us

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement, its columns in order (or by name), and what must be converted where."""

    sql: str
    names: tuple[str, ...]
    by_name: bool
    converts: tuple[tuple[str, Convert], ...]


def insert_new(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows of the same columns that are not there already; return how many were new."""
    if not rows:
        return 0
    connection = session.connection()
    prepared = _prepare(connection.dialect, table, tuple(rows[0]))
    converted = [_converted(row, prepared.converts) for row in rows]
    if prepared.by_name:
        return connection.exec_driver_sql(prepared.sql, converted).rowcount
    names = prepared.names
    values = [tuple([row[name] for name in names]) for row in converted]
    return connection.exec_driver_sql(prepared.sql, values).rowcount


def _converted(row: Mapping[str, Any], converts: Sequence[tuple[str, Convert]]) -> dict[str, Any]:
    values = dict(row)
    for name, convert in converts:
        value = values[name]
        if value is not None:
            values[name] = convert(value)
    return values


@lru_cache(maxsize=16)
def _prepare(dialect: Dialect, table: Table, names: tuple[str, ...]) -> _Prepared:
    statement = insert(dialect.name, table).on_conflict_do_nothing()
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    order = getattr(compiled, "positiontup", None)
    return _Prepared(
        sql=str(compiled),
        names=tuple(order or names),
        by_name=not order,
        converts=tuple(
            (name, convert)
            for name in names
            if (convert := _converter(table.c[name].type)) is not None
        ),
    )


def _converter(kind: Any) -> Convert | None:
    if isinstance(kind, UtcMicros):
        return to_us
    return to_json if isinstance(kind, JsonType) else None


def to_json(value: Any) -> str:
    """Write JSON text; whole numbers of any length."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)
