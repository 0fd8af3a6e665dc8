"""What Ollama's own API tells of models, under the names clients see (docs/contract/native.md):
`/api/tags`, `/api/show`, `/api/ps` and `/api/version`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gateway.core.catalog import Loaded, Model
from gateway.core.chat import Json
from gateway.dialects.base import Endpoint
from gateway.dialects.models import MODELS
from gateway.dialects.native.words import NATIVE, written
from gateway.dialects.shared.reading import Fields, missing

_SHOWN = (
    "license", "parameters", "template", "system", "messages", "model_info", "projector_info",
    "capabilities", "requires",
)  # fmt: skip
"""What is passed on of `/api/show`; the rest names files and models of the server, or is large."""
_NO_VERSION = "0.0.0"
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)


def render_tags(models: Iterable[Model]) -> Json:
    """Return the models a caller may use, the newest first."""
    listed = sorted(models, key=lambda model: model.modified_at or _FOREVER, reverse=True)
    return {"models": [_tag(model) for model in listed]}


def render_ps(models: Iterable[Model], loaded: Mapping[str, Loaded]) -> Json:
    """Return those of `models` that are in memory, the longest remaining first; `loaded` by the
    names Ollama knows."""
    found = [(model, loaded[model.name]) for model in models if model.name in loaded]
    found.sort(key=lambda pair: pair[1].expires_at or _FOREVER, reverse=True)
    return {
        "models": [
            {
                **_head(model, one.size_bytes),
                "details": _details(model),
                "expires_at": written(one.expires_at),
                "size_vram": one.vram_bytes,
                "context_length": one.context_tokens,
            }
            for model, one in found
        ]
    }


def render_show(shown: Mapping[str, Json], model: Model) -> Json:
    """Return what a server says of a model, without the names of its files and models."""
    return {
        **{name: shown[name] for name in _SHOWN if name in shown},
        "details": _details(model),
        "modified_at": written(model.modified_at),
    }


def render_version(versions: Iterable[str]) -> Json:
    """Return the oldest of the servers' versions: what a client may count on."""
    known = [version for version in versions if version]
    return {"version": min(known, key=_numbers, default=_NO_VERSION)}


def read_name(body: Mapping[str, Json]) -> str:
    """Return the model of a request that has no more to it; older clients call it `name`. Raises
    InvalidRequest."""
    fields = Fields(body)
    name = fields.text("model") or fields.text("name")
    if name is None or not name.strip():
        raise missing("model")
    return name


def _tag(model: Model) -> Json:
    details = _details(model)
    if model.context_tokens:
        details["context_length"] = model.context_tokens
    tag: dict[str, Json] = {
        **_head(model, model.size_bytes),
        "modified_at": written(model.modified_at),
        "details": details,
    }
    if model.capabilities:
        tag["capabilities"] = sorted(model.capabilities)
    return tag


def _head(model: Model, size_bytes: int) -> dict[str, Json]:
    return {
        "name": model.display_name,
        "model": model.display_name,
        "size": size_bytes,
        "digest": model.digest,
    }


def _details(model: Model) -> dict[str, Json]:
    return {
        "parent_model": "",
        "format": "" if model.remote else "gguf",
        "family": model.family,
        "families": [model.family] if model.family else None,
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version))


TAGS = Endpoint("api_tags", MODELS.label, NATIVE, ("/api/tags",), scope_of=MODELS.name)
SHOW = Endpoint("api_show", "descriptions of models", NATIVE, ("/api/show",), scope_of=MODELS.name)
PS = Endpoint("api_ps", "the list of loaded models", NATIVE, ("/api/ps",), scope_of=MODELS.name)
VERSION = Endpoint("api_version", "the version", NATIVE, ("/api/version",), scope_of=MODELS.name)
