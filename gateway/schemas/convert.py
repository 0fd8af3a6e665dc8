"""Values from outside become the types of a schema, or a sentence with the field's name.

Forms, the REST API, the command line and imports all come through `read`, so that the same value
is refused with the same words everywhere.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from gateway.core.chat import Json
from gateway.errors import InvalidFields, Message
from gateway.schemas.types import Problem

_AT: Final = re.compile(r" - at `(?:key` in `)?\$(.*)`$")
_STEP: Final = re.compile(r"\.(\w+)|\[[^\]]*\]")


@lru_cache(maxsize=32)
def fields_of(schema: type) -> Mapping[str, Any]:
    """Return the fields that can be set from outside: name to annotated type."""
    hints = get_type_hints(schema, include_extras=True)
    return {
        one.name: Annotated[hints[one.name], one.metadata["meta"]]
        for one in dataclasses.fields(schema)
        if one.metadata
    }


def meta_of(kind: Any) -> msgspec.Meta:
    """Return how a field is described."""
    found: msgspec.Meta = get_args(kind)[1]
    return found


@lru_cache(maxsize=32)
def partial(schema: type, name: str, required: tuple[str, ...] = ()) -> type[msgspec.Struct]:
    """Return the schema as a change of it, for the OpenAPI document: fields may be left out."""
    return msgspec.defstruct(
        name,
        [
            (field, kind) if field in required else (field, kind | msgspec.UnsetType, msgspec.UNSET)
            for field, kind in fields_of(schema).items()
        ],
        kw_only=True,
        forbid_unknown_fields=True,
    )


def read(raw: Mapping[str, Json], schema: type, *, lax: bool = False) -> dict[str, Any]:
    """Return the fields in `raw` as the schema types them; what is absent stays absent. `lax` takes
    numbers and booleans as text, as queries have them.

    Raises InvalidFields with every problem.
    """
    kinds = fields_of(schema)
    values: dict[str, Any] = {}
    problems: list[tuple[str, Message]] = []
    for name, value in raw.items():
        if name not in kinds:
            problems.append((name[:64], Message("is not known here")))
            continue
        try:
            values[name] = _one(value, kinds[name], lax)
        except Problem as problem:
            problems.append((f"{name}{problem.path}", problem.message))
    if problems:
        raise InvalidFields(problems)
    return values


def read_query(query: Mapping[str, Sequence[str]], schema: type) -> dict[str, Any]:
    """Read a query, where each name may stand several times, as `read` does; empty texts are
    absent, and of a field that is no list the first counts."""
    kinds = fields_of(schema)
    lists = {name for name, kind in kinds.items() if get_origin(get_args(kind)[0]) is tuple}
    given = {name: [text for text in texts if text] for name, texts in query.items()}
    return read(
        {name: texts if name in lists else texts[0] for name, texts in given.items() if texts},
        schema,
        lax=True,
    )


def _one(value: Json, kind: Any, lax: bool) -> Any:
    try:
        converted = msgspec.convert(value, kind, strict=not lax)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        path = at[1] if at else ""
        raise Problem(_wanted(inspect.type_info(kind), path), path) from None
    check = (meta_of(kind).extra or {}).get("check")
    return converted if check is None else check(converted)


def _wanted(info: inspect.Type, path: str) -> Message:
    """Return what must stand at a place inside a value of this type."""
    if isinstance(info, inspect.Metadata):
        return _wanted(info.type, path)
    if isinstance(info, inspect.UnionType):
        return _wanted(info.types[0], path)
    step = _STEP.match(path)
    if step is not None:
        inner = _inner(info, step[1])
        if inner is not None:
            return _wanted(inner, path[step.end() :])
    match info:
        case inspect.BoolType():
            return Message("must be true or false")
        case inspect.IntType() if info.ge is not None and info.le is not None:
            return Message(
                "must be a whole number from %(low)s to %(high)s", low=info.ge, high=info.le
            )
        case inspect.StrType() if info.max_length is not None:
            return Message("must be a text of at most %(limit)s characters", limit=info.max_length)
        case inspect.StrType():
            return Message("must be a text")
        case inspect.LiteralType():
            return Message("must be one of %(words)s", words=", ".join(map(str, info.values)))
        case inspect.VarTupleType() if info.max_length is not None:
            return Message("must be a list of at most %(limit)s entries", limit=info.max_length)
        case inspect.StructType():
            names = ", ".join(one.name for one in info.fields)
            return Message("must be an object with %(names)s", names=names)
    return Message("must be an object")


def _inner(info: inspect.Type, name: str | None) -> inspect.Type | None:
    if isinstance(info, inspect.VarTupleType):
        return info.item_type
    if isinstance(info, inspect.StructType):
        return next((one.type for one in info.fields if one.name == name), None)
    return None
