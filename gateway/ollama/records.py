"""One line of Ollama's stream as typed values, read strictly first and leniently when that fails.

`read_line` decodes the shape Ollama documents, fast; `salvage` takes a line whose JSON is sound but
whose types are not and keeps what makes sense. Neither knows of streams.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.core.chat import Json
from gateway.core.events import TokenLogprob

MAX_COUNT: Final = 2**53
WHOLE_NUMBER: Final = re.compile(r"[+-]?\d{1,15}")
ABSENT: Final = msgspec.Raw(b"")


class Function(msgspec.Struct):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class Call(msgspec.Struct):
    function: Function
    id: str | None = None


class Said(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(msgspec.Struct):
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None
    done: bool | None = False
    error: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT


class Last(msgspec.Struct):
    done_reason: Any = None
    prompt_eval_count: Any = None
    prompt_eval_cached_count: Any = None
    eval_count: Any = None
    total_duration: Any = None
    load_duration: Any = None
    prompt_eval_duration: Any = None
    eval_duration: Any = None
    context: msgspec.Raw = ABSENT


class Vectors(msgspec.Struct):
    embeddings: list[list[float]] | None = None
    prompt_eval_count: Any = None
    total_duration: Any = None
    load_duration: Any = None
    error: Any = None


class Decided(msgspec.Struct):
    answers: dict[str, dict[str, Any]] | None = None
    usage: Any = None
    error: Any = None


UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
read_line: Final = msgspec.json.Decoder(Line).decode
_read_last: Final = msgspec.json.Decoder(Last).decode
read_vectors: Final = msgspec.json.Decoder(Vectors).decode
read_decided: Final = msgspec.json.Decoder(Decided).decode


class Counts:
    """Reads counters; `odd` tells that one was not a plain count."""

    def __init__(self) -> None:
        self.odd = False

    def read(self, value: Json) -> int:
        if value is None:
            return 0
        if type(value) is int and 0 <= value <= MAX_COUNT:
            return value
        self.odd = True
        if isinstance(value, str):
            value = int(value) if WHOLE_NUMBER.fullmatch(value) else 0
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            return 0
        return int(min(max(value, 0), MAX_COUNT))


def read_last(raw: bytes) -> Last:
    """Return the counters of the last line; none of them when one is beyond all measure."""
    try:
        return _read_last(raw)
    except UNREADABLE:
        return Last(eval_count="")


def read_any(raw: bytes) -> Json:
    """Decode JSON of any kind; None when that cannot be done."""
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return None


def salvage(value: Json) -> Line | None:
    """Return what has the right type in an odd line; None when it is no record."""
    if not isinstance(value, dict):
        return None
    inner = value.get("message")
    source = inner if isinstance(inner, dict) else value
    text = source.get("content") if source is inner else value.get("response")
    thinking = source.get("thinking")
    calls = source.get("tool_calls")
    error = value.get("error")
    return Line(
        message=Said(
            text if isinstance(text, str) else None,
            thinking if isinstance(thinking, str) else None,
            _salvage_calls(calls) if isinstance(calls, list) else None,
        ),
        done=value.get("done") is True,
        error=ABSENT if error is None else msgspec.Raw(msgspec.json.encode(error)),
    )


def _salvage_calls(calls: Sequence[Json]) -> list[Call]:
    found = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            arguments = msgspec.Raw(msgspec.json.encode(function.get("arguments")))
            ident = call.get("id")
            found.append(
                Call(
                    Function(function["name"], arguments),
                    ident if isinstance(ident, str) else None,
                )
            )
    return found


def arguments_text(raw: msgspec.Raw) -> str:
    """Return a call's arguments as compact JSON text of an object, whatever came (D19)."""
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE:
        value = bytes(raw).decode("utf-8", "replace")
    if isinstance(value, str):
        value = _from_text(value)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        value = {"value": value}
    return msgspec.json.encode(value).decode()


def _from_text(text: str) -> Json:
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return {"raw_arguments": text}


def read_logprobs(raw: msgspec.Raw) -> tuple[TokenLogprob, ...]:
    """Read the tokens of a line; what is not a token is left out."""
    entries = read_any(raw)
    if not isinstance(entries, list):
        return ()
    tokens = (_token(entry) for entry in entries)
    return tuple(token for token in tokens if token is not None)


def _token(entry: Json) -> TokenLogprob | None:
    if not isinstance(entry, dict):
        return None
    token, logprob, utf8 = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(token, str) or not isinstance(logprob, int | float):
        return None
    top = entry.get("top_logprobs")
    others = (_token(other) for other in top) if isinstance(top, list) else ()
    return TokenLogprob(
        token,
        float(logprob),
        tuple(utf8) if isinstance(utf8, list) and all(type(b) is int for b in utf8) else None,
        tuple(other for other in others if other is not None),
    )
