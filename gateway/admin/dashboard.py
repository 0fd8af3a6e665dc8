"""Now: is it working, who is on, what does it cost? Live where scripts run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from flask import Response, render_template, request, stream_with_context, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.keys.presenters import pieces
from gateway.admin.memory import of_enabled
from gateway.admin.models.context import summary
from gateway.admin.models.list import report
from gateway.admin.usage.charts import Chart, Line
from gateway.calls.registry import LiveCall
from gateway.core.requests import Filter
from gateway.reports import dashboard
from gateway.reports.time_steps import steps
from gateway.store.usage import request_queries, usage_queries
from gateway.web import language
from gateway.web.context import Services, actor, services
from gateway.web.security import to_page
from gateway.web.words import _

TICK_S = 1.0
STREAM_S = 300.0


@bp.get("/", strict_slashes=False)  # a redirect would repeat the Host of the request
def now() -> AnyResponse | str:
    """Show the state of everything; lead to the first steps while there is no server."""
    parts, at = services(), datetime.now(UTC)
    if not parts.catalog.servers() and current_user.role != "viewer":
        return to_page("admin.welcome")
    store = parts.store
    failed = Filter(since=at - timedelta(days=7), status="failed")
    return render_template(
        "admin/now/index.html",
        report=dashboard.report(store, parts.catalog, at),
        calls=[as_row(call) for call in parts.live.everywhere()],
        memory=of_enabled(),
        minutes=_per_minute(at),
        failures=store.read_slow(request_queries.page, failed, limit=8),
        has_calls=bool(store.read(request_queries.page, Filter(), limit=1)),
        start=_getting_started(),
        loads=summary(at),
    )


@bp.get("/now/events")
def now_events() -> Response:
    """Stream what runs, once a second, as server-sent events."""
    parts = services()
    events = stream_with_context(_ticks(parts))
    return Response(events, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


@bp.post("/now/cancel/<request_id>")
def now_cancel(request_id: str) -> AnyResponse:
    """End a running call."""
    services().live.cancel_anywhere(request_id[:64], actor())
    if request.headers.get("X-CSRFToken"):
        return Response(status=204)
    return to_page("admin.now", _("The call was cancelled."), _anchor="in-flight")


@bp.post("/now/unload")
def now_unload() -> AnyResponse:
    """Unload a model from a server's memory."""
    name, server_ids = _loaded_model()
    results = services().operations.unload(name, server_ids, actor())
    report(results, _("%(name)s leaves memory as soon as it is idle.", name=name))
    return to_page("admin.now", _anchor="memory")


@bp.post("/now/unpin")
def now_unpin() -> AnyResponse:
    """Let a model that stays in a server's memory leave it after its usual time again."""
    name, server_ids = _loaded_model()
    results = services().operations.unpin(name, server_ids, actor())
    report(results, _("%(name)s leaves memory after its usual time.", name=name))
    return to_page("admin.now", _anchor="memory")


def _loaded_model() -> tuple[str, list[int]]:
    return request.form.get("model", "")[:256], [request.form.get("server", 0, int)]


def as_row(call: LiveCall) -> dict[str, Any]:
    """Return a running call as the table shows it, for template and script alike."""
    kind, words, icon = _phase(call)
    return {
        "id": call.request_id,
        "key": call.key_name,
        "model": call.model,
        "endpoint": call.endpoint,
        "server": call.server_name,
        "kind": kind,
        "phase": words,
        "icon": icon,
        "tokens": call.tokens,
        "speed": call.tokens_per_s,
        "elapsed_ms": call.elapsed_s * 1000,
        "client": call.client_app or call.client_ip,
        "cancel": url_for("admin.now_cancel", request_id=call.request_id),
    }


def _ticks(parts: Services) -> Iterator[bytes]:
    ends_s = time.monotonic() + STREAM_S
    yield b"retry: 2000\n\n"
    while time.monotonic() < ends_s and not parts.draining.is_set():
        found = {"calls": [as_row(call) for call in parts.live.everywhere()]}
        yield b"event: calls\ndata: " + orjson.dumps(found) + b"\n\n"
        time.sleep(TICK_S)


def _phase(call: LiveCall) -> tuple[str, str, str]:
    words = {
        "queued": ("warning", _("Queued"), "hourglass-split"),
        "loading": ("info", _("Loading"), "memory"),
        "prefill": ("info", _("Reading the prompt"), "book"),
        "thinking": ("info", _("Thinking"), "lightbulb"),
        "answering": ("success", _("Answering"), "chat-square-text"),
    }
    kind, name, icon = words.get(call.phase, ("secondary", call.phase, "activity"))
    if call.phase == "queued" and call.position:
        name = _("Queued, place %(place)s", place=call.position)
    return kind, name, icon


def _per_minute(at: datetime) -> Chart:
    zone = language.zone_info()
    starts = steps(at - timedelta(minutes=59), at, "minute", zone)
    place = {start: index for index, start in enumerate(starts[:-1])}
    tracks = {kind: [0.0] * len(place) for kind in (0, 2, 3, 4, 5)}
    for minute, kind, count in services().store.read_slow(usage_queries.minutes, starts[0]):
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


def _getting_started() -> dict[str, Any]:
    """Return what the first steps need: the newest key, a snippet, and when the page was made."""
    newest = next(iter(services().keys.search(limit=1)), None)
    if newest is None:
        return {"key": None}
    return {"key": newest, "pieces": pieces(newest), "since": int(time.time())}
