"""Context and loads: was anything cut, who has models loaded again, which windows to set; and what
was in the memory of each server when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import abort, render_template
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.reports import context as reports
from gateway.reports.context import Totals
from gateway.store.usage.memory import Span
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.template_filters import duration, num
from gateway.web.words import _, _l, ngettext

LOAD_WORDS: Mapping[str, str] = {
    "first": _l("it was not seen in memory before"),
    "idle": _l("its time in memory was over"),
    "evicted": _l("another model had taken its place"),
    "unloaded": _l("it had been unloaded"),
    "restarted": _l("the server had been away"),
    "window": _l("another window was asked for"),
    "options": _l("other options for loading were sent"),
    "other": _l("its process had ended"),
}
END_WORDS: Mapping[str, str] = {
    "": _l("is in memory"),
    "idle": _l("its time was over"),
    "evicted": _l("displaced"),
    "unloaded": _l("unloaded"),
    "window": _l("loaded with another window"),
}
POLICY_WORDS: Mapping[str, str] = {
    "error": _l("refused"),
    "grow": _l("the window grows"),
    "allow": _l("cut in silence"),
}
WIDTH = 1_000.0
_COLOURS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a time as it is drawn: `x` and `width` are of the whole, which is WIDTH wide."""

    colour: int
    x: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class Track:
    """The stays of one model on one server, and its colour."""

    model: str
    colour: int
    bars: tuple[Bar, ...]
    spans: tuple[Span, ...]


@bp.get("/models/context")
def context() -> str:
    """Show the windows of models, their loads, and the memory of servers."""
    parts, at = services(), datetime.now(UTC)
    found = reports.report(parts.store, parts.catalog, parts.settings.behaviour(), at)
    names = {server.id: server.name for server in parts.catalog.servers()}
    return render_template(
        "admin/models/context.html",
        report=found,
        days=reports.DAYS,
        sentence=sentence(found.totals),
        policies=POLICY_WORDS,
        load_words=LOAD_WORDS,
        ending=ending,
        memory=[
            (names[server_id], begin(spans, at), tracks(spans, at))
            for server_id in sorted({span.server_id for span in found.memory})
            if server_id in names
            and (spans := [span for span in found.memory if span.server_id == server_id])
        ],
    )


@bp.post("/models/<id:model_id>/context")
def context_apply(model_id: int) -> AnyResponse:
    """Set the steps that are proposed for a model."""
    parts = services()
    found = parts.catalog.model(model_id)
    steps = reports.proposal(parts.store, found, parts.settings.behaviour(), datetime.now(UTC))
    if not steps:
        abort(400)
    override = {**found.override, "context_steps": list(steps), "context_policy": "grow"}
    parts.models.update(model_id, {"override": override}, actor(), _("windows as proposed"))
    words = _(
        "%(name)s gets a window of %(steps)s tokens from the next request on.",
        name=found.display_name,
        steps=_joined(steps),
    )
    return to_page("admin.context", words)


def summary(at: datetime) -> str:
    """Return the loads of the week and the prompts that were cut, "" where all was well."""
    found = reports.totals(services().store, at)
    words = [sentence(found)] if found.reloads else []
    if found.cut:
        words.append(
            ngettext(
                "%(num)d prompt was probably cut.", "%(num)d prompts were probably cut.", found.cut
            )
        )
    return " ".join(words)


def sentence(found: Totals) -> str:
    """Return the loads of the week in one sentence."""
    if not found.loads:
        return _("No request had to wait for a model to be loaded.")
    words = ngettext(
        "%(num)d load this week; requests waited %(time)s for it.",
        "%(num)d loads this week; requests waited %(time)s for them.",
        found.loads,
        time=duration(found.load_ms),
    )
    if found.window_loads:
        words += " " + ngettext(
            "%(num)d of them because requests asked for different windows.",
            "%(num)d of them because requests asked for different windows.",
            found.window_loads,
        )
    return words


def tracks(spans: Sequence[Span], at: datetime) -> list[Track]:
    """Return the stays of the models of one server, those that were there longest first."""
    since = begin(spans, at)
    by_model: dict[str, list[Span]] = {}
    for span in spans:
        by_model.setdefault(span.model, []).append(span)
    longest = sorted(
        by_model, key=lambda model: -sum(_share(span, since, at)[1] for span in by_model[model])
    )
    return [
        Track(
            model,
            number % _COLOURS + 1,
            tuple(_bar(span, number % _COLOURS + 1, since, at) for span in by_model[model]),
            tuple(reversed(by_model[model])),
        )
        for number, model in enumerate(longest)
    ]


def begin(spans: Sequence[Span], at: datetime) -> datetime:
    """Return where the drawing of some stays begins: at the first, if that is no longer ago than
    stays are kept."""
    first = min((span.started_at for span in spans), default=at)
    return max(first, at - timedelta(days=reports.DAYS))


def _bar(span: Span, colour: int, since: datetime, at: datetime) -> Bar:
    x, width = _share(span, since, at)
    lasted = ((span.ended_at or at) - span.started_at).total_seconds() * 1000
    words = [f"{span.model}: {duration(lasted)}"]
    if span.context_tokens:
        words.append(_("window of %(count)s", count=num(span.context_tokens)))
    words.append(ending(span))
    return Bar(colour, round(x, 1), round(max(width, 1.5), 1), ", ".join(words))


def ending(span: Span) -> str:
    """Return how a stay ended, in words."""
    if span.evicted_by:
        return _("displaced by %(names)s", names=span.evicted_by)
    return str(END_WORDS.get(span.end_reason if span.ended_at else "", span.end_reason))


def _share(span: Span, since: datetime, at: datetime) -> tuple[float, float]:
    whole = max((at - since).total_seconds(), 1.0)
    begun = max((span.started_at - since).total_seconds(), 0.0)
    ended = ((span.ended_at or at) - since).total_seconds()
    return begun * WIDTH / whole, max(ended - begun, 0.0) * WIDTH / whole


def _joined(steps: Sequence[int]) -> str:
    return " / ".join(num(step) for step in steps)
