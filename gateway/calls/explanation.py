"""What the record of a call says of its parameters and of the request that went to Ollama.

It is made when the call is settled, from what is there by then, and is small whatever was asked:

    params     name → [value, the layer that decided it], as sent; as prepared, if nothing was sent
    changes    [name, reason] of what the caller asked for and did not get
    sent       the model and path, and how many messages of each role, tools, images, characters
    left_out   how many of the first two there was no room for

Only names Ollama and the gateway know stand there, no texts: of those it says the size.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from gateway.calls.prepare import PreparedCall
from gateway.core.chat import (
    ChatRequest,
    CompletionRequest,
    DecisionRequest,
    EmbedRequest,
    Json,
    Media,
    Sendable,
)
from gateway.core.options import KEYS, OPTIONS
from gateway.ollama import wire
from gateway.policy import estimate

R = TypeVar("R", bound=Sendable)

MAX_CHARS: Final = 1_000
_ROOT: Final = (
    "think", "format", "keep_alive", "truncate", "shift", "raw", "logprobs", "top_logprobs",
)  # fmt: skip
_NAMES: Final = (*_ROOT, *OPTIONS, *(name for name in KEYS if name not in {*_ROOT, *OPTIONS}))
_OWN: Final = frozenset(KEYS) - {*_ROOT, *OPTIONS}
"""What the gateway follows itself and does not send."""
_MAX_WORD: Final = 24
_as_stored: Final = json.JSONEncoder(default=str).encode
_MAX_NAME: Final = 128


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it went to Ollama for one choice of a call. `took_step` tells that the context
    window is one of the model's steps."""

    prepared: PreparedCall
    request: Sendable
    choice: int = 0
    took_step: bool = False


def explain(prepared: PreparedCall, sent: Sent | None) -> dict[str, Json]:
    """Return what is described above of a call, at most MAX_CHARS bytes of JSON. `sent` is the last
    request that went to Ollama."""
    params = params_of(prepared, sent)
    asked = (prepared if sent is None else sent.prepared).changes
    changes = {_known(change.name): change.reason for change in asked}
    found: dict[str, Json] = {"params": params}
    if changes:
        found["changes"] = [[name, reason] for name, reason in changes.items()]
    if sent is not None:
        model = sent.prepared.model.name[:_MAX_NAME]
        found["sent"] = {"model": model, **_counts(sent.request, sent.choice)}
    while len(_as_stored(found)) > MAX_CHARS:
        found["left_out"] = found.get("left_out", 0) + 1
        if len(found.get("changes", ())) > len(params):
            found["changes"].pop()
        else:
            params.popitem()
    return found


def params_of(prepared: PreparedCall, sent: Sent | None) -> dict[str, list[Json]]:
    """Return the known parameters in force as name → [value, layer]. A value is None where it was
    for Ollama and is not sent, a layer "" where nobody said it."""
    if sent is None:
        values = _values(prepared.request, 0)
    else:
        prepared, values = sent.prepared, _values(sent.request, sent.choice)
    values |= _followed(prepared)
    layers = prepared.provenance
    found = {
        name: [values.get(name), layers.get(name, "")]
        for name in _NAMES
        if name in values or name in layers
    }
    if sent is not None:
        if sent.took_step:
            found["num_ctx"][1] = "steps"
        if sent.request.params.keep_alive != prepared.request.params.keep_alive:
            found["keep_alive"][1] = "pinned"
    return found


def header_of(params: Mapping[str, Sequence[Json]]) -> str:
    """Return parameters that went to Ollama as `name=value (layer)`, separated by commas: ASCII, at
    most MAX_CHARS."""
    found, room = [], MAX_CHARS
    for name, (value, layer) in params.items():
        if value is None or name in _OWN:
            continue
        entry = f"{name}={_word(value)}" + (f" ({layer})" if layer else "")
        room -= len(entry) + len(", ")
        if room < 0:
            break
        found.append(entry)
    return ", ".join(found).encode("ascii", "replace").decode()


def body_text(sent: Sent, limit: int) -> str:
    """Return the first `limit` characters of the JSON that went to Ollama; the size of a picture or
    sound stands in its place."""
    name = sent.prepared.model.name
    return as_text(wire.body(_without_media(sent.request), name, sent.choice), limit)


def as_text(body: Mapping[str, Json], limit: int) -> str:
    """Return the first `limit` characters of a body as JSON."""
    pieces, room = [], limit
    for piece in json.JSONEncoder(ensure_ascii=False, default=_plain).iterencode(body):
        pieces.append(piece)
        room -= len(piece)
        if room <= 0:
            break
    return "".join(pieces)[:limit]


def _values(request: Sendable, choice: int) -> dict[str, Json]:
    """Return what a request says at the root and in its options, texts by their size."""
    seed_offset = 0
    if isinstance(request, ChatRequest | CompletionRequest):
        seed_offset = choice % request.n
    fields = wire.fields_of(request.params, seed_offset)
    values = {name: _shown(value) for name, value in fields.get("options", {}).items()}
    values |= {name: fields[name] for name in _ROOT if name in fields}
    if "format" in values:
        values["format"] = "json" if request.params.format == "json" else "schema"
    if isinstance(values.get("keep_alive"), str):
        values["keep_alive"] = values["keep_alive"][:_MAX_WORD]
    if request.params.raw is not None:
        values["raw"] = request.params.raw
    return values


def _followed(prepared: PreparedCall) -> dict[str, Json]:
    """Return what the gateway follows itself, texts by their size."""
    return {
        name: _shown(value) if KEYS[name].kind == "text" else value
        for name, value in prepared.said.items()
        if name in _OWN
    }


def _shown(value: Json) -> Json:
    """Return the value of an option, or how many texts it has and of how many characters."""
    texts = value if isinstance(value, list | tuple) else [value]
    if not any(isinstance(text, str) for text in texts):
        return value
    return {"texts": len(texts), "characters": sum(len(str(text)) for text in texts)}


def _word(value: Json) -> str:
    if isinstance(value, dict):
        texts = value["texts"]
        return f"{texts} text{'s' * (texts != 1)} of {value['characters']} characters"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _known(name: str) -> str:
    """Return the name of a change, "…" for one that a caller made up."""
    plain = name.removesuffix("(capped)")
    return name if plain in KEYS or plain == "max_tokens" else "…"


def _counts(request: Sendable, choice: int) -> dict[str, Json]:
    counts: dict[str, Json] = {"path": wire.path_of(request)}
    match request:
        case ChatRequest(messages=messages):
            counts["messages"] = dict(Counter(message.role for message in messages))
            counts["tools"] = len(request.tools)
            counts["images"] = sum(len(message.media) for message in messages)
            texts = [text for message in messages for text in (message.content, message.thinking)]
        case CompletionRequest():
            counts["images"] = len(request.media)
            prompt = request.prompts[choice // request.n]
            texts = [prompt, request.suffix, request.system or "", request.template or ""]
        case EmbedRequest(inputs=inputs):
            counts["texts"] = len(inputs)
            texts = list(inputs)
        case DecisionRequest(questions=questions):
            counts["questions"] = len(questions)
            texts = list(estimate.texts_of(request))
    counts["characters"] = sum(map(len, texts))
    return counts


def _without_media(request: R) -> R:
    if isinstance(request, ChatRequest):
        messages = (
            replace(message, media=_sizes(message.media)) if message.media else message
            for message in request.messages
        )
        return replace(request, messages=tuple(messages))
    if isinstance(request, CompletionRequest) and request.media:
        return replace(request, media=_sizes(request.media))
    return request


def _sizes(media: tuple[Media, ...]) -> tuple[Media, ...]:
    """Return media with their size in the place of their data, which is base64."""
    return tuple(
        replace(one, data=f"({one.kind} of {len(one.data) * 3 // 4} bytes)") for one in media
    )


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
