"""Rows as the values the rest of the gateway works with, copied by column name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import Executable, Select, inspect
from sqlalchemy.orm import Session

from gateway.core.chat import Json
from gateway.errors import NotFound
from gateway.store.tables import Base

T = TypeVar("T")
Row = TypeVar("Row", bound=Base)


def columns(value: Any, table: type[Base]) -> dict[str, Any]:
    """Return what a row of `table` takes from a value, its id left out."""
    return {
        name: _builtin(getattr(value, name))
        for name in _attributes(table)
        if name != "id" and hasattr(value, name)
    }


def value_of(row: Base, kind: type[T], /, **others: Any) -> T:
    """Return a row as a value; `others` are fields that are no columns."""
    restorers = _restorers(cast(Any, kind), type(row))
    return kind(**{name: restore(getattr(row, name)) for name, restore in restorers}, **others)


def values(session: Session, query: Select[Any], kind: type[T]) -> list[T]:
    """Return the rows that a query selects as values."""
    return [value_of(row, kind) for row in session.scalars(query)]


def find(session: Session, query: Select[Any], kind: type[T]) -> T | None:
    """Return the first row that a query selects as a value, None where there is none."""
    row = session.scalars(query.limit(1)).first()
    return None if row is None else value_of(row, kind)


def row_of(
    session: Session, table: type[Row], row_id: int, noun: str, code: str = "", **more: Any
) -> Row:
    """Return the row with this id; `more` is what `Session.get` takes. Raises NotFound."""
    row = session.get(table, row_id, **more)
    if row is None:
        raise NotFound(f"There is no {noun} {row_id}.", code=code or f"{noun}_not_found")
    return row


def add(session: Session, row: Base, kind: type[T]) -> T:
    """Store a new row and return it as a value, with the id it was given."""
    session.add(row)
    session.flush()
    return value_of(row, kind)


def fill(session: Session, row: Base, value: T) -> T:
    """Store a changed value in its row and return what stands there now."""
    for name, one in columns(value, type(row)).items():
        setattr(row, name, one)
    session.flush()
    return value_of(row, type(value))


def changed(session: Session, statement: Executable) -> int:
    """Execute an INSERT, UPDATE or DELETE; return how many rows it changed."""
    return cast(Any, session.execute(statement)).rowcount or 0


def plain(value: Any) -> dict[str, Json]:
    """Return a value as JSON: for the audit log, exports and the REST API.

    Of secrets, which are the fields that `repr` hides, it says only whether there is one.
    """
    shown = {
        one.name: _text(_builtin(getattr(value, one.name))) for one in fields(value) if one.repr
    }
    secrets = {
        f"has_{one.name}": bool(getattr(value, one.name)) for one in fields(value) if not one.repr
    }
    return shown | secrets


def _builtin(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | frozenset):
        return [_builtin(one) for one in value]
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


def _text(value: Any) -> Json:
    return value.isoformat() if isinstance(value, datetime) else value


@lru_cache(maxsize=64)
def _restorers(kind: Any, table: type[Base]) -> list[tuple[str, Callable[[Any], Any]]]:
    names, hints = _attributes(table), get_type_hints(kind)
    return [(name, _restorer(hints[name])) for name in hints if name in names]


@lru_cache(maxsize=64)
def _attributes(table: type[Base]) -> frozenset[str]:
    """Return the names of columns, and of lists kept in a table of their own."""
    return frozenset(inspect(table).all_orm_descriptors.keys())


def _restorer(hint: Any) -> Callable[[Any], Any]:
    if hint == frozenset[str] | None:
        return lambda value: None if value is None else frozenset(value)
    if get_origin(hint) is not tuple:
        return lambda value: value
    (entry, *_) = get_args(hint)
    if isinstance(entry, type) and issubclass(entry, msgspec.Struct):
        return lambda values: tuple(entry(**one) for one in values)
    return tuple
