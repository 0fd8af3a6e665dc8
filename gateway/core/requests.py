"""Calls as the console lists and explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from gateway.core.chat import EMPTY, Json

Feature: TypeAlias = Literal["tools", "images", "thinking", "streamed", "whole", "load", "cut"]
FEATURES: tuple[Feature, ...] = get_args(Feature)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls are meant. Empty fields do not matter; `status` is a number (429), a class
    (4xx), an outcome (ok, failed, cancelled) or running; `features` are some of FEATURES."""

    since: datetime | None = None
    until: datetime | None = None
    key_id: int | None = None
    model_id: int | None = None
    server_id: int | None = None
    endpoint: str = ""
    status: str = ""
    finish: str = ""
    client_app: str = ""
    min_ms: float | None = None
    features: frozenset[str] = frozenset()
    request_id: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether sums of everything in this time do not answer it: a key, a model … is named."""
        ids = (self.key_id, self.model_id, self.server_id)
        return ids != (None, None, None) or any((self.endpoint, self.status, self.client_app))

    @property
    def is_slow(self) -> bool:
        """Whether rows must be looked at one by one to find those that are meant."""
        return bool(self.features or self.finish or self.client_app or self.endpoint or self.min_ms)


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call in a list. `settled` is False while it runs; `model` is "" where the requested one
    is not known here."""

    id: int
    request_id: str
    at: datetime
    key_id: int | None
    key_name: str
    endpoint: str
    model_id: int | None
    model: str
    requested_model: str
    server_name: str
    streamed: bool
    settled: bool
    status: int
    finish: str
    error_code: str
    error_message: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    first_token_ms: float | None
    duration_ms: float
    eval_ms: float | None
    has_tools: bool
    has_images: bool
    had_thinking: bool
    client_app: str
    load_reason: str
    cut: bool

    @property
    def failed(self) -> bool:
        """Whether the client got no whole answer."""
        return self.settled and (self.status >= 400 or bool(self.error_code))

    @property
    def tokens_per_s(self) -> float | None:
        """Output speed by Ollama's own clock."""
        if not self.eval_ms or not self.completion_tokens:
            return None
        return self.completion_tokens / (self.eval_ms / 1000)


@dataclass(frozen=True, slots=True)
class CallDetail:
    """Everything known of one call."""

    row: CallRow
    settled_at: datetime | None
    counted: bool
    client_ip: str
    end_user: str
    worker: str
    server_id: int | None
    route_reason: str
    cached_tokens: int
    estimated: bool
    queue_ms: float | None
    first_answer_ms: float | None
    load_ms: float | None
    prompt_ms: float | None
    upstream_calls: int
    context_tokens: int
    explain: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    request_body: str | None = None
    upstream_body: str | None = None
    thinking_body: str | None = None
    response_body: str | None = None
