"""One call explained: the parameters in force, who decided them, and what went to Ollama."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.chat import Json
from gateway.core.options import OPTIONS
from gateway.web.template_filters import num
from gateway.web.words import _, _l

_LAYERS: Mapping[str, str] = {
    "force:key": _l("fixed by the key"),
    "force:alias": _l("fixed by the name"),
    "force:model": _l("fixed by the model"),
    "request": _l("the request"),
    "alias": _l("the name's parameters"),
    "model": _l("the model's parameters"),
    "key": _l("the key's defaults"),
    "default": _l("the gateway's settings"),
    "steps": _l("the steps of the context window"),
    "cap": _l("the upper limit"),
    "budget": _l("what is left of a budget"),
    "pinned": _l("the model is pinned"),
}
_REASONS: Mapping[str, str] = {
    "forced": _l("another value is fixed"),
    "capped": _l("cut to the upper limit"),
    "not allowed": _l("clients may not set this"),
    "unknown": _l("not known to Ollama"),
    "no use": _l("no use for this model"),
}
_AT_ROOT = ("think", "format", "keep_alive", "truncate", "shift", "raw")


def parts_of(
    explain: Mapping[str, Json],
) -> tuple[Sequence[tuple[str, str, str]], Sequence[tuple[str, str]]]:
    """Return the parameters in force as (name, value, the layer that decided it), by name; and what
    the caller asked for and did not get, as (name, reason)."""
    found = [
        (name, _shown(value), _in_words(layer or "–", _LAYERS))
        for name, (value, layer) in sorted(_params(explain).items())
    ]
    changes = [
        (str(entry[0]), _in_words(entry[1], _REASONS))
        for entry in explain.get("changes") or ()
        if _is_pair(entry)
    ]
    return found, changes


def readable(kept: str) -> str:
    """Return a JSON body that was kept, indented; what is none, or was cut, as it is."""
    try:
        return json.dumps(json.loads(kept), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return kept


def fields_of(explain: Mapping[str, Json]) -> dict[str, Json]:
    """Return what went to Ollama beside the texts, as the JSON said it: a schema and what has texts
    is left out."""
    said = {name: value for name, (value, _layer) in _params(explain).items()}
    plain = {
        name: value
        for name, value in said.items()
        if value is not None and not isinstance(value, Mapping)
    }
    fields = {name: plain[name] for name in _AT_ROOT if name in plain}
    if fields.get("format") == "schema":
        del fields["format"]
    options = {name: value for name, value in plain.items() if name in OPTIONS}
    return fields | ({"options": options} if options else {})


@dataclass(frozen=True, slots=True)
class Upstream:
    """What went to Ollama, without its texts. `messages` are (role, how many)."""

    model: str
    path: str
    fields: Mapping[str, Json]
    messages: Sequence[tuple[str, int]] = ()
    counts: Sequence[tuple[str, str]] = ()


def upstream_of(explain: Mapping[str, Json]) -> Upstream | None:
    """Return what went to Ollama; None where nothing did."""
    sent = explain.get("sent")
    if not isinstance(sent, Mapping):
        return None
    roles = sent.get("messages")
    words = {
        "tools": _("Tools"),
        "images": _("Images"),
        "texts": _("Texts"),
        "questions": _("Questions"),
        "characters": _("Characters"),
    }
    return Upstream(
        model=str(sent.get("model", "")),
        path=str(sent.get("path", "")),
        fields=fields_of(explain),
        messages=tuple(roles.items()) if isinstance(roles, Mapping) else (),
        counts=[
            (words[name], num(sent[name])) for name in words if isinstance(sent.get(name), int)
        ],
    )


def _params(explain: Mapping[str, Json]) -> dict[str, tuple[Json, str]]:
    params = explain.get("params")
    if not isinstance(params, Mapping):
        return {}
    return {
        str(name): (entry[0], str(entry[1])) for name, entry in params.items() if _is_pair(entry)
    }


def _shown(value: Json) -> str:
    if value is None:
        return _("not sent")
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return _(
        "texts: %(texts)s, characters: %(characters)s",
        texts=value.get("texts"),
        characters=value.get("characters"),
    )


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, list | tuple) and len(entry) == 2


def _in_words(word: Json, known: Mapping[str, str]) -> str:
    return str(known.get(str(word), word))
