"""The administrators' API as a fragment of the OpenAPI document, made from the marks of its views
and their types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import msgspec
from werkzeug.routing import Map, Rule

from gateway.openapi.parts import Schema, content, integer, parameters, ref, text
from gateway.schemas import convert

_TAG = "Administration"
_REF = "#/components/schemas/Admin{name}"
_ERRORS = {
    "400": "The request cannot be served as written; `param` names the field.",
    "401": "No admin token, or one that is unknown, revoked or expired.",
    "403": "The token's role does not suffice.",
    "404": "There is no such thing.",
    "503": "The database does not answer.",
}
_PLACE = re.compile(r"<(?:(\w+):)?(\w+)>")


def fragment(rules: Map, views: Mapping[str, Callable[..., Any]]) -> Schema:
    """Return `paths`, `components` and `tags` of the views that are marked as operations."""
    paths: dict[str, Schema] = {}
    kinds: list[Any] = []
    for rule in sorted(rules.iter_rules(), key=lambda one: one.rule):
        operation = getattr(views[rule.endpoint], "operation", None)
        if operation is None:
            continue
        item = paths.setdefault(_PLACE.sub(r"{\2}", rule.rule), _places(rule))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            summary = (views[rule.endpoint].__doc__ or "").strip().partition("\n\n")[0]
            item[method.lower()] = _operation(operation, method, " ".join(summary.split()), kinds)
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    return {
        "paths": paths,
        "tags": [{"name": _TAG, "description": "For administrators, with tokens of their own."}],
        "components": {
            "schemas": {f"Admin{name}": schema for name, schema in components.items()},
            "securitySchemes": {
                "admin-token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`ollama2openai token create NAME` makes one.",
                }
            },
        },
    }


def _operation(operation: Any, method: str, summary: str, kinds: list[Any]) -> Schema:
    role = operation.role or ("viewer" if method == "GET" else "admin")
    answer = _content(operation.answer, kinds)
    errors = {
        code: {"description": about, **content(ref("Error"))} for code, about in _ERRORS.items()
    }
    found: Schema = {
        "operationId": operation.id,
        "summary": f"{summary} For the role {role}.",
        "tags": [_TAG],
        "security": [{"admin-token": []}],
        "responses": {str(operation.status): {"description": "Done.", **answer}, **errors},
    }
    if operation.query is not None:
        known = convert.fields_of(operation.query)
        found["parameters"] = parameters(
            "query", {name: msgspec.json.schema(kind) for name, kind in known.items()}
        )
    if operation.body is not None:
        body = _content(_body(operation, method), kinds)
        found["requestBody"] = {"required": operation.needs_body, **body}
    return found


def _content(answer: Any, kinds: list[Any]) -> Schema:
    """Return the content of a message: JSON of a type, or text of some media types."""
    if isinstance(answer, tuple):
        return {"content": {kind: {"schema": text()} for kind in answer}}
    kinds.append(answer)
    return content(ref(f"Admin{answer.__name__}"))


def _body(operation: Any, method: str) -> Any:
    """Return the type of a body: every field of its schema may be left out but the required."""
    schema, required = operation.body, operation.required
    if required is None:
        known = convert.fields_of(schema)
        required = tuple(
            one.name
            for one in fields(schema)
            if method != "PATCH"
            and one.name in known
            and (one.default, one.default_factory) == (MISSING, MISSING)
        )
    return convert.partial(schema, f"{'New' * bool(required)}{schema.__name__}Body", required)


def _places(rule: Rule) -> Schema:
    """Return the parameters in the path of a rule."""
    places = {
        name: integer() if kind == "id" else text() for kind, name in _PLACE.findall(rule.rule)
    }
    return {"parameters": parameters("path", places)} if places else {}
