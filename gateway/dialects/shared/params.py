"""Everything in a body that steers the answer, in Ollama's names (docs/contract/parameters.md).

One body holds up to five places for a value. From weak to strong (D44):

    extra_body.options      a literal `extra_body`, as raw HTTP users send it
    extra_body              read like the root
    options                 Ollama's own object
    vendor names            `temperature`, `max_tokens`, ...: each dialect brings its table
    Ollama names            `num_ctx`, `num_predict`, ... at the root

What is not an option (`think`, `keep_alive`, time limits, ...) is looked for at the root, then in
`options`, then in `metadata`, then in the same places of `extra_body`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import orjson

from gateway.core import readers
from gateway.core.chat import EMPTY, Json, Params
from gateway.core.options import KEYS, NOT_AT_ROOT, OPTIONS, SPELLINGS, Option
from gateway.dialects.shared.reading import Fields, checked, invalid, label, wrong_type
from gateway.dialects.shared.schema_refs import inline_refs
from gateway.dialects.shared.thinking import (
    TEMPLATE_WORDS,
    THINKING_NAMES,
    read_hiding,
    read_think,
    read_thinking,
)

T = TypeVar("T")

MAX_STOPS = 64
MAX_STOP_CHARS = 1_024


def bounded(option: str, low: float, high: float | None = None) -> Option:
    """Return an option with a vendor's own range."""
    return replace(OPTIONS[option], low=low, high=high)


OPENAI_NAMES: Mapping[str, Option] = {
    "temperature": bounded("temperature", 0, 2),
    "top_p": OPTIONS["top_p"],
    "presence_penalty": bounded("presence_penalty", -2, 2),
    "frequency_penalty": bounded("frequency_penalty", -2, 2),
    "seed": OPTIONS["seed"],
    "stop": OPTIONS["stop"],
    "max_tokens": OPTIONS["num_predict"],
    "max_completion_tokens": OPTIONS["num_predict"],
}
"""Vendor names of options in chat completions and completions; where two name one option the later
one wins."""

_OTHER_VENDORS = {"repetition_penalty": OPTIONS["repeat_penalty"]}
_AT_ROOT = tuple(name for name in OPTIONS if name not in NOT_AT_ROOT)
_NOT_OPTIONS = {*KEYS, *SPELLINGS} - {*OPTIONS}
"""What overrides may say is no option of Ollama, and callers say some of it elsewhere only."""
_OPTION_ALIASES = {"stop_sequences": "stop"}
_TIMEOUTS = ("timeout_ms", "timeoutMs", "request_timeout", "requestTimeout")
_KEEP_ALIVES = ("keep_alive", "keepAlive")
FOR_ANSWERS = frozenset(
    {*THINKING_NAMES, "format", "guided_json", "structured_outputs", "shift", "raw"}
)
"""Names that mean nothing where no text is made."""
_NO_OPTIONS = FOR_ANSWERS | {*_TIMEOUTS, *_KEEP_ALIVES, "truncate", "options", "metadata"}
"""Where `_laid_over` looks: most bodies have none of them."""


def root_of(body: Mapping[str, Json]) -> Fields:
    """Return the root of a body, with what `extra_body` holds laid under it.

    For fields that are no parameters: `tools`, `response_format`, ... Nulls at the root count as
    absent. Raises InvalidRequest.
    """
    extra = Fields(body).fields("extra_body")
    if extra is None:
        return Fields(body)
    said = {name: value for name, value in body.items() if value is not None}
    return Fields({**extra.raw, **said})


def read_params(
    body: Mapping[str, Json], named: Mapping[str, Option], own: Collection[str] = ()
) -> tuple[Params, tuple[str, ...]]:
    """Return the parameters of a body and the field paths that were ignored with notice.

    `named` is the dialect's table of vendor names, weakest first. `own` are names that mean
    something else in this dialect and are left to it. Raises InvalidRequest.
    """
    root = Fields(body)
    extra = root.fields("extra_body")
    params = Params()
    ignored: list[str] = []
    options: dict[str, Json] = {}
    for layer in (root,) if extra is None else (extra, root):
        if own:
            said = {name: value for name, value in layer.raw.items() if name not in own}
            layer = Fields(said, layer.where)
        options.update(_options(layer, named))
        params = _laid_over(params, layer)
        words = layer.fields("chat_template_kwargs")
        if words is not None:
            ignored += [
                words.path(label(name))
                for name, value in words.raw.items()
                if name not in TEMPLATE_WORDS and value is not None
            ]
    return replace(params, options=options or EMPTY), tuple(ignored)


def read_format(value: Json, param: str) -> Json:
    """Read Ollama's `format`: "json" or a schema, whose references are resolved."""
    if isinstance(value, Mapping):
        return inline_refs(value)
    if value in ("", "json"):
        return value or None
    if isinstance(value, str):
        raise invalid(f'{param!r} must be "json" or a schema.', param)
    raise wrong_type(param, '"json" or a schema object', value)


def _check_option(option: Option | None, value: Json, param: str) -> Json:
    """Return a value in the type Ollama wants; it answers 500 to any other (F4)."""
    if option is None:
        return value
    found = checked(readers.read, value, param, option)
    if option.kind == "stop" and (
        len(found) > MAX_STOPS or any(len(stop) > MAX_STOP_CHARS for stop in found)
    ):
        most = f"{MAX_STOPS} strings of at most {MAX_STOP_CHARS} characters"
        raise invalid(f"{param!r} may hold at most {most}.", param)
    return found


def _options(layer: Fields, named: Mapping[str, Option]) -> dict[str, Json]:
    """Return the options of one layer: `options`, then vendor names, then Ollama's at the root."""
    found: dict[str, Json] = {}
    listed = layer.fields("options")
    if listed is not None:
        for name, value in listed.raw.items():
            if value is not None and name not in _NOT_OPTIONS:
                option = _OPTION_ALIASES.get(name, name)
                found[option] = _check_option(OPTIONS.get(option), value, listed.path(name))
    raw = layer.raw
    for table in (_OTHER_VENDORS, named):
        for name, vendor in table.items():
            if name in raw and (value := raw[name]) is not None:
                found[vendor.name] = _check_option(vendor, value, layer.path(name))
    for name in _AT_ROOT:
        if name in raw and name not in named and (value := raw[name]) is not None:
            found[name] = _check_option(OPTIONS[name], value, layer.path(name))
    if found.get("stop") == []:
        # An empty list would switch off the stop strings of the Modelfile.
        del found["stop"]
    return found


def _laid_over(below: Params, layer: Fields) -> Params:
    """Return `below` with everything one layer says that is no option."""
    if _NO_OPTIONS.isdisjoint(layer.raw):
        return below
    options = layer.fields("options")
    metadata = layer.get("metadata")
    beside = Fields(metadata, layer.path("metadata")) if isinstance(metadata, Mapping) else None
    thinking = read_thinking(layer) or _read(read_think, _said((options,), ("think",)))
    keep_alive = _said((layer, options, beside), _KEEP_ALIVES)
    timeout = _said((layer, beside), _TIMEOUTS)
    said = {
        "think": thinking.think if thinking else None,
        "effort": thinking.effort if thinking else None,
        "format": _format(layer, options),
        "keep_alive": keep_alive and checked(readers.duration, *keep_alive),
        "truncate": layer.flag("truncate"),
        "shift": layer.flag("shift"),
        "timeout_ms": timeout and checked(readers.integer, *timeout, 0),
        "hide_thinking": read_hiding(layer),
        "raw": layer.flag("raw"),
    }
    return replace(below, **{name: value for name, value in said.items() if value is not None})


def _format(layer: Fields, options: Fields | None) -> Json:
    found = _said((layer,), ("format",))
    schema = _said((layer,), ("guided_json",)) or _said(
        (layer.fields("structured_outputs"),), ("json",)
    )
    if found is None and schema is not None:
        found = (_parsed(schema[0]), schema[1])
    return _read(read_format, found or _said((options,), ("format",)))


def _said(places: Iterable[Fields | None], names: Iterable[str]) -> tuple[Json, str] | None:
    """Return the first value that stands anywhere, and its path."""
    for place in places:
        for name in names:
            if place is not None and place.get(name) is not None:
                return place.get(name), place.path(name)
    return None


def _read(reader: Callable[[Json, str], T], said: tuple[Json, str] | None) -> T | None:
    return None if said is None else reader(*said)


def _parsed(schema: Json) -> Json:
    """vLLM also takes a schema as JSON text."""
    if not isinstance(schema, str):
        return schema
    try:
        return orjson.loads(schema)
    except orjson.JSONDecodeError:
        return schema
