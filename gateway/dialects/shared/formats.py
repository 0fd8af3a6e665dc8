"""What shape the answer must have, as Ollama's `format` (docs/contract/tools.md)."""

from __future__ import annotations

from gateway.core.chat import Json
from gateway.dialects.shared.reading import Fields, invalid, label, missing
from gateway.dialects.shared.schema_refs import inline_refs


def read_response_format(form: Fields, schema_at: str = "schema") -> Json:
    """Return "json" or a schema from an object with a `type`; None for plain text.

    The schema stands in `json_schema.schema`, or in the object itself, as the Responses API and
    several servers have it; `schema_at` is where the caller should have put it. A schema needs no
    `strict`: it is kept by grammar. Raises InvalidRequest.
    """
    match form.required_text("type"):
        case "text":
            return None
        case "json_object" | "json":
            schema = form.fields("schema")
            return "json" if schema is None else inline_refs(schema.raw, schema.where)
        case "json_schema":
            schema = (form.fields("json_schema") or form).fields("schema")
            if schema is None:
                raise missing(form.path(schema_at))
            return inline_refs(schema.raw, schema.where)
        case kind:
            raise invalid(
                f"{label(kind)!r} is no response format; use text, json_object or json_schema.",
                form.path("type"),
            )
