"""One call as a story: how its time was spent, and where each parameter came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.chat import Json
from gateway.core.requests import CallDetail
from gateway.web.words import _

_LEAST_MS = 0.05


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a call's time; `start` and `share` are of the whole, 1 is all of it."""

    words: str
    hint: str
    ms: float
    start: float
    share: float
    colour: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in force and which layer decided it."""

    name: str
    value: Json
    layer: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something the caller asked for and did not get."""

    name: str
    reason: str


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
    answering = max(0.0, total - until_first - thinking)
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
        (_("Answer"), _("the model wrote"), answering, 1),
    ]
    found, at = [], 0.0
    for words, hint, ms, colour in parts:
        if ms >= _LEAST_MS:
            found.append(Segment(words, hint, ms, at / total, ms / total, colour))
            at += ms
    return found


def parts_of(explain: Mapping[str, Json]) -> tuple[list[Parameter], list[Change]]:
    """Return the parameters in force and the wishes that were not granted."""
    layers = _mapping(explain.get("from"))
    options = _mapping(explain.get("options"))
    found = [Parameter(name, value, _layer(layers.get(name))) for name, value in options.items()]
    for name in ("think", "format", "keep_alive"):
        if explain.get(name) is not None:
            found.append(Parameter(name, explain[name], _layer(layers.get(name))))
    shown = {parameter.name for parameter in found}
    found += [
        Parameter(name, None, _layer(layer)) for name, layer in layers.items() if name not in shown
    ]
    changes = [
        Change(str(entry[0]), _reason(str(entry[1])))
        for entry in explain.get("changes") or ()
        if isinstance(entry, list | tuple) and len(entry) == 2
    ]
    return sorted(found, key=lambda parameter: parameter.name), changes


def _mapping(value: Any) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _layer(word: Json) -> str:
    words = {
        "force:key": _("fixed by the key"),
        "force:alias": _("fixed by the name"),
        "force:model": _("fixed by the model"),
        "request": _("the request"),
        "alias": _("the name's parameters"),
        "model": _("the model's parameters"),
        "key": _("the key's defaults"),
        "default": _("the gateway's settings"),
    }
    return words.get(str(word), str(word or "–"))


def _reason(word: str) -> str:
    words = {
        "forced": _("another value is fixed"),
        "capped": _("cut to the upper limit"),
        "not allowed": _("clients may not set this"),
        "unknown": _("not known to Ollama"),
        "no use": _("no use for this model"),
    }
    return words.get(word, word)
