"""Vectors made from text: the same in every run, and closer for texts that share words."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from functools import lru_cache

_WORD = re.compile(r"\w+")


def unit_vector(text: str, length: int) -> list[float]:
    """Give a vector of length one, float32 values, [length]."""
    return normalise(_sum(text, length))


def shorten(vector: list[float], dimensions: int) -> list[float]:
    """Keep the first dimensions and make the length one again; 0 and too many keep all."""
    if dimensions <= 0 or dimensions >= len(vector):
        return vector
    return normalise(vector[:dimensions])


def normalise(vector: list[float]) -> list[float]:
    norm = math.sqrt(math.fsum(value * value for value in vector)) or 1.0
    return [_float32(value / norm) for value in vector]


def _sum(text: str, length: int) -> list[float]:
    words = _WORD.findall(text.lower()) or [text]
    total = list(_direction(text, length))
    for word in words:
        total = [a + b for a, b in zip(total, _direction(word, length), strict=True)]
    return total


@lru_cache(maxsize=4096)
def _direction(word: str, length: int) -> tuple[float, ...]:
    data = hashlib.shake_256(word.encode("utf-8", "replace")).digest(2 * length)
    return tuple(value / 32_768 for value in struct.unpack(f"<{length}h", data))


def _float32(value: float) -> float:
    return float(f"{value:.7g}")
