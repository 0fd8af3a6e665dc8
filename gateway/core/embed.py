"""Embeddings: a tiny pair of values of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.chat import Params


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed (`/api/embed`)."""

    model: str
    inputs: tuple[str, ...]
    params: Params = field(default_factory=Params)
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    ignored: tuple[str, ...] = ()
    end_user: str = ""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in input order (float, [n, d]) and what they cost in tokens and nanoseconds."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int
    total_ns: int = 0
    load_ns: int = 0
