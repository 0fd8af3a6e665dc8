"""`GET /openapi.json`: the public API for machines that read documents."""

from __future__ import annotations

from functools import cache

import orjson
from flask import Response, current_app

from gateway import openapi
from gateway.api import bp
from gateway.api.hooks import open_to_all
from gateway.openapi import admin


@bp.get("/openapi.json")
@open_to_all
def openapi_document() -> Response:
    """Return the OpenAPI document."""
    return Response(_document(), mimetype="application/json")


@cache
def _document() -> bytes:
    rules, views = current_app.url_map, current_app.view_functions
    return orjson.dumps(openapi.document(admin.fragment(rules, views)))
