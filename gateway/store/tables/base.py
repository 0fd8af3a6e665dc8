"""What all tables share: the base class, and column types that mean the same on SQLite and
PostgreSQL.

Instants are kept as whole microseconds since 1970 in a BIGINT: half the size of a text timestamp,
compared and bucketed by plain arithmetic on both databases, and free of time zones. Python sees
aware UTC datetimes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column, registry
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def to_us(at: datetime) -> int:
    """Return an aware datetime as whole microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=us)


class UtcMicros(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970. A naive one raises TypeError."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Turn a datetime into the stored number."""
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Turn the stored number into a datetime."""
        return None if value is None else from_us(value)


class JsonType(TypeDecorator[Any]):
    """JSON of any shape: text on SQLite, JSONB on PostgreSQL. Python None is SQL NULL.

    PostgreSQL's types are loaded where there is PostgreSQL: they take 2 MB.
    """

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the database at hand."""
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import JSONB

            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))


JsonColumn = JsonType()

PrimaryKey = Annotated[
    int,
    mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
]
ShortText = Annotated[str, mapped_column(String(64))]
Name = Annotated[str, mapped_column(String(256))]

NEVER_REUSED = {"sqlite_autoincrement": True}
"""For tables whose ids history speaks of: SQLite would give a deleted row's id to the next one."""


class Base(DeclarativeBase):
    """The declarative base; its metadata is what the migrations are compared with."""

    registry = registry(
        metadata=MetaData(naming_convention=_NAMES),
        type_annotation_map={
            datetime: UtcMicros,
            dict[str, Any]: JsonColumn,
            list[Any]: JsonColumn,
            list[str]: JsonColumn,
            int: BigInteger,
            str: Text,
        },
    )
