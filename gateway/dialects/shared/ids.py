"""Ids of answers and their parts, drawn from the envelope's seed: a dialect has no dice."""

from __future__ import annotations

from hashlib import sha256


def derived_id(prefix: str, seed: str, number: int = 0, digits: int = 32) -> str:
    """Return `prefix` and `digits` hex digits (at most 64): the same for the same seed and number.

    Two numbers, or two prefixes, of one seed give unrelated digits.
    """
    return prefix + sha256(f"{seed}/{prefix}{number}".encode()).hexdigest()[:digits]
