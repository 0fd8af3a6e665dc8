"""Reads what Ollama tells about its models: `/api/tags`, `/api/show`, `/api/ps`, progress of a
pull.

Everything is read leniently: an odd field is left out, because a list of models with one odd entry
is worth more than none. Only an answer without the expected outer shape is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
import orjson

from gateway.core.catalog import Listed, Loaded
from gateway.core.chat import Json
from gateway.core.memory_estimate import CacheShape, cache_shape
from gateway.ollama import faults

_FRACTION: Final = re.compile(r"(\.\d{1,6})\d*")
_WEIGHTS: Final = re.compile(r"^(?:FROM|ADAPTER) .*\bsha256-([0-9a-f]{16})", re.MULTILINE)
"""The beginning of each blob's digest tells them apart."""
MAX_WEIGHTS: Final = 256
_FOREVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_NEVER: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""What expires later is there to stay: Ollama adds Go's longest duration, 292 years."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one model can do. `capabilities` is None when an old server does not tell.

    `weights` stands for the files it runs from: models with the same ones share a runner. `cache`
    tells what its context window takes in memory, where that is known.
    """

    capabilities: frozenset[str] | None
    context_tokens: int | None = None
    embedding_length: int | None = None
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    license: str = ""
    remote: bool = False
    weights: str = ""
    cache: CacheShape | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a pull; bytes are 0 where the step has none."""

    status: str
    digest: str = ""
    total_bytes: int = 0
    completed_bytes: int = 0


def read_tags(answer: Json) -> tuple[Listed, ...]:
    """Read `/api/tags`. Raises UpstreamError when it is no list of models."""
    return tuple(_listed(entry) for entry in _models(answer) if _name(entry))


def read_ps(answer: Json) -> tuple[Loaded, ...]:
    """Read `/api/ps`. Raises UpstreamError when it is no list of models."""
    return tuple(_loaded(entry) for entry in _models(answer) if _name(entry))


def read_show(answer: Mapping[str, Json]) -> Shown:
    """Read `/api/show`."""
    info = _mapping(answer.get("model_info"))
    architecture = _text(info.get("general.architecture"))
    details = _mapping(answer.get("details"))
    return Shown(
        capabilities=_set(answer.get("capabilities")),
        context_tokens=_number(info.get(f"{architecture}.context_length")),
        embedding_length=_number(info.get(f"{architecture}.embedding_length")),
        family=_text(details.get("family")) or architecture,
        parameter_size=_text(details.get("parameter_size")),
        quantization=_text(details.get("quantization_level")),
        modelfile=_text(answer.get("modelfile")),
        parameters=_text(answer.get("parameters")),
        template=_text(answer.get("template")),
        system=_text(answer.get("system")),
        license=_text(answer.get("license")),
        weights=" ".join(_WEIGHTS.findall(_text(answer.get("modelfile"))))[:MAX_WEIGHTS],
        remote=bool(answer.get("remote_host") or answer.get("remote_model")),
        cache=cache_shape(info),
    )


def read_progress(line: bytes) -> Progress:
    """Read one line of a pull. Raises the error it tells, or UpstreamError when it is none."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise faults.bad_response("a line that is not JSON") from error
    if not isinstance(value, dict):
        raise faults.bad_response("a line that is not an object")
    if value.get("error"):
        raise faults.from_line(value["error"], "/api/pull")
    return Progress(
        _text(value.get("status")),
        _text(value.get("digest")),
        _number(value.get("total")) or 0,
        _number(value.get("completed")) or 0,
    )


def read_time(value: Json) -> datetime | None:
    """Read an RFC 3339 time with nanoseconds; "forever" is the last day there is."""
    if not isinstance(value, str):
        return None
    text = _FRACTION.sub(r"\1", value, count=1)
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return _FOREVER
    except ValueError:
        return None


class _Done(msgspec.Struct):
    done: bool | None = False


_done: Final = msgspec.json.Decoder(_Done).decode


def says_done(line: bytes) -> bool:
    """Whether a line is the last record of an answer; a line that cannot be read is not."""
    try:
        value = _done(line)
    except msgspec.MsgspecError:
        return False
    return bool(value.done)


def _models(answer: Json) -> Iterable[Mapping[str, Json]]:
    models = answer.get("models") if isinstance(answer, dict) else None
    if models is None and isinstance(answer, dict) and "models" in answer:
        models = []
    if not isinstance(models, list):
        raise faults.bad_response("a list of models that is none")
    return [entry for entry in models if isinstance(entry, dict)]


def _loaded(entry: Mapping[str, Json]) -> Loaded:
    expires_at = read_time(entry.get("expires_at"))
    return Loaded(
        name=_name(entry),
        size_bytes=_number(entry.get("size")) or 0,
        vram_bytes=_number(entry.get("size_vram")) or 0,
        context_tokens=_number(entry.get("context_length")) or 0,
        expires_at=expires_at,
        stays_loaded=expires_at is not None and expires_at >= _NEVER,
    )


def _listed(entry: Mapping[str, Json]) -> Listed:
    details = _mapping(entry.get("details"))
    return Listed(
        name=_name(entry),
        digest=_text(entry.get("digest"))[:80],
        size_bytes=_number(entry.get("size")) or 0,
        modified_at=read_time(entry.get("modified_at")),
        family=_text(details.get("family"))[:64],
        parameter_size=_text(details.get("parameter_size"))[:32],
        quantization=_text(details.get("quantization_level"))[:32],
        remote=bool(entry.get("remote_host") or entry.get("remote_model")),
        details={"context_tokens": _number(details.get("context_length"))},
    )


def _name(entry: Mapping[str, Json]) -> str:
    return _text(entry.get("model")) or _text(entry.get("name"))


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str:
    if isinstance(value, list):  # a licence may come in several parts
        return "\n".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _number(value: Json) -> int | None:
    return value if type(value) is int and value > 0 else None


def _set(value: Json) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    return frozenset(item for item in value if isinstance(item, str))
