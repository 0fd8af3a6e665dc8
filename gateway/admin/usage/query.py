"""The filters of addresses: whatever is typed there gives a filter, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from gateway.core.requests import Filter
from gateway.store import names
from gateway.web.context import services

RANGES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "365d": timedelta(days=365),
}
FEATURES = ("tools", "images", "thinking", "streamed", "whole")
_MAX_ID = 2**62


def read_filter(args: MultiDict[str, str], now: datetime, zone: ZoneInfo) -> Filter:
    """Return the filter that an address's query names."""
    since, until = read_range(args, now, zone)
    return Filter(
        since=since,
        until=until,
        key_id=read_id(args.get("key", "")),
        model_id=read_id(args.get("model", "")),
        server_id=read_id(args.get("server", "")),
        endpoint=args.get("endpoint", "")[:64],
        status=args.get("status", "")[:16],
        finish=args.get("finish", "")[:32],
        client_app=args.get("client", "")[:64],
        min_ms=_seconds(args.get("min_s", "")),
        features=frozenset(name for name in args.getlist("has") if name in FEATURES),
        request_id=args.get("id", "").strip()[:64],
    )


def read_range(
    args: MultiDict[str, str], now: datetime, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    """Return the time that is meant: `range` such as 7d, or `since` and `until`."""
    if step := RANGES.get(args.get("range", "")):
        return now - step, None
    since = _instant(args.get("since", ""), zone)
    until = _instant(args.get("until", ""), zone, end=True)
    return since, until


def _instant(text: str, zone: ZoneInfo, end: bool = False) -> datetime | None:
    """Read a day of the visitor's zone, or an instant; a day as an end includes that day."""
    text = text.strip()
    if not text or len(text) > 40:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not 1971 < at.year < 9000:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    if end and len(text) == len("2030-01-31"):
        at += timedelta(days=1)
    return at.astimezone(UTC)


def read_id(text: str) -> int | None:
    """Read the number of a row; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and int(text[:20]) < _MAX_ID else None


def filter_choices() -> dict[str, list[tuple[int, str]]]:
    """Return what the filters of a page offer: ids and names of keys, models and servers."""
    parts = services()
    keys = parts.store.read(names.by_id, "key").items()
    return {
        "keys": sorted(((int(id_), name) for id_, name in keys), key=lambda key: key[1].lower()),
        "models": [(model.id, model.display_name) for model in parts.catalog.models()],
        "servers": [(server.id, server.name) for server in parts.catalog.servers()],
    }


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value * 1000 if 0 <= value < 1e7 else None


def read_place(text: str) -> tuple[int, int] | None:
    """Read where a page of requests goes on: `microseconds-id`."""
    left, _sign, right = text.partition("-")
    if left.isdigit() and right.isdigit() and len(left) < 18 and len(right) < 18:
        return int(left), int(right)
    return None
