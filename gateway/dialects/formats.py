"""What shape the answer must have, as Ollama's `format` (api-mapping 2.3.4)."""

from __future__ import annotations

from gateway.core.chat import Json
from gateway.dialects.reading import Fields, invalid, label, missing
from gateway.dialects.schemas import inline_refs


def read_response_format(form: Fields) -> Json:
    """Give "json" or a schema from an object with a `type`; None for plain text.

    The schema stands in `json_schema.schema`, or in the object itself, as the Responses API and
    several servers have it. A schema needs no `strict`: it is kept by grammar. Raises
    InvalidRequest.
    """
    match form.required_text("type"):
        case "text":
            return None
        case "json_object" | "json":
            return "json" if form.get("schema") is None else _schema(form)
        case "json_schema":
            return _schema(form.fields("json_schema") or form)
        case kind:
            raise invalid(
                f"{label(kind)!r} is no response format; use text, json_object or json_schema.",
                form.path("type"),
            )


def _schema(holder: Fields) -> Json:
    schema = holder.fields("schema")
    if schema is None:
        raise missing(holder.path("schema"))
    return inline_refs(schema.raw, schema.where)
