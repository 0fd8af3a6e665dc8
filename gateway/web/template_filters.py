"""Figures as people read them: counts, bytes, durations, rates, times. All are filters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from babel.dates import format_timedelta
from babel.numbers import format_compact_decimal, format_decimal, format_percent
from flask import Flask, current_app, request, url_for
from flask_babel import format_datetime, get_locale, gettext
from markupsafe import Markup

from gateway.web.words import translated

_BYTES = ("B", "KB", "MB", "GB", "TB", "PB")
_STEP = 1000
_NUMBER_BEFORE_CHINESE = re.compile(r"(?<=\d)(?=[\u4e00-\u9fff])")
"""Where the catalogue puts a space and Babel none: 30 分钟后, not 30分钟后."""
NOTHING = "–"


def init_app(app: Flask) -> None:
    """Add the filters and helpers to the templates of `app`."""
    named = (num, short, percent, rate, when, ago, pretty, translated, browser)
    app.jinja_env.filters.update({one.__name__: one for one in named})
    app.jinja_env.filters.update(bytes=size, ms=duration)
    in_demo = app.config["GATEWAY_DEMO"]
    helpers = {"asset": asset, "here_with": here_with, "linked": linked, "in_demo": in_demo}
    app.jinja_env.globals.update(helpers)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def num(value: float | None, digits: int = 0) -> str:
    """Return a number with thousands separators: 1,234,567."""
    if value is None:
        return NOTHING
    pattern = "#,##0" + ("." + "#" * digits if digits else "")
    return str(format_decimal(value, format=pattern, locale=get_locale()))


def short(value: float | None) -> str:
    """Return a large number in few characters: 1.2M, 120万."""
    if value is None:
        return NOTHING
    if abs(value) < 10_000:
        return num(value)
    return str(format_compact_decimal(value, locale=get_locale(), fraction_digits=1))


def size(value: float | None) -> str:
    """Return bytes in decimal units, as Ollama does: 4.7 GB."""
    if value is None:
        return NOTHING
    unit = 0
    while abs(value) >= _STEP and unit < len(_BYTES) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{num(value, 1 if value < 100 and unit else 0)} {_BYTES[unit]}"


def duration(value_ms: float | None) -> str:
    """Return milliseconds in the unit that reads best: 340 ms, 2.4 s, 3 min 20 s, 2 h 5 min."""
    if value_ms is None:
        return NOTHING
    if value_ms < 1_000:
        return f"{num(value_ms, 1 if value_ms < 10 else 0)} ms"
    seconds = value_ms / 1000
    if seconds < 60:
        return f"{num(seconds, 2 if seconds < 10 else 1)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{num(hours)} h {minutes} min" if minutes else f"{num(hours)} h"


def percent(value: float | None) -> str:
    """Return a share of 1 as percent, with a decimal where it is small."""
    if value is None:
        return NOTHING
    pattern = "#,##0.#%" if abs(value) < 0.1 else "#,##0%"
    return str(format_percent(value, format=pattern, locale=get_locale()))


def rate(value: float | None) -> str:
    """Return tokens per second."""
    return NOTHING if value is None else f"{num(value, 1 if value < 100 else 0)} tok/s"


def when(value: datetime | None, form: str = "short") -> Markup | str:
    """Return an instant in the viewer's zone, UTC in the tooltip.

    `form`: short, second (short with seconds), full, date, time.
    """
    if value is None:
        return NOTHING
    patterns = {
        "short": "MMM d, HH:mm",
        "second": "MMM d, HH:mm:ss",
        "full": "yyyy-MM-dd HH:mm:ss",
        "date": "yyyy-MM-dd",
        "time": "HH:mm:ss",
    }
    pattern = patterns[form]
    if form in {"short", "second"}:
        if get_locale().language == "zh":
            pattern = pattern.replace("MMM d,", "M月d日")
        if value.year != datetime.now(UTC).year:
            pattern = patterns["date"]
    return _time(value, format_datetime(value, pattern))


def ago(value: datetime | None, now: datetime | None = None) -> Markup | str:
    """Return how long ago (or until) an instant is; the exact time is in the tooltip."""
    if value is None:
        return NOTHING
    delta = value - (now or datetime.now(UTC))
    if abs(delta.total_seconds()) < 5:
        return _time(value, gettext("just now"))
    text = format_timedelta(delta, add_direction=True, threshold=1.2, locale=get_locale())
    return _time(value, _NUMBER_BEFORE_CHINESE.sub(" ", text))


def utc(value: datetime | None) -> str:
    """Return an instant as ISO 8601 in UTC, for machines and tooltips."""
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(value: datetime, text: str) -> Markup:
    stamp = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(utc(value), stamp, text)


def pretty(value: Any) -> str:
    """Return JSON indented by two, keys in their order."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=_plain).decode()


def browser(user_agent: str) -> str:
    """Return browser and system of a User-Agent, as far as people care."""
    names = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"))
    systems = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
    name = next((word for mark, word in names if mark in user_agent), "")
    if not name and "Safari/" in user_agent:
        name = "Safari"
    system = next((word for word in systems if word in user_agent), "")
    return " · ".join(part for part in (name, system) if part) or user_agent[:40] or NOTHING


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else str(value)


def asset(path: str) -> str:
    """Return the address of a file of ours, with its version: changed files have new addresses.

    Modules have none: they import each other by plain names, and a second address would be a second
    module. Browsers ask for them again each time (ETag).
    """
    if path.startswith("js/") and path != "js/theme.js":
        return url_for("static", filename=path)
    known: dict[str, str] = current_app.extensions.setdefault("gateway.assets", {})
    if path not in known or current_app.debug:
        file = Path(f"{current_app.static_folder}/{path}")
        known[path] = sha256(file.read_bytes()).hexdigest()[:12]
    return url_for("static", filename=path, v=known[path])


def linked(view: str, query: Mapping[str, Any], **values: Any) -> str:
    """Return the address of a view, `values` in its path, with query values, whatever they are
    called."""
    return _address(url_for(view, **values), query)


def _address(path: str, query: Mapping[str, Any]) -> str:
    values = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(values, doseq=True)}" if values else path


def here_with(changed: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """Return the current address with some query values changed; None removes one."""
    values: dict[str, Any] = request.args.to_dict(flat=False)
    here = request.script_root + request.path
    return _address(here, {**values, **(changed or {}), **changes})
