"""Sums over many calls, as charts and tables show them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, TypeAlias

Group: TypeAlias = Literal["none", "key", "model", "server", "endpoint", "client", "status"]
GROUPS: tuple[Group, ...] = ("none", "key", "model", "server", "endpoint", "client", "status")


@dataclass(frozen=True, slots=True)
class Sums:
    """What some calls came to together. Times are milliseconds; `timed_tokens` are the output
    tokens of calls whose `eval_ms` is known."""

    requests: int = 0
    errors: int = 0
    streamed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    duration_ms: float = 0.0
    queue_ms: float = 0.0
    eval_ms: float = 0.0
    timed_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def error_rate(self) -> float | None:
        """Share of calls that failed."""
        return self.errors / self.requests if self.requests else None

    @property
    def tokens_per_s(self) -> float | None:
        """Output speed over all calls, by Ollama's clock."""
        return self.timed_tokens / (self.eval_ms / 1000) if self.eval_ms else None

    @property
    def tokens_per_request(self) -> float | None:
        """Average size of a call."""
        return self.tokens / self.requests if self.requests else None

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Sums)))


@dataclass(frozen=True, slots=True)
class Cell:
    """The sums of one time step and one group; `name` is "" for all others together."""

    start: datetime
    name: str
    sums: Sums
