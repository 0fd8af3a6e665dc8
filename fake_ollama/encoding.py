"""JSON, times and durations written the way Go writes them."""

from __future__ import annotations

import datetime
import json
import re
import time
from typing import Any

_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")

FOREVER_S = (2**63 - 1) / 1e9
"""Go's longest duration: what a negative ``keep_alive`` stands for."""

ZERO_TIME = "0001-01-01T00:00:00Z"


def encode_json(value: Any) -> bytes:
    """Give compact JSON with Go's HTML escapes; lone surrogates become U+FFFD."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text).encode()


def encode_line(value: Any) -> bytes:
    """Give one NDJSON line with its newline."""
    return encode_json(value) + b"\n"


def rfc3339(at_s: float | None = None) -> str:
    """Give a UTC time with up to nine digits of fraction, trailing zeros trimmed."""
    nanoseconds = time.time_ns() if at_s is None else int(at_s * 1e9)
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{moment}.{digits}Z" if digits else f"{moment}Z"
