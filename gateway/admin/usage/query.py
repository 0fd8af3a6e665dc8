"""The filters of pages: whatever is typed into an address gives a filter, never an error."""

from __future__ import annotations

from datetime import datetime

from flask import request

from gateway.core.requests import Filter
from gateway.reports.filters import from_page
from gateway.store import names
from gateway.web import language
from gateway.web.context import services


def page_filter(now: datetime) -> Filter:
    """Return the filter that a page's address makes; what cannot be read there is left out."""
    args = request.args.to_dict(flat=False)
    return from_page(args, now, language.zone_info())


def read_id(text: str) -> int | None:
    """Read the number of a row; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and int(text[:20]) < 2**62 else None


def filter_choices() -> dict[str, list[tuple[int, str]]]:
    """Return what the filters of a page offer: ids and names of keys, models and servers."""
    parts = services()
    keys = parts.store.read(names.by_id, "key").items()
    return {
        "keys": sorted(((int(id_), name) for id_, name in keys), key=lambda key: key[1].lower()),
        "models": [(model.id, model.display_name) for model in parts.catalog.models()],
        "servers": [(server.id, server.name) for server in parts.catalog.servers()],
    }


def read_place(text: str) -> tuple[int, int] | None:
    """Read where a page of requests goes on: `microseconds-id`."""
    left, _sign, right = text.partition("-")
    if left.isdigit() and right.isdigit() and len(left) < 18 and len(right) < 18:
        return int(left), int(right)
    return None
