"""The parts of pages that are live: which topics each is drawn from, and how. Each is drawn by the
template that the page itself includes, in the language and the time zone of who looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from flask import render_template, request

from gateway.admin import dashboard, figures, memory, status
from gateway.admin.keys import presenters
from gateway.admin.live.topics import Minutes, RequestLog
from gateway.admin.models import detail
from gateway.admin.models.list import job_rows
from gateway.admin.usage.filters import list_query, page_filter
from gateway.calls.registry import LiveCall
from gateway.core.catalog import Model
from gateway.core.requests import CallRow
from gateway.management.model_jobs import Pull
from gateway.reports.dashboard import Dashboard
from gateway.schemas.server import ServerView
from gateway.store.usage import request_queries
from gateway.web.context import services

Drawn: TypeAlias = str | Mapping[str, str]
"""HTML; or rows of HTML by their id, of which only those are sent that changed."""
_TAIL = 30


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: `draw` gets the values of `topics`."""

    topics: tuple[str, ...]
    draw: Callable[..., Drawn]


def _header(servers: Sequence[ServerView], calls: Sequence[LiveCall], jobs: Sequence[Pull]) -> str:
    return render_template("header.html", header=status.header(servers, calls, jobs))


def _active(calls: Sequence[LiveCall], log: RequestLog) -> str:
    rows = dashboard.active_rows(calls, log.running)
    return render_template("admin/dashboard/active.html", active=rows)


def _tiles(report: Dashboard) -> str:
    return render_template("admin/dashboard/tiles.html", tiles=figures.tiles(report))


def _chart(minutes: Minutes) -> str:
    chart = dashboard.per_minute(minutes.at, minutes.counts)
    return render_template("admin/dashboard/chart.html", minutes=chart)


def _memory(servers: Sequence[ServerView], _minute: int) -> str:
    return render_template("admin/dashboard/memory.html", memory=memory.cards(servers))


def _errors(failures: Sequence[CallRow], _minute: int) -> str:
    return render_template("admin/dashboard/errors.html", errors=dashboard.grouped(failures))


def _jobs(jobs: Sequence[Pull]) -> str:
    rows = job_rows(jobs, request.args.get("model", "")[:256])
    with_buttons = "bare" not in request.args
    return render_template("admin/models/live_jobs.html", jobs=rows, with_buttons=with_buttons)


def _model_state(_servers: Sequence[ServerView], _jobs: Sequence[Pull]) -> str:
    return _of_model("admin/models/state.html", lambda found: {})


def _model_access(_servers: Sequence[ServerView], _jobs: Sequence[Pull]) -> str:
    return _of_model("admin/models/access.html", detail.access_of)


def _of_model(template: str, more: Callable[[Model], Mapping[str, object]]) -> str:
    """Return a part of a model's page; "" for one that was deleted meanwhile."""
    model_id = request.args.get("model_id", 0, int)
    found = next((one for one in services().catalog.models() if one.id == model_id), None)
    if found is None:
        return ""
    now = detail.state_now(found)
    return render_template(template, model=found, state_now=now, **more(found))


def _tail(log: RequestLog) -> Mapping[str, str]:
    """Return the newest requests that fit the filter of the address, and those that ended."""
    wanted, store = page_filter(datetime.now(UTC)).wanted, services().store
    newest = store.read(request_queries.page, wanted, limit=_TAIL)
    ended = store.read(request_queries.page, wanted, among=log.ended, limit=len(log.ended))
    found = {call.id: call for call in (*newest, *ended)}
    query = list_query()
    return {
        str(call.id): render_template("admin/requests/newer.html", calls=[call], list_query=query)
        for call in found.values()
    }


def _first_call(_log: RequestLog) -> str:
    key_id = request.args.get("key_id", 0, int)
    first = presenters.first_call(key_id, request.args.get("since", 0, int))
    return render_template("admin/keys/first_call.html", first=first)


PARTS: Mapping[str, Part] = {
    "header": Part(("servers", "calls", "jobs"), _header),
    "tiles": Part(("figures",), _tiles),
    "chart": Part(("minutes",), _chart),
    "active": Part(("calls", "requests"), _active),
    "memory": Part(("servers", "minute"), _memory),
    "errors": Part(("failures", "minute"), _errors),
    "jobs": Part(("jobs",), _jobs),
    "model_state": Part(("servers", "jobs"), _model_state),
    "model_access": Part(("servers", "jobs"), _model_access),
    "tail": Part(("requests",), _tail),
    "first_call": Part(("requests",), _first_call),
}
