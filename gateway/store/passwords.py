"""Admin passwords as argon2id hashes. A call takes tens of milliseconds of CPU and 19 MiB: run it
in a thread."""

from __future__ import annotations

from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's minimum


def hash_password(password: str) -> str:
    """Return the hash to store."""
    return _HASHER.hash(password)


def verify(stored: str, password: str) -> bool:
    """Whether `password` is the one that was hashed. An empty `stored` costs as much and is never
    right, so that unknown names cannot be told by time."""
    try:
        return _HASHER.verify(stored or _nobody(), password) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")
