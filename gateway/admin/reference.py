"""`GET /docs`: the API reference as pages, made from the OpenAPI document and as open as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson
from flask import Blueprint, abort, current_app, render_template

from gateway import openapi
from gateway.openapi import admin
from gateway.web.errors import answer_with_pages

bp = Blueprint("reference", __name__, url_prefix="/docs")
answer_with_pages(bp)

Schema = dict[str, Any]
Words = list[tuple[str, str]]
"""Pieces of a text, each with the name of the schema it leads to, or none."""

_ADMIN = "/api/admin/v1/"
_SHARED = "schemas"
"""The chapter of the schemas that several others lead to."""
_METHODS = ("get", "post", "patch", "put", "delete")
_PREFIX = "#/components/schemas/"
_DEEPEST = 3
_MOST_VALUES = 12


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a schema, or a parameter. `where` is the place of a parameter: path, query."""

    name: str
    type: Words
    required: bool
    about: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What may come back: a status, and what its body is in each media type."""

    status: str
    about: str
    bodies: list[tuple[str, Words]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    aliases: list[str]
    summary: str
    about: str
    parameters: list[Field]
    bodies: list[tuple[str, Words]]
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class Chapter:
    """The operations of one tag, of the administrators' those of one noun, and the fields of the
    schemas that only they lead to. `name` stands in its address, `tab` is its tag; `answers` are
    those that all of its operations give."""

    name: str
    tab: str
    title: str
    about: str
    operations: list[Operation]
    answers: list[Answer]
    schemas: dict[str, tuple[str, list[Field]]]


@bp.get("", defaults={"name": "chat"}, strict_slashes=False)
@bp.get("/<path:name>")
def chapter(name: str) -> str:
    """Return a chapter of the API reference. Every chapter leads to the others."""
    chapters = _chapters()
    if name not in chapters:
        abort(404)
    firsts = {one.tab: one for one in reversed(chapters.values())}
    return render_template(
        "reference.html",
        about=_document()["info"]["description"],
        chapters=chapters.values(),
        chosen=chapters[name],
        home_of={schema: one.name for one in chapters.values() for schema in one.schemas},
        tabs=list(reversed(firsts.items())),
    )


@cache
def _document() -> Schema:
    return openapi.document(admin.fragment(current_app.url_map, current_app.view_functions))


@cache
def _chapters() -> dict[str, Chapter]:
    """Return the chapters by what stands in their address."""
    found = {}
    for tag in _document()["tags"]:
        for title, parts in _by_title(tag["name"]).items():
            name = tag["name"] if title == tag["name"] else f"{tag['name']}/{title}"
            operations = [_operation(*part) for part in parts]
            common = _common(operations)
            found[name.lower()] = Chapter(
                name.lower(),
                tag["name"],
                title,
                tag.get("description", ""),
                [_without(common, one) for one in operations],
                common,
                _used([item[method] for method, _path, item in parts]),
            )
    shared = _take_shared(found.values())
    about = "What several chapters lead to."
    found[_SHARED] = Chapter(_SHARED, "Schemas", "Schemas", about, [], [], shared)
    return found


def _by_title(tag: str) -> dict[str, list[tuple[str, str, Schema]]]:
    """Return the operations of a tag (method, path, what stands at the path) by chapters."""
    found: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, item in _document()["paths"].items():
        noun = path.removeprefix(_ADMIN).partition("/")[0].capitalize()
        title = noun if path.startswith(_ADMIN) else tag
        for method in _METHODS:
            if tag in item.get(method, {}).get("tags", ()):
                found.setdefault(title, []).append((method, path, item))
    return found


def _common(operations: list[Operation]) -> list[Answer]:
    """Return the answers that all operations give; none where there is but one."""
    if len(operations) == 1:
        return []
    return [
        one for one in operations[0].answers if all(one in other.answers for other in operations)
    ]


def _without(answers: list[Answer], operation: Operation) -> Operation:
    return replace(operation, answers=[one for one in operation.answers if one not in answers])


def _take_shared(chapters: Iterable[Chapter]) -> dict[str, tuple[str, list[Field]]]:
    """Remove from chapters the schemas that stand in more than one; return them."""
    counts = Counter(name for one in chapters for name in one.schemas)
    shared: dict[str, tuple[str, list[Field]]] = {}
    for one in chapters:
        for name in [name for name in one.schemas if counts[name] > 1]:
            shared[name] = one.schemas.pop(name)
    return dict(sorted(shared.items()))


def _operation(method: str, path: str, item: Schema) -> Operation:
    given = item[method]
    fields = [
        Field(
            one["name"], _words(one["schema"]), one.get("required", False), _about(one), one["in"]
        )
        for one in [*item.get("parameters", ()), *given.get("parameters", ())]
    ]
    answers = [
        Answer(status, one.get("description", ""), _bodies(one))
        for status, one in given["responses"].items()
    ]
    return Operation(
        method.upper(),
        path,
        item.get("x-aliases", []),
        given.get("summary", ""),
        given.get("description", ""),
        fields,
        _bodies(given.get("requestBody", {})),
        answers,
    )


def _about(part: Schema) -> str:
    return str(part.get("description") or part.get("schema", {}).get("description", ""))


def _bodies(part: Schema) -> list[tuple[str, Words]]:
    return [
        (media, _words(one.get("schema", {}))) for media, one in part.get("content", {}).items()
    ]


def _used(parts: list[Schema]) -> dict[str, tuple[str, list[Field]]]:
    """Return every schema that the parts lead to: what it is, and its fields."""
    schemas = _document()["components"]["schemas"]
    waiting = [name for part in parts for name in _names(part)]
    found: dict[str, tuple[str, list[Field]]] = {}
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            schema = schemas[name]
            found[name] = (_about(schema), list(_fields(schema)))
            waiting += _names(schema)
    return dict(sorted(found.items()))


def _names(part: Any) -> Iterator[str]:
    """Yield the names of the schemas that a part of the document leads to."""
    if isinstance(part, dict):
        if isinstance(ref := part.get("$ref"), str):
            yield ref.removeprefix(_PREFIX)
        for value in part.values():
            yield from _names(value)
    elif isinstance(part, list):
        for value in part:
            yield from _names(value)


def _fields(schema: Schema, prefix: str = "", depth: int = 0) -> Iterator[Field]:
    """Yield the fields of an object, those of objects inside it as `outer.inner`."""
    properties = schema.get("properties", {})
    if not properties and depth == 0:
        yield Field("", _words(schema), False, "")
    required = schema.get("required", ())
    for name, inner in properties.items():
        yield Field(prefix + name, _words(inner), name in required, _about(inner))
        if depth < _DEEPEST:
            if inner.get("properties"):
                yield from _fields(inner, f"{prefix}{name}.", depth + 1)
            elif inner.get("items", {}).get("properties"):
                yield from _fields(inner["items"], f"{prefix}{name}[].", depth + 1)


def _words(schema: Schema) -> Words:
    """Return the type of a schema in words."""
    if ref := schema.get("$ref"):
        name = ref.removeprefix(_PREFIX)
        return [(name, name)]
    if "const" in schema:
        return [(_json(schema["const"]), "")]
    if "enum" in schema:
        values = schema["enum"]
        more = " …" if len(values) > _MOST_VALUES else ""
        return [(" | ".join(map(_json, values[:_MOST_VALUES])) + more, "")]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _joined([_words(one) for one in schema[choice]], " | ")
    if schema.get("type") == "array":
        return [("list of ", ""), *_words(schema.get("items", {}))]
    types = schema.get("type", "anything")
    shown = types if isinstance(types, str) else " | ".join(types)
    return [(shown + _bounds(schema), "")]


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return f", at most {high}" if high is not None else ""


def _joined(parts: list[Words], between: str) -> Words:
    found: Words = []
    for part in parts:
        found += [*([(between, "")] if found else []), *part]
    return found


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
