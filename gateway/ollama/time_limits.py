"""Time limits of calls to Ollama, and what is said when one has passed."""

from __future__ import annotations

from typing import NamedTuple


class Stalled(Exception):
    """A time limit passed; its sentence is for callers."""


class Timeouts(NamedTuple):
    """Time limits in seconds, None for none: to connect, to send the request, and the longest
    silence while the answer is read."""

    connect_s: float
    send_s: float | None
    read_s: float | None


def is_limit(error: OSError) -> bool:
    """Whether an error says that a limit of ours passed. The system's own (`ETIMEDOUT`) is of the
    same class, and says that the peer is gone."""
    return isinstance(error, TimeoutError) and error.errno is None


def not_begun(limit_s: float) -> str:
    """Return the sentence for an answer that did not begin in time."""
    return f"The Ollama server did not begin to answer within {limit_s:g} seconds."


def stopped(limit_s: float) -> str:
    """Return the sentence for a silence in the middle of an answer."""
    return f"The Ollama server stopped answering: nothing came for {limit_s:g} seconds."


def unfinished(limit_s: float) -> str:
    """Return the sentence for an answer that took too long as a whole."""
    return f"The answer was not finished within {limit_s:g} seconds."
