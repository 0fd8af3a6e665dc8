"""Requests: every call, newest first, and one call explained: how its time was spent, where each
parameter came from, and what helps when it failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from flask import Response, jsonify, render_template, request, url_for

from gateway import dialects
from gateway.admin import bp
from gateway.admin.keys.presenters import base_url
from gateway.admin.models.context import LOAD_WORDS
from gateway.admin.repeat import can_repeat
from gateway.admin.usage import commands
from gateway.admin.usage.explained import parts_of, upstream_of
from gateway.admin.usage.explorer import filter_choices, page_filter
from gateway.core.requests import CallDetail, CallRow, Filter
from gateway.dialects.models import MODELS
from gateway.reports.filters import cursor, read_cursor
from gateway.store.usage import request_queries
from gateway.web.context import services
from gateway.web.words import _

LIMIT = 50
SLOW_DAYS = 30
"""How far back is looked for what no index knows, unless a time is chosen."""
_LIVE_LIMIT = 100
ENDPOINTS = tuple(one.name for one in dialects.ENDPOINTS if one.scope != MODELS.name)
_LEAST_MS = 0.05
_LIMITS = frozenset({"rate_limit_exceeded", "insufficient_quota", "concurrency_limit_exceeded"})
_AWAY = frozenset({"upstream_unreachable", "upstream_disconnected", "no_upstream_available"})
_SLOW = frozenset({"upstream_timeout", "upstream_busy"})


@bp.get("/requests")
def requests() -> str:
    """List calls by the filter in the address."""
    wanted, is_bounded = _bounded(datetime.now(UTC))
    place = read_cursor(request.args.get("after", ""))
    store = services().store
    calls = store.read_slow(request_queries.page, wanted, older_than=place, limit=LIMIT + 1)
    shown = calls[:LIMIT]
    return render_template(
        "admin/requests/list.html",
        calls=shown,
        wanted=wanted,
        older=cursor(shown[-1]) if len(calls) > LIMIT else None,
        is_first=place is None,
        is_bounded=is_bounded,
        slow_days=SLOW_DAYS,
        is_filtered=bool(set(request.args) - {"after"}),
        **filter_choices(),
        endpoints=ENDPOINTS,
    )


@bp.get("/requests/newer.json")
def requests_newer() -> Response:
    """Return the calls that came after `id`, as table rows, for the live tail."""
    wanted = page_filter(datetime.now(UTC))
    newest = max(0, min(request.args.get("than", 0, int), 2**62))
    calls = services().store.read(
        request_queries.page, wanted, newer_than_id=newest, limit=_LIVE_LIMIT
    )
    return jsonify(
        newest=max((call.id for call in calls), default=newest),
        rows=render_template("admin/requests/newer.html", calls=calls),
    )


@bp.get("/requests/<request_id>")
def request_detail(request_id: str) -> str:
    """Explain one call."""
    call = services().store.read(request_queries.detail, request_id[:64])
    upstream = upstream_of(call.explain)
    return render_template(
        "admin/requests/detail.html",
        call=call,
        row=call.row,
        timeline=timeline(call),
        explained=parts_of(call.explain),
        upstream=upstream,
        can_repeat=can_repeat(call),
        to_gateway=commands.for_gateway(call, base_url()),
        to_ollama=upstream and commands.for_ollama(call, upstream),
        advice=advice(call.row) if call.row.failed else None,
        load_words=LOAD_WORDS.get(call.row.load_reason, call.row.load_reason),
    )


def _bounded(now: datetime) -> tuple[Filter, bool]:
    """Return the filter of the address, and whether it was bounded in time."""
    wanted = page_filter(now)
    if wanted.since is not None or not wanted.is_slow:
        return wanted, False
    return replace(wanted, since=now - timedelta(days=SLOW_DAYS)), True


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a call's time; `share` is of the whole, 1 is all of it."""

    words: str
    hint: str
    ms: float
    share: float
    colour: int


def timeline(call: CallDetail) -> list[Segment]:
    """Return the parts of a call's time in order; () while it runs or nothing is known."""
    total = call.row.duration_ms
    if not call.row.settled or total <= 0:
        return []
    first = call.row.first_token_ms
    answer = min(call.first_answer_ms or total, total)
    queue, load, prompt = call.queue_ms or 0.0, call.load_ms or 0.0, call.prompt_ms or 0.0
    until_first = total if first is None else min(first, total)
    known = queue + load + prompt
    scale = until_first / known if known > until_first else 1.0
    queue, load, prompt = queue * scale, load * scale, prompt * scale
    waiting = max(0.0, until_first - queue - load - prompt)
    thinking = max(0.0, answer - until_first) if call.row.had_thinking and first else 0.0
    waits = (
        (_("Waiting"), _("network and Ollama's own queue"))
        if call.upstream_calls
        else (_("Gateway"), _("the call never reached Ollama"))
    )
    parts = [
        (_("Queue"), _("until a place on a server was free"), queue, 8),
        (_("Load"), _("Ollama loaded the model into memory"), load, 7),
        (*waits, waiting, 8),
        (_("Prompt"), _("Ollama read the prompt"), prompt, 3),
        (_("Thinking"), _("the model thought"), thinking, 4),
        (_("Answer"), _("the model wrote"), max(0.0, total - until_first - thinking), 1),
    ]
    return [
        Segment(words, hint, ms, ms / total, colour)
        for words, hint, ms, colour in parts
        if ms >= _LEAST_MS
    ]


def advice(call: CallRow) -> tuple[str, str, str] | None:
    """Return what helps against the failure of `call`, the name of the page where it can be done,
    and its address; None where nothing sure can be said."""
    code = call.error_code
    if code in _LIMITS and call.key_id:
        return (
            _("The key used up what it may. Raise its limits, or let the app call less often."),
            _("Limits of %(name)s", name=call.key_name),
            url_for("admin.key_edit", key_id=call.key_id, open="limits"),
        )
    if code == "model_access_denied" and call.key_id:
        link = _("Models of %(name)s", name=call.key_name)
        url = url_for("admin.key_edit", key_id=call.key_id)
        return _("The key may not use this model."), link, url
    if code == "model_not_found":
        words = _("Pull the model, or give this name to one you have, as a further name.")
        return words, _("Models"), url_for("admin.models")
    if code == "context_length_exceeded":
        words = _("Give the model a larger num_ctx, or let the app send less.")
        if call.model_id is None:
            return words, _("Models"), url_for("admin.models")
        place = url_for("admin.model_parameters", model_id=call.model_id)
        return words, _("Parameters of %(name)s", name=call.model), place
    if code in _AWAY:
        words = _("Look whether Ollama runs there and can be reached; a test says what is wrong.")
        return words, _("Servers"), url_for("admin.servers")
    if code in _SLOW:
        words = _("Ollama was busy or slow: look at what is loaded and running.")
        return words, _("Now"), url_for("admin.now")
    return None
