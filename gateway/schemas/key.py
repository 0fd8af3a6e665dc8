"""API keys as the hot path holds them: who may do what, how much, until when, from where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from gateway.core.chat import EMPTY, Json
from gateway.core.periods import PERIODS, Period
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import field

DEFAULT_SCOPES = ("chat", "completions", "embeddings", "responses", "messages", "models")
"""The endpoints a new key may use; what endpoints there are is for the dialects to say."""
Priority: TypeAlias = Literal["interactive", "normal", "batch"]
METRICS: tuple[Literal["requests", "tokens"], ...] = ("requests", "tokens")
_PATTERNS = types.each(types.limited(256, types.name))


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests or tokens a key may spend in a period (reset at 00:00 of the key's zone,
    weeks on Monday)."""

    metric: Literal["requests", "tokens"]
    period: Period
    limit: Annotated[int, Meta(ge=1, le=types.MOST_BIG_INT)]


def _budgets(found: tuple[Budget, ...]) -> tuple[Budget, ...]:
    seen: set[tuple[str, str]] = set()
    for number, one in enumerate(found):
        if (one.metric, one.period) in seen:
            problem = Message(
                "is a second budget of %(metric)s per %(period)s",
                metric=one.metric,
                period=one.period,
            )
            raise types.Problem(problem, f"[{number}]")
        seen.add((one.metric, one.period))
    return found


def _limit(title: str) -> int:
    return field(0, title, "0 is no limit.", ge=0, le=types.MOST_INT)


def _role(title: str, description: str) -> str:
    return field("", title, description, check=types.line, max_length=256)


@dataclass(frozen=True, slots=True)
class Key:
    """One API key. The secret itself is known to nobody: `prefix` and `last4` are what may be
    shown.

    `allow` and `deny` are rules as in docs/contract/names.md: model names, `*` patterns, or `*`
    alone; an empty `allow` allows nothing. `model_ids` are models bound by id, so that a renamed
    model stays allowed. The models of roles (`policy/roles.py`) are aliases or Ollama's names, "":
    none. An `anonymous` key is that of requests which bring none, from its `cidrs` (D62).
    `lineage_id` is the first key of a chain of rotations, `legacy` a key of another product,
    without a checksum.
    """

    id: int
    name: str = field(
        ...,
        "Name",
        "Who or what will use it, such as “Claude Code on my laptop”.",
        check=types.name,
        max_length=types.LINE_LIMIT,
    )
    prefix: str = ""
    last4: str = ""
    enabled: bool = field(True, "Enabled")
    revoked_at: datetime | None = None
    expires_at: Any = field(None, "Expires", check=types.instant, json_schema=types.INSTANT)
    created_at: datetime | None = None
    allow: tuple[str, ...] = field(
        ("*",),
        "Names and patterns",
        "One a line; * stands for anything, such as llama3*.",
        check=_PATTERNS,
        max_length=types.MOST_ENTRIES,
    )
    deny: tuple[str, ...] = field(
        (),
        "Never these",
        "Names or patterns that stay closed whatever is allowed above.",
        check=_PATTERNS,
        max_length=types.MOST_ENTRIES,
    )
    model_ids: tuple[Annotated[int, Meta(ge=0, le=types.MOST_BIG_INT)], ...] = field(
        (), "Chosen models", check=types.unique, max_length=types.MOST_ENTRIES
    )
    opus_model: str = _role("Model for opus", "Answers to names such as claude-opus-4-1.")
    sonnet_model: str = _role("Model for sonnet", "Answers to names such as claude-sonnet-4-5.")
    haiku_model: str = _role(
        "Model for haiku",
        "Answers to names such as claude-3-5-haiku: titles and other small requests.",
    )
    small_fast_model: str = _role(
        "Model for small-fast", "Without it the model for haiku, and the other way round."
    )
    sub_agent_model: str = _role(
        "Model for sub-agent", "For agents that an agent starts, where they ask by this name."
    )
    cidrs: tuple[str, ...] = field(
        (),
        "IP allow-list",
        "One a line, such as 192.168.1.0/24. Empty: from anywhere.",
        check=types.each(types.network),
        max_length=types.MOST_ENTRIES,
    )
    anonymous: bool = field(
        False,
        "Use for requests without a key",
        "Clients at the addresses of this key then need none. Requests with a key keep theirs.",
    )
    scopes: tuple[str, ...] = field(DEFAULT_SCOPES, "Endpoints", max_length=64)
    requests_per_minute: int = _limit("Requests per minute")
    tokens_per_minute: int = _limit("Tokens per minute")
    concurrent: int = _limit("Concurrent requests")
    budgets: tuple[Budget, ...] = field(
        (), "Budgets", check=_budgets, max_length=len(METRICS) * len(PERIODS)
    )
    zone: str = field("UTC", "Time zone for daily limits", check=types.zone, max_length=64)
    priority: Priority = field("normal", "Queue priority")
    default_params: Mapping[str, Json] = field(EMPTY, "Parameters where a client says nothing")
    forced_params: Mapping[str, Json] = field(EMPTY, "Parameters in force whatever a client says")
    log_bodies: bool | None = field(None, "Prompt logging", "null follows the settings.")
    owner: str = field("", "Owner", check=types.line, max_length=types.LINE_LIMIT)
    tags: tuple[str, ...] = field(
        (), "Tags", check=types.each(types.limited(64)), max_length=types.MOST_ENTRIES
    )
    notes: str = field("", "Notes", check=types.notes, max_length=types.NOTES_LIMIT)
    rotated_from: int | None = None
    last_used_at: datetime | None = None
    lineage_id: int | None = None
    legacy: bool = False

    @property
    def counter_id(self) -> int:
        """Whose budgets this key spends: the first key of its chain of rotations."""
        return self.lineage_id or self.id
