"""Reads bodies and queries of the admin API, and writes its answers."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import orjson
from flask import Response, request

from gateway.core.chat import Json
from gateway.core.periods import parse_instant
from gateway.errors import InvalidRequest, UnsupportedEncoding
from gateway.web.request_body import read_json

MOST_BYTES = 32 << 20
_NUMBER = re.compile(r"-?[0-9]{1,18}")


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


def field(
    raw: dict[str, Json], name: str, kind: type | tuple[type, ...], default: Any = ...
) -> Any:
    """Return a field of the right type. Raises InvalidRequest."""
    if name not in raw:
        if default is ...:
            raise InvalidRequest(
                f"'{name}' is missing.", param=name, code="missing_required_parameter"
            )
        return default
    value = raw[name]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kinds):
        raise InvalidRequest(f"'{name}' has the wrong type.", param=name, code="invalid_type")
    return value


def only(raw: dict[str, Json], *names: str) -> None:
    """Raise InvalidRequest for a field nobody reads."""
    for name in raw:
        if name not in names:
            raise InvalidRequest(f"'{name[:64]}' is not known here.", param=name[:64])


def number(name: str, default: int, low: int, high: int) -> int:
    """Return a whole number of the query. Raises InvalidRequest."""
    text = request.args.get(name, "")
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise InvalidRequest(f"'{name}' must be from {low} to {high}.", param=name)
    return int(text)


def instant(name: str) -> datetime | None:
    """Return a time of the query. Raises InvalidRequest."""
    text = request.args.get(name, "").strip().replace(" ", "+")
    if not text:
        return None
    at = parse_instant(text)
    if at is None:
        raise InvalidRequest(f"'{name}' must be a time such as 2030-01-31T12:00:00Z.", param=name)
    return at


def one_of(name: str, words: tuple[str, ...], default: str) -> str:
    """Return a word of the query. Raises InvalidRequest."""
    text = request.args.get(name, "") or default
    if text not in words:
        raise InvalidRequest(f"'{name}' must be one of {', '.join(words)}.", param=name)
    return text


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
