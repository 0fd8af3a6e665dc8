"""How much memory a model takes when it is loaded, before it is.

    weights     the size of its files
    cache       block_count x head_count_kv x (key_length + value_length) x num_ctx x 2 bytes,
                for each call that runs at once
    overhead    512 tokens are computed at once: each takes 44 bytes for every dimension of the
                embedding, and 2 bytes for every token of the window (the mask of attention)

The cache is counted as f16, Ollama's default; OLLAMA_KV_CACHE_TYPE can halve or quarter it, and
Ollama does not tell what it is set to. Layers with a sliding window keep that window and a batch
only. How far off the numbers are stands in docs/parameters.md.

Source: `/api/show` model_info, whose keys begin with the architecture, and llama.cpp's
`llama_kv_cache` and `llama_hparams`. Without `verbose` Ollama shows arrays as null: of a model
whose layers differ in a way that is not known here, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.core.chat import Json

_F16_BYTES: Final = 2
_BATCH_TOKENS: Final = 512
_BYTES_PER_DIMENSION: Final = 44
"""As smollm2-135m was seen to take on a CPU, at windows of 512 and 4,096 tokens."""
_MOST_LAYERS: Final = 10_000
_WHOLE_EVERY: Final[Mapping[str, int]] = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gptoss": 2,
    "gpt-oss": 2,
    "cohere2": 4,
}
"""Of how many layers one sees the whole window, where the others have a sliding one."""


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What decides about the memory of a model beside its weights.

    `token_bytes` is what each token of the window takes in the cache, `sliding_token_bytes` the
    same in layers that keep `sliding_tokens` only.
    """

    embedding_length: int
    token_bytes: int
    sliding_token_bytes: int = 0
    sliding_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model takes when it is loaded, in bytes."""

    weights_bytes: int
    cache_bytes: int
    overhead_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.cache_bytes + self.overhead_bytes


def estimate(size_bytes: int, shape: CacheShape, num_ctx: int, slots: int = 1) -> Estimate:
    """Return what a model with files of `size_bytes` takes with a window of `num_ctx` tokens for
    each of `slots` calls at once."""
    kept = min(num_ctx, shape.sliding_tokens + _BATCH_TOKENS)
    cache_bytes = num_ctx * shape.token_bytes + kept * shape.sliding_token_bytes
    mask_bytes = num_ctx * slots * _F16_BYTES
    return Estimate(
        weights_bytes=size_bytes,
        cache_bytes=cache_bytes * slots,
        overhead_bytes=_BATCH_TOKENS * (shape.embedding_length * _BYTES_PER_DIMENSION + mask_bytes),
    )


def cache_shape(info: Mapping[str, Json]) -> CacheShape | None:
    """Return what `model_info` tells of a model's cache; None where it does not tell enough."""
    architecture = info.get("general.architecture")
    prefix = f"{architecture}."
    mine = {
        name.removeprefix(prefix): value for name, value in info.items() if name.startswith(prefix)
    }
    embedding_length = _number(mine, "embedding_length")
    if embedding_length is None:
        return None
    if mine.get("attention.causal") is False:  # it reads once and remembers nothing
        return CacheShape(embedding_length, 0)
    layers = _layer_bytes(mine, embedding_length)
    if layers is None:
        return None
    window = _number(mine, "attention.sliding_window") or 0
    slides = _sliding(mine, str(architecture), len(layers)) if window else [False] * len(layers)
    if slides is None:
        return None
    sliding = sum(size for size, is_sliding in zip(layers, slides, strict=True) if is_sliding)
    return CacheShape(embedding_length, sum(layers) - sliding, sliding, window if sliding else 0)


def _layer_bytes(mine: Mapping[str, Json], embedding_length: int) -> list[int] | None:
    """Return what a token takes in the cache of each layer."""
    blocks, heads = _number(mine, "block_count"), _number(mine, "attention.head_count")
    kv_heads = mine.get("attention.head_count_kv", heads)
    if not blocks or blocks > _MOST_LAYERS or not heads:
        return None
    if isinstance(kv_heads, int):
        kv_heads = [kv_heads] * blocks
    if not isinstance(kv_heads, list) or len(kv_heads) != blocks:
        return None
    each = embedding_length // heads
    key = _number(mine, "attention.key_length") or each
    value = _number(mine, "attention.value_length") or each
    if "attention.key_length_mla" in mine:  # the cache holds what keys and values are made from
        value = 0
    every = _number(mine, "full_attention_interval") or 1  # the others keep a state of fixed size
    return [
        count * (key + value) * _F16_BYTES if number % every == every - 1 else 0
        for number, count in enumerate(kv_heads)
    ]


def _sliding(mine: Mapping[str, Json], architecture: str, blocks: int) -> Sequence[bool] | None:
    """Return which layers have a sliding window; none where that is not known of the architecture,
    as the whole window is the most they can take."""
    pattern = mine.get("attention.sliding_window_pattern", _WHOLE_EVERY.get(architecture, 1))
    if isinstance(pattern, list) and len(pattern) == blocks:
        return [bool(one) for one in pattern]
    if type(pattern) is int and pattern > 0:
        return [number % pattern < pattern - 1 for number in range(blocks)]
    return None


def _number(mine: Mapping[str, Json], name: str) -> int | None:
    value = mine.get(name)
    return value if type(value) is int and value >= 0 else None
