"""Which calls are meant: the filters of pages, REST and the command line, each by its one name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from gateway.core.periods import YEARS
from gateway.core.requests import Feature
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import field

Range: TypeAlias = Literal[
    "1h", "24h", "7d", "30d", "90d", "365d", "today", "yesterday", "this_month"
]  # fmt: skip


def _time(text: str) -> str:
    text = text.strip()
    if "T" in text:
        text = text.replace(" ", "+")  # a plus sign of an offset that was not escaped
    try:
        known = not text or datetime.fromisoformat(text).year in YEARS
    except ValueError:
        known = False
    if not known:
        raise types.Problem(Message("must be a day or a time such as 2030-01-31T12:00:00Z"))
    return text


def _time_field(title: str) -> str:
    return field(
        "", title, "A day, or a time such as 2030-01-31T12:00:00Z.", check=_time, max_length=40
    )


def _id_field(title: str) -> int:
    return field(0, title, ge=0, le=types.MOST_BIG_INT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuery:
    """Which calls; "" and 0 do not matter. `range` wins over `since` and `until`."""

    range: Range | None = field(None, "Time")
    since: str = _time_field("From")
    until: str = _time_field("Until")
    key_id: int = _id_field("Key")
    server_id: int = _id_field("Server")
    model_id: int = _id_field("Model")
    endpoint: str = field("", "Endpoint", max_length=64)
    status: str = field(
        "", "Status", "A number, or 4xx, 5xx, ok, failed, cancelled, running.", max_length=64
    )
    client_app: str = field("", "Application", max_length=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestQuery(CallQuery):
    """The same with what sums do not know."""

    finish: str = field("", "Finish reason", max_length=32)
    min_ms: int = field(0, "Min. duration (ms)", ge=0, le=types.MOST_BIG_INT)
    features: tuple[Feature, ...] = field((), "Features", max_length=16)
    request_id: str = field("", "Request id", max_length=64)
