"""The public API as an OpenAPI 3.1 document, made from the tables the gateway itself works with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.dialects import SCOPES
from gateway.openapi import chat, decisions, messages, native, paths, responses, shared
from gateway.openapi.parts import Schema
from gateway.version import VERSION

ABOUT = """\
OpenAI- and Anthropic-compatible endpoints in front of Ollama's native API, and that API itself.

Every endpoint takes the key as `Authorization: Bearer`, `x-api-key` or `api-key`; the first valid \
one counts. Every path also answers with a trailing slash and, where it has `/v1`, without; \
`x-aliases` lists further paths. `null` equals absent for optional fields; booleans and numbers \
may come as strings; unknown fields at the root are ignored. What is accepted but has no effect is \
named in the header `x-gateway-ignored`. Every answer carries `x-request-id`.
"""


def document(*fragments: Mapping[str, Any]) -> Schema:
    """Return the whole document; `fragments` bring further `paths`, `components` and `tags`."""
    found: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "Ollama2OpenAI",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "."}],
        "security": [{"bearer": []}, {"x-api-key": []}, {"api-key": []}],
        "tags": [
            *({"name": scope.capitalize()} for scope in SCOPES),
            {"name": "Operation"},
        ],
        "paths": paths.paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
                "metrics": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {
                **shared.SCHEMAS,
                **chat.SCHEMAS,
                **responses.SCHEMAS,
                **messages.SCHEMAS,
                **native.SCHEMAS,
                **decisions.SCHEMAS,
            },
        },
    }
    for fragment in fragments:
        found["paths"].update(fragment.get("paths", {}))
        found["tags"] += fragment.get("tags", [])
        for kind, parts in fragment.get("components", {}).items():
            found["components"].setdefault(kind, {}).update(parts)
    return found
