"""What a model takes in memory, before it is loaded: by its architecture, and as Ollama told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.memory_estimate import CacheShape, cache_shape, estimate

RECORDED = json.loads((Path(__file__).parents[1] / "data/memory.json").read_text())


def info(architecture: str, **values: Any) -> dict[str, Any]:
    """Return a model_info; two underscores stand for a dot."""
    own = {f"{architecture}.{name.replace('__', '.')}": one for name, one in values.items()}
    return {"general.architecture": architecture, **own}


def llama(**values: Any) -> dict[str, Any]:
    """Return the model_info of Llama 3.1 8B, changed."""
    usual = {
        "block_count": 32,
        "embedding_length": 4096,
        "attention__head_count": 32,
        "attention__head_count_kv": 8,
    }
    return info("llama", **{**usual, **values})


SHAPES: dict[str, tuple[dict[str, Any], CacheShape | None]] = {
    "llama 3.1 8b": (llama(), CacheShape(4096, 131_072)),
    "qwen3 8b": (
        info("qwen3", block_count=36, embedding_length=4096, attention__head_count=32,
             attention__head_count_kv=8, attention__key_length=128, attention__value_length=128),
        CacheShape(4096, 147_456),
    ),
    "gemma3 270m": (
        info("gemma3", block_count=18, embedding_length=640, attention__head_count=4,
             attention__head_count_kv=1, attention__key_length=256, attention__value_length=256,
             attention__sliding_window=512),
        CacheShape(640, 3_072, 15_360, 512),
    ),
    "gpt-oss 20b": (
        info("gptoss", block_count=24, embedding_length=2880, attention__head_count=64,
             attention__head_count_kv=8, attention__key_length=64, attention__value_length=64,
             attention__sliding_window=128),
        CacheShape(2880, 24_576, 24_576, 128),
    ),
    "deepseek, compressed": (
        info("deepseek2", block_count=61, embedding_length=7168, attention__head_count=128,
             attention__head_count_kv=1, attention__key_length=576, attention__value_length=512,
             attention__key_length_mla=192, attention__value_length_mla=128),
        CacheShape(7168, 61 * 576 * 2),
    ),
    "deepseek, as converted before": (
        info("deepseek2", block_count=27, embedding_length=2048, attention__head_count=16,
             attention__head_count_kv=16, attention__key_length=192, attention__value_length=128),
        CacheShape(2048, 27 * 16 * 320 * 2),
    ),
    "every fourth layer": (
        info("qwen3next", block_count=48, embedding_length=2048, attention__head_count=16,
             attention__head_count_kv=2, attention__key_length=256, attention__value_length=256,
             full_attention_interval=4),
        CacheShape(2048, 12 * 2 * 512 * 2),
    ),
    "heads by layer": (
        info("lfm2", block_count=4, embedding_length=1024, attention__head_count=16,
             attention__head_count_kv=[0, 0, 8, 8]),
        CacheShape(1024, 2 * 8 * 128 * 2),
    ),
    "sliding by layer": (
        llama(block_count=2, attention__sliding_window=1024,
              attention__sliding_window_pattern=[True, False]),
        CacheShape(4096, 4_096, 4_096, 1024),
    ),
    "no heads of its own for keys": (
        info("phi2", block_count=32, embedding_length=2560, attention__head_count=32),
        CacheShape(2560, 32 * 2560 * 2 * 2),
    ),
    "sliding in a way nobody told": (
        llama(attention__sliding_window=4096), CacheShape(4096, 131_072),
    ),
    "it only reads": (info("bert", embedding_length=384, attention__causal=False),
                      CacheShape(384, 0)),
    "an array Ollama does not show": (llama(attention__head_count_kv=None), None),
    "a pattern Ollama does not show": (
        llama(attention__sliding_window=512, attention__sliding_window_pattern=None), None,
    ),
    "heads of fewer layers": (llama(attention__head_count_kv=[8]), None),
    "no layers": (llama(block_count=0), None),
    "more layers than there can be": (llama(block_count=10**9), None),
    "no heads": (llama(attention__head_count=0), None),
    "a word for a number": (llama(embedding_length="many"), None),
    "nothing": ({}, None),
}  # fmt: skip


@pytest.mark.parametrize(("model_info", "shape"), SHAPES.values(), ids=SHAPES)
def test_the_cache_is_read_of_each_architecture(
    model_info: dict[str, Any], shape: CacheShape | None
) -> None:
    assert cache_shape(model_info) == shape


def test_a_window_is_counted_for_each_call_at_once() -> None:
    one, four = (estimate(5_000_000_000, CacheShape(4096, 131_072), 8_192, n) for n in (1, 4))

    assert one.cache_bytes == 1_073_741_824
    assert one.total_bytes == 5_000_000_000 + 1_073_741_824 + 92_274_688 + 8_388_608
    assert four.cache_bytes == 4 * one.cache_bytes
    assert four.weights_bytes == one.weights_bytes


def test_layers_with_a_sliding_window_do_not_grow_with_the_window() -> None:
    shape = CacheShape(640, 3_072, 15_360, 512)
    small, large = estimate(0, shape, 2_048), estimate(0, shape, 32_768)

    assert large.cache_bytes - small.cache_bytes == (32_768 - 2_048) * 3_072


@given(st.integers(0, 10**13), st.integers(1, 10**7), st.integers(1, 64))
def test_a_larger_window_never_takes_less(size: int, num_ctx: int, slots: int) -> None:
    shape = CacheShape(640, 3_072, 15_360, 512)

    assert (
        estimate(size, shape, num_ctx, slots).total_bytes
        < estimate(size, shape, num_ctx + 1, slots).total_bytes
    )


ERRORS = {("smolnative", 512): 0.0032, ("smolnative", 4096): 0.0019, ("minilm", 512): 0.0574}
"""How far the estimate is above what Ollama told, as docs/parameters.md has it. The overhead was
fitted to smolnative; minilm had no part in it."""


@pytest.mark.parametrize("loaded", RECORDED["loaded"], ids=str)
def test_the_estimate_is_as_far_off_as_is_documented(loaded: dict[str, Any]) -> None:
    model = RECORDED["models"][loaded["model"]]
    shape = cache_shape(model["model_info"])
    assert shape is not None
    found = estimate(model["size"], shape, loaded["context_length"])
    error = found.total_bytes / loaded["size"] - 1

    assert round(error, 4) == ERRORS[loaded["model"], loaded["context_length"]]
