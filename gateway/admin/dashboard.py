"""The dashboard: is it working, who is on, what does it cost? Live where scripts run."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import render_template, request
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp, figures, memory
from gateway.admin.keys.presenters import guide
from gateway.admin.live import topics
from gateway.admin.models.context import summary
from gateway.admin.models.list import report
from gateway.admin.usage.charts import Chart, Line
from gateway.calls.registry import LiveCall
from gateway.core.requests import CallRow
from gateway.reports import dashboard as reports
from gateway.reports.time_steps import steps
from gateway.store.usage import request_queries
from gateway.web import language
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _

_MOST_ACTIVE = 100
_MOST_ERRORS = 8


@bp.get("/", strict_slashes=False)  # a redirect would repeat the Host of the request
def dashboard() -> AnyResponse | str:
    """Show the state of everything; lead to the first steps while there is no server."""
    parts, at = services(), datetime.now(UTC)
    if not parts.catalog.servers() and current_user.role != "viewer":
        return to_page("admin.welcome")
    store = parts.store
    minutes = topics.minutes(store)
    newest, running = store.read(request_queries.state_of_log)
    found = topics.figures(parts)
    return render_template(
        "admin/dashboard/index.html",
        report=found,
        tiles=figures.tiles(found),
        active=active_rows(parts.live.everywhere(), running),
        memory=memory.cards(topics.enabled_servers(parts)),
        minutes=per_minute(minutes.at, minutes.counts),
        errors=grouped(topics.failures(store)),
        has_calls=newest > 0,
        start={} if newest else _getting_started(),
        loads=summary(at),
    )


@bp.post("/dashboard/cancel/<request_id>")
def dashboard_cancel(request_id: str) -> AnyResponse:
    """End a running request."""
    services().live.cancel_anywhere(request_id[:64], actor())
    return to_page("admin.dashboard", _("The request was cancelled."), _anchor="active")


@bp.post("/dashboard/unload")
def dashboard_unload() -> AnyResponse:
    """Unload a model from a server's memory."""
    name, server_ids = _loaded_model()
    results = services().operations.unload(name, server_ids, actor())
    report(results, _("%(name)s leaves memory as soon as it is idle.", name=name))
    return to_page("admin.dashboard", _anchor="memory")


@bp.post("/dashboard/unpin")
def dashboard_unpin() -> AnyResponse:
    """Have a model that stays in a server's memory leave it after its usual time again."""
    name, server_ids = _loaded_model()
    results = services().operations.unpin(name, server_ids, actor())
    report(results, _("%(name)s leaves memory after its usual time.", name=name))
    return to_page("admin.dashboard", _anchor="memory")


def _loaded_model() -> tuple[str, list[int]]:
    return request.form.get("model", "")[:256], [request.form.get("server", 0, int)]


@dataclass(frozen=True, slots=True)
class Active:
    """The requests that run: `rows` as the table shows them, and how many more there are."""

    rows: Sequence[dict[str, Any]]
    more: int


def active_rows(calls: Sequence[LiveCall], logged: Collection[str]) -> Active:
    """Return the requests that run, oldest first; those in `logged` have a page of their own."""
    shown = [_row(call, call.request_id in logged) for call in calls[:_MOST_ACTIVE]]
    return Active(shown, len(calls) - len(shown))


def per_minute(at: datetime, counts: Iterable[tuple[datetime, int, int]]) -> Chart:
    """Return the chart of the hour that ends with the minute `at`: (minute, kind, number), as
    `usage_queries.minutes` has them."""
    starts = steps(at - reports.LAST_HOUR, at, "minute", language.zone_info())
    starts = (*starts, at + (starts[1] - starts[0]))
    place = {start: index for index, start in enumerate(starts[:-1])}
    tracks = {kind: [0.0] * len(place) for kind in (0, 2, 3, 4, 5)}
    for minute, kind, count in counts:
        if minute in place:
            tracks[kind][place[minute]] += count
    names = {
        2: (_("OK"), 5, "ok"),
        3: (_("cancelled").capitalize(), 8, "cancelled"),
        4: (_("Refused"), 3, "4xx"),
        5: (_("Failed"), 6, "failed"),
        0: (_("Running"), 1, "running"),
    }
    lines = tuple(
        Line(name, tuple(tracks[kind]), colour, {"status": status})
        for kind, (name, colour, status) in names.items()
        if kind == 2 or any(tracks[kind])
    )
    return Chart("bars", "count", _("Requests per minute, last hour"), starts, lines)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Requests that failed alike: `last` is the newest of them."""

    last: CallRow
    count: int
    keys: tuple[str, ...]


def grouped(failures: Iterable[CallRow]) -> list[ErrorGroup]:
    """Return failures, newest first, grouped by what went wrong and the model."""
    groups: dict[tuple[str, int, str], list[CallRow]] = {}
    for call in failures:
        groups.setdefault((call.error_code, call.status, call.model), []).append(call)
    return [
        ErrorGroup(calls[0], len(calls), tuple(dict.fromkeys(call.key_name for call in calls)))
        for calls in list(groups.values())[:_MOST_ERRORS]
    ]


def _row(call: LiveCall, is_logged: bool) -> dict[str, Any]:
    kind, words, icon = _phase(call)
    return {
        "call": call,
        "kind": kind,
        "phase": words,
        "icon": icon,
        "elapsed_ms": call.elapsed_s * 1000,
        "client": call.client_app or call.client_ip,
        "is_logged": is_logged,
    }


def _phase(call: LiveCall) -> tuple[str, str, str]:
    words = {
        "queued": ("warning", _("Queued"), "hourglass-split"),
        "loading": ("info", _("Loading the model"), "memory"),
        "prefill": ("info", _("Reading the prompt"), "book"),
        "thinking": ("info", _("Thinking"), "lightbulb"),
        "answering": ("success", _("Generating"), "chat-square-text"),
    }
    kind, name, icon = words.get(call.phase, ("secondary", call.phase, "activity"))
    if call.phase == "queued" and call.position:
        name = _("Queued, position %(position)s", position=f"{call.position}/{call.waiting}")
    return kind, name, icon


def _getting_started() -> dict[str, Any]:
    """Return what the first steps need: the newest key, its guide, and when the page was made."""
    newest = next(iter(services().keys.search(limit=1)), None)
    if newest is None:
        return {"key": None}
    return {"key": newest, "guide": guide(newest), "since": int(time.time())}
