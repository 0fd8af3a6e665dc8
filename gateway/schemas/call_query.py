"""Which calls are meant: the filters of pages, REST and the command line, each by its one name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from gateway.core.periods import YEARS
from gateway.core.requests import Feature
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import field

Range: TypeAlias = Literal["1h", "24h", "7d", "30d", "90d", "365d"]


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


def _time_field(title: str) -> Meta:
    return field(
        title, "A day, or a time such as 2030-01-31T12:00:00Z.", check=_time, max_length=40
    )


def _id_field(title: str) -> Meta:
    return field(title, ge=0, le=types.MOST_BIG_INT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuery:
    """Which calls; "" and 0 do not matter. `range` wins over `since` and `until`."""

    range: Annotated[Range | None, field("Time")] = None
    since: Annotated[str, _time_field("From")] = ""
    until: Annotated[str, _time_field("Until")] = ""
    key_id: Annotated[int, _id_field("Key")] = 0
    server_id: Annotated[int, _id_field("Server")] = 0
    model_id: Annotated[int, _id_field("Model")] = 0
    endpoint: Annotated[str, field("Endpoint", max_length=64)] = ""
    status: Annotated[
        str,
        field("Status", "A number, or 4xx, 5xx, ok, failed, cancelled, running.", max_length=64),
    ] = ""
    client_app: Annotated[str, field("Application", max_length=256)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestQuery(CallQuery):
    """The same with what sums do not know."""

    finish: Annotated[str, field("How it ended", max_length=32)] = ""
    min_ms: Annotated[int, field("Longer than (ms)", ge=0, le=types.MOST_BIG_INT)] = 0
    features: Annotated[tuple[Feature, ...], field("Features", max_length=16)] = ()
    request_id: Annotated[str, field("Request id", max_length=64)] = ""
