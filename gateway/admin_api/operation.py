"""What each operation of the admin API takes and answers, stated beside its view.

The OpenAPI document is made from these marks; the guard reads the role, the views their bodies and
queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

import msgspec
import orjson
from flask import Response, request

from gateway.core.admin import Role
from gateway.core.chat import Json
from gateway.errors import InvalidFields, Message, UnsupportedEncoding
from gateway.schemas import convert
from gateway.web.request_body import read_json

View = TypeVar("View", bound=Callable[..., Any])
T = TypeVar("T")
MOST_BYTES = 32 << 20


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


def body() -> dict[str, Json]:
    """Return the JSON object of the request. Raises InvalidRequest, TooLarge,
    UnsupportedEncoding."""
    if request.mimetype != "application/json":
        raise UnsupportedEncoding("Send the body as application/json.", code="unsupported_type")
    found, _ = read_json(
        request.stream,
        content_length=request.content_length,
        encoding=request.headers.get("Content-Encoding", ""),
        limit_bytes=MOST_BYTES,
    )
    return dict(found)


def read_body(schema: type[T], *, is_needed: bool = True) -> T:
    """Return the body as a value of a schema, its defaults where none is needed and none comes.
    Raises InvalidFields, also for fields that are missing, and what `body` does."""
    has_body = request.content_length or "Transfer-Encoding" in request.headers
    values = convert.read(body() if is_needed or has_body else {}, schema)
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


def answer(value: Any, status: int = 200) -> Response:
    """Return a value, also with dataclasses and Structs in it, as JSON."""
    text = orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    return Response(text, status, mimetype="application/json")


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    return sorted(value) if isinstance(value, frozenset) else dict(value)
