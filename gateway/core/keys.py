"""API keys as the hot path holds them: who may do what, how much, until when, from where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from gateway.core.chat import EMPTY, Json

DEFAULT_SCOPES = ("chat", "completions", "embeddings", "responses", "messages", "models")
"""The endpoints a new key may use; what endpoints there are is for the dialects to say."""
Period: TypeAlias = Literal["day", "week", "month", "total"]
PERIODS: tuple[Period, ...] = ("day", "week", "month", "total")
Priority: TypeAlias = Literal["interactive", "normal", "batch"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many requests or tokens a key may spend in a period (reset at 00:00 of the key's zone,
    weeks on Monday)."""

    metric: Literal["requests", "tokens"]
    period: Period
    limit: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use. 0 and () mean no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent: int = 0
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """One API key. The secret itself is known to nobody: `prefix` and `last4` are what may be
    shown.

    `allow` and `deny` are rules as in docs/contract/names.md: model names, `*` patterns, or `*`
    alone; an empty `allow` allows nothing. `model_ids` are models bound by id, so that a renamed
    model stays allowed. `cidrs` are networks (() is anywhere); `scopes` endpoint groups.
    `default_params` and `forced_params` are in override words (docs/contract/parameters.md).
    """

    id: int
    name: str
    prefix: str
    last4: str = ""
    enabled: bool = True
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()
    model_ids: tuple[int, ...] = ()
    cidrs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    limits: Limits = Limits()
    zone: str = "UTC"
    priority: Priority = "normal"
    default_params: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    forced_params: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    owner: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    log_bodies: bool | None = None
    rotated_from: int | None = None
    last_used_at: datetime | None = None
    lineage_id: int | None = None
    legacy: bool = False

    @property
    def counter_id(self) -> int:
        """Whose budgets this key spends: the first key of its chain of rotations."""
        return self.lineage_id or self.id
