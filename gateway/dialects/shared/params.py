"""Everything in a body that steers the answer, in Ollama's names
(docs/contract/parameters.md).

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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import orjson

from gateway.core import readers
from gateway.core.chat import EMPTY, Json, Params
from gateway.core.options import NOT_AT_ROOT, OPTIONS, Option
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

MAX_STOPS = 256


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
_LIFTED = {"think", "keep_alive", "keepAlive", "format"}
_OPTION_ALIASES = {"stop_sequences": "stop"}
_TIMEOUTS = ("timeout_ms", "timeoutMs", "request_timeout", "requestTimeout")
_KEEP_ALIVES = ("keep_alive", "keepAlive")
_NO_OPTIONS = frozenset(
    {*THINKING_NAMES, *_TIMEOUTS, *_KEEP_ALIVES, "format", "guided_json", "structured_outputs",
     "truncate", "shift", "raw", "options", "metadata"}
)  # fmt: skip
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
    layers = _layers(body, own)
    params = Params(options=_ranked(layers, named))
    ignored: list[str] = []
    for layer in reversed(layers):
        params = _laid_over(params, layer)
        ignored += _unknown_template_words(layer)
    return params, tuple(ignored)


def read_options(body: Mapping[str, Json], named: Mapping[str, Option]) -> Mapping[str, Json]:
    """Return Ollama's `options` by the rank of the places they stand in; unknown ones are kept."""
    return _ranked(_layers(body), named)


def read_keep_alive(body: Mapping[str, Json]) -> float | str | None:
    """Return how long the model stays loaded: seconds, or a Go duration (D47)."""
    for layer in _layers(body):
        value = _keep_alive(layer)
        if value is not None:
            return value
    return None


def read_timeout_ms(body: Mapping[str, Json]) -> int | None:
    """Return the time limit of the whole call; 0 is none (D45)."""
    return _first(_timeout_ms(layer) for layer in _layers(body))


def read_flag(body: Mapping[str, Json], name: str) -> bool | None:
    """Return a boolean from the root or from `extra_body`."""
    return _first(layer.flag(name) for layer in _layers(body))


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
    """Return the value of an option in the type Ollama wants; of an unknown one as it is.

    Raises InvalidRequest: Ollama itself answers 500 to a wrong type (F4).
    """
    if option is None:
        return value
    found = checked(readers.read, value, param, option)
    if option.kind == "stop" and len(found) > MAX_STOPS:
        raise invalid(f"{param!r} may hold at most {MAX_STOPS} strings.", param)
    return found


def _layers(body: Mapping[str, Json], own: Collection[str] = ()) -> tuple[Fields, ...]:
    """Return the root and, below it, a literal `extra_body`; without the names in `own`."""
    root = Fields(body)
    extra = root.fields("extra_body")
    layers = (root,) if extra is None else (root, extra)
    if not own:
        return layers
    return tuple(
        Fields({name: value for name, value in layer.raw.items() if name not in own}, layer.where)
        for layer in layers
    )


def _ranked(layers: Sequence[Fields], named: Mapping[str, Option]) -> Mapping[str, Json]:
    """Return the options of the layers, the first one strongest."""
    found: dict[str, Json] = {}
    for layer in reversed(layers):
        found.update(_options(layer, named))
    return found or EMPTY


def _options(layer: Fields, named: Mapping[str, Option]) -> dict[str, Json]:
    """Return the options of one layer: `options`, then vendor names, then Ollama's at the root."""
    found: dict[str, Json] = {}
    listed = layer.fields("options")
    if listed is not None:
        for name, value in listed.raw.items():
            if value is not None and name not in _LIFTED:
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
    thinking = read_thinking(layer) or _lifted(layer, "think", read_think)
    said = {
        "think": thinking.think if thinking else None,
        "format": _format(layer),
        "keep_alive": _keep_alive(layer),
        "truncate": layer.flag("truncate"),
        "shift": layer.flag("shift"),
        "timeout_ms": _timeout_ms(layer),
        "hide_thinking": read_hiding(layer),
        "raw": layer.flag("raw"),
    }
    changes = {name: value for name, value in said.items() if value is not None}
    if thinking:
        changes["effort"] = thinking.effort
    return replace(below, **changes) if changes else below


def _format(layer: Fields) -> Json:
    value = layer.get("format")
    if value is not None:
        return read_format(value, layer.path("format"))
    value = layer.get("guided_json")
    if value is not None:
        return read_format(_parsed(value), layer.path("guided_json"))
    structured = layer.fields("structured_outputs")
    if structured is not None and structured.get("json") is not None:
        return read_format(_parsed(structured.get("json")), structured.path("json"))
    return _lifted(layer, "format", read_format)


def _parsed(schema: Json) -> Json:
    """vLLM also takes a schema as JSON text."""
    if not isinstance(schema, str):
        return schema
    try:
        return orjson.loads(schema)
    except orjson.JSONDecodeError:
        return schema


def _keep_alive(layer: Fields) -> float | str | None:
    """Look at the root, in `options`, in `metadata`."""
    for place in (layer, layer.fields("options"), _metadata(layer)):
        if place is not None:
            for name in _KEEP_ALIVES:
                if place.get(name) is not None:
                    return checked(readers.duration, place.get(name), place.path(name))
    return None


def _timeout_ms(layer: Fields) -> int | None:
    """Look at the root, then in `metadata`."""
    for place in (layer, _metadata(layer)):
        if place is not None:
            for name in _TIMEOUTS:
                if place.get(name) is not None:
                    return place.integer(name, 0)
    return None


def _metadata(layer: Fields) -> Fields | None:
    value = layer.get("metadata")
    return Fields(value, layer.path("metadata")) if isinstance(value, Mapping) else None


def _lifted(layer: Fields, name: str, reader: Callable[[Json, str], T]) -> T | None:
    """Read a name that stands in `options` but is none."""
    options = layer.fields("options")
    value = None if options is None else options.get(name)
    return None if value is None else reader(value, f"{layer.path('options')}.{name}")


def _first(found: Iterable[T | None]) -> T | None:
    return next((value for value in found if value is not None), None)


def _unknown_template_words(layer: Fields) -> list[str]:
    words = layer.fields("chat_template_kwargs")
    if words is None:
        return []
    return [
        words.path(label(name))
        for name, value in words.raw.items()
        if name not in TEMPLATE_WORDS and value is not None
    ]
