"""Reads bodies and queries of the admin API, and writes its answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from flask import Response, request

from gateway.core.chat import Json
from gateway.errors import UnsupportedEncoding
from gateway.web.request_body import read_json

MOST_BYTES = 32 << 20


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


def body_or_nothing() -> dict[str, Json]:
    """Return the JSON object of a request that may go without."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return {}
    return body()


def answer(value: Json, status: int = 200) -> Response:
    """Return a JSON answer."""
    options = orjson.OPT_NON_STR_KEYS
    return Response(
        orjson.dumps(value, default=_plain, option=options), status, mimetype="application/json"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set | tuple):
        return sorted(value) if isinstance(value, frozenset | set) else list(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value)
