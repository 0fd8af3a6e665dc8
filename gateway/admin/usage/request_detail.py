"""One request explained: how its time was spent, where its parameters came from, and what helps
when it failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from flask import render_template

from gateway.admin import bp
from gateway.admin.keys.presenters import base_url
from gateway.admin.models.context import LOAD_WORDS, WIDTH, Bar
from gateway.admin.playground.repeat import can_repeat
from gateway.admin.usage import commands
from gateway.admin.usage.advice import advice
from gateway.admin.usage.explained import parts_of, readable, upstream_of
from gateway.admin.usage.filters import list_query, page_filter
from gateway.core.requests import CallDetail, CallRow, Filter
from gateway.store.usage import request_queries
from gateway.web.context import services
from gateway.web.template_filters import duration
from gateway.web.words import _

_LEAST_MS = 0.05
_NEAR = timedelta(days=1)


@bp.get("/requests/<request_id>")
def request_detail(request_id: str) -> str:
    """Explain one call; the address may say the filter of the list it was found in."""
    store = services().store
    call = store.read(request_queries.detail, request_id[:64])
    wanted = _near(page_filter(datetime.now(UTC)).wanted, call.row.at)
    newer, older = store.read_slow(request_queries.neighbours, call.row, wanted)
    upstream = upstream_of(call.explain)
    return render_template(
        "admin/requests/detail.html",
        call=call,
        row=call.row,
        newer=newer,
        older=older,
        list_query=list_query(),
        timeline=timeline(call),
        explained=parts_of(call.explain),
        upstream=upstream,
        can_repeat=can_repeat(call),
        to_gateway=commands.for_gateway(call, base_url()),
        to_ollama=upstream and commands.for_ollama(call, upstream),
        advice=_advice(call.row) if call.row.failed else None,
        load_words=LOAD_WORDS.get(call.row.load_reason, call.row.load_reason),
        readable=readable,
    )


def _near(wanted: Filter, at: datetime) -> Filter:
    """Return the filter; a slow one only for the days around `at`, as its rows are looked at one by
    one."""
    if not wanted.is_slow:
        return wanted
    since, until = at - _NEAR, at + _NEAR
    return replace(
        wanted,
        since=max(wanted.since or since, since),
        until=min(wanted.until or until, until),
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a call's time; `share` is of the whole, 1 is all of it."""

    words: str
    hint: str
    ms: float
    share: float
    bar: Bar


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
        else (_("Gateway"), _("the request never reached Ollama"))
    )
    parts = [
        (_("Queue"), _("until a place on a server was free"), queue, 8),
        (_("Load"), _("Ollama loaded the model into memory"), load, 7),
        (*waits, waiting, 8),
        (_("Prompt"), _("Ollama read the prompt"), prompt, 3),
        (_("Thinking"), _("reasoning"), thinking, 4),
        (_("Answer"), _("generation"), max(0.0, total - until_first - thinking), 1),
    ]
    parts = [part for part in parts if part[2] >= _LEAST_MS]
    starts = accumulate((ms * WIDTH / total for _words, _hint, ms, _colour in parts), initial=0.0)
    return [
        Segment(words, hint, ms, ms / total, _bar(colour, x, ms * WIDTH / total, words, ms))
        for x, (words, hint, ms, colour) in zip(starts, parts, strict=False)
    ]


def _bar(colour: int, x: float, width: float, words: str, ms: float) -> Bar:
    return Bar(colour, round(x, 1), round(max(width, 1.5), 1), f"{words}: {duration(ms)}")


def _advice(call: CallRow) -> tuple[str, str, str] | None:
    return advice(
        call.error_code, key=(call.key_id, call.key_name), model=(call.model_id, call.model)
    )
