"""What each operation of the admin API takes and answers, stated beside its view.

The OpenAPI document is made from these marks; the guard reads the role, the views their bodies and
queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from flask import request

from gateway.core.admin import Role
from gateway.core.chat import Json
from gateway.errors import InvalidFields, Message
from gateway.schemas import convert

View = TypeVar("View", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """`answer` is the type of the JSON, or media types of anything else; `body` and `query` are
    schemas; of a body `required` fields must be there, None: all without a default, except in a
    PATCH. `role` None: what the method says (viewer reads, admin changes)."""

    id: str
    answer: Any
    body: type | None = None
    required: tuple[str, ...] | None = None
    query: type | None = None
    role: Role | None = None
    status: int = 200
    needs_body: bool = True


def operation(id: str, answer: Any, **more: Any) -> Callable[[View], View]:
    """Mark a view with its operation."""

    def mark(view: View) -> View:
        view.operation = Operation(id, answer, **more)  # type: ignore[attr-defined]  # a mark
        return view

    return mark


def whole(raw: dict[str, Json], schema: type[T]) -> T:
    """Return a value of a schema. Raises InvalidFields, also for fields that are missing."""
    values = convert.read(raw, schema)
    missing = [
        (one.name, Message("is missing"))
        for one in fields(schema)  # type: ignore[arg-type]  # schemas are dataclasses
        if one.default is MISSING and one.default_factory is MISSING and one.name not in values
    ]
    if missing:
        raise InvalidFields(missing)
    return schema(**values)


def read_query(schema: type[T]) -> T:
    """Return the query of the request as a value of a schema. Raises InvalidFields."""
    return schema(**convert.read_query(request.args.to_dict(flat=False), schema))
