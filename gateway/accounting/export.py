"""Usage as a file: CSV that a spreadsheet cannot be tricked by, or JSON lines.

Calls are read page by page, newest first, so an export of millions needs no memory. A cell that a
spreadsheet would take for a formula gets an apostrophe in front (CWE-1236).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from gateway.core.requests import CallRow, Filter
from gateway.runtime.database import Store
from gateway.store.tables import to_us
from gateway.store.usage import request_queries

_PAGE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")  # and wide ones
_COLUMNS = (
    "request_id",
    "at",
    "key_id",
    "key_name",
    "endpoint",
    "model",
    "requested_model",
    "server_name",
    "streamed",
    "settled",
    "status",
    "finish",
    "error_code",
    "error_message",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "first_token_ms",
    "duration_ms",
    "client_app",
)


def calls(store: Store, wanted: Filter, limit: int | None = None) -> Iterator[CallRow]:
    """Yield the calls that are meant, newest first, at most `limit` of them."""
    older_than: tuple[int, int] | None = None
    left = limit
    while left is None or left > 0:
        asked = _PAGE if left is None else min(_PAGE, left)
        page = store.read_slow(request_queries.page, wanted, older_than=older_than, limit=asked)
        yield from page
        if len(page) < asked:
            return
        left = None if left is None else left - len(page)
        older_than = (to_us(page[-1].at), page[-1].id)


def as_csv(store: Store, wanted: Filter, limit: int | None = None) -> Iterator[str]:
    """Yield the calls as CSV, RFC 4180, a header line first; at most `limit` calls."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for number, call in enumerate(calls(store, wanted, limit), 1):
        writer.writerow([safe_cell(getattr(call, name)) for name in _COLUMNS])
        if number % 200 == 0:
            yield _taken(out)
    yield _taken(out)


def as_json_lines(store: Store, wanted: Filter) -> Iterator[str]:
    """Yield the calls as JSON, one object a line."""
    for call in calls(store, wanted):
        plain = {name: value for name, value in asdict(call).items() if name in _COLUMNS}
        yield json.dumps(plain, default=_plain, ensure_ascii=False) + "\n"


def safe_cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return str(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) or text[:1] in _FORMULA else text


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
