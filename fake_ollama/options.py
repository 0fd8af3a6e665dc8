"""Request options: their types, and which of them belong to the load of a model.

A wrong type is a 500, an unknown key is ignored, a float for an integer is cut. Source:
``api/types.go`` FromMap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fake_ollama.models import FakeModel
from fake_ollama.refusals import Refused

_TYPES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "num_ctx",
            "num_batch",
            "num_gpu",
            "main_gpu",
            "num_thread",
            "draft_num_predict",
            "num_keep",
            "num_predict",
            "seed",
            "top_k",
            "repeat_last_n",
        ),
        "integer",
    ),
    **dict.fromkeys(
        (
            "temperature",
            "top_p",
            "min_p",
            "typical_p",
            "repeat_penalty",
            "presence_penalty",
            "frequency_penalty",
        ),
        "float32",
    ),
    "use_mmap": "boolean",
    "stop": "array",
}
_LOAD_OPTIONS = (
    "num_batch",
    "num_gpu",
    "main_gpu",
    "use_mmap",
    "num_thread",
    "draft_num_predict",
)


@dataclass(frozen=True, slots=True)
class LoadKey:
    """What a runner was started with; a request that resolves to another one reloads the model."""

    num_ctx: int
    shift: bool
    others: tuple[tuple[str, Any], ...]

    def is_served_by(self, running: LoadKey) -> bool:
        """Return whether a runner started so need not be reloaded.

        Leaving a value out is another value, but not for ``num_gpu``.
        """
        if "num_gpu" not in dict(self.others):
            others = tuple(one for one in running.others if one[0] != "num_gpu")
            return self == replace(running, others=others)
        return self == running


def read_options(model: FakeModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the model's parameters and the request's options. Raises Refused for a wrong type."""
    return {**_model_parameters(model), **_typed(given)}


def load_key(
    model: FakeModel, options: Mapping[str, Any], shift: bool | None, default_num_ctx: int
) -> LoadKey:
    """Give the load-time values a request resolves to."""
    num_ctx = int(options.get("num_ctx") or default_num_ctx)
    least = 2048 if model.can("vision") else 4
    num_ctx = min(max(num_ctx, least), model.context_length)
    others = tuple(
        (name, options[name])
        for name in _LOAD_OPTIONS
        if name in options and not (name == "num_gpu" and options[name] < 0)
    )
    default_shift = model.family != "deepseek2"
    return LoadKey(num_ctx, default_shift if shift is None else shift, others)


def _model_parameters(model: FakeModel) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, value in model.parameters:
        if name == "stop":
            merged.setdefault("stop", []).append(value)
        else:
            merged[name] = value
    return merged


def _typed(given: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in given.items():
        wanted = _TYPES.get(name)
        if wanted is None or value is None:
            continue
        out[name] = _check(name, value, wanted)
    return out


def _check(name: str, value: Any, wanted: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted == "integer" and number:
        return int(value)
    if wanted == "float32" and number:
        return float(value)
    if wanted == "boolean" and isinstance(value, bool):
        return value
    if wanted == "array" and isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return value
        raise Refused(500, f'option "{name}" must be of an array of strings')
    raise Refused(500, f'option "{name}" must be of type {wanted}')
