"""What one call came to: the record that usage, analytics and the request page are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal, TypeAlias

from gateway.core.chat import EMPTY, Json

Outcome: TypeAlias = Literal["ok", "failed", "cancelled"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "failed", "cancelled")
CANCELLED = frozenset({"client_closed", "cancelled"})
"""Words for the end (`Settlement.finish`) of calls that were not wanted any more."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that was let in. Written first (phase 1), so that a killed worker leaves a trace."""

    request_id: str
    created_at: datetime
    key_id: int | None
    key_name: str
    endpoint: str
    model_id: int | None
    model: str
    requested_model: str
    streamed: bool
    client_ip: str = ""
    client_app: str = ""
    end_user: str = ""
    worker: str = ""
    has_tools: bool = False
    has_images: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """How it ended (phase 2). Times are milliseconds from admission; None: never reached.

    `status` is what the client got (200 also for a stream that failed inside; then `error_code`
    tells; 499 client gone). `model_id` and `model` name the model that answered, where it is
    another than was asked for. `finish` is stop, length, tool_calls, stop_sequence, error,
    client_closed, cancelled, worker_lost. `ollama_*_ms` are Ollama's own. `context_tokens` is the
    window it ran with (0: not known), `load_reason` why the model was loaded for it ("": it was
    not), `cut` that Ollama seems to have dropped a part of the prompt. `explain` is what
    `calls/explanation.py` says: never texts. The bodies are what was asked, what went to Ollama in
    the last try, and the answer, where they are kept.
    """

    request_id: str
    status: int
    finish: str = ""
    error_code: str = ""
    error_message: str = ""
    server_id: int | None = None
    server_name: str = ""
    route_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    queue_ms: float | None = None
    first_token_ms: float | None = None
    first_answer_ms: float | None = None
    duration_ms: float = 0.0
    ollama_load_ms: float | None = None
    ollama_prompt_ms: float | None = None
    ollama_eval_ms: float | None = None
    upstream_calls: int = 0
    context_tokens: int = 0
    load_reason: str = ""
    cut: bool = False
    had_thinking: bool = False
    explain: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    request_body: str | None = None
    upstream_body: str | None = None
    thinking_body: str | None = None
    response_body: str | None = None
    model_id: int | None = None
    model: str = ""

    @property
    def total_tokens(self) -> int:
        """What the call takes from token limits."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def outcome(self) -> Outcome:
        """How the call came out. `cancelled`: its client left, or an admin ended it, which is
        nobody's failure."""
        if self.status == 499 or self.finish in CANCELLED:
            return "cancelled"
        return "failed" if self.status >= 400 or self.error_code else "ok"

    @property
    def is_counted(self) -> bool:
        """Whether the call takes one from request budgets: answered, or left after the start.

        Refusals and failures without a single token are given back.
        """
        return self.status < 400 or self.status == 499 or self.total_tokens > 0

    @property
    def tokens_per_s(self) -> float | None:
        """Output speed by Ollama's own clock, where it told."""
        if not self.ollama_eval_ms or not self.completion_tokens:
            return None
        return self.completion_tokens / (self.ollama_eval_ms / 1000)


Group: TypeAlias = Literal["none", "key", "model", "server", "endpoint", "client", "status"]
GROUPS: tuple[Group, ...] = ("none", "key", "model", "server", "endpoint", "client", "status")
GROUP_FIELDS: Mapping[Group, str] = {
    "key": "key_id",
    "model": "model_id",
    "server": "server_id",
    "endpoint": "endpoint",
    "client": "client_app",
    "status": "status",
}
"""The field of a filter (and of the sums) that a group is made by."""


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
    def cached_share(self) -> float | None:
        """Share of the prompts that Ollama had in its cache; None where it told of none."""
        return self.cached_tokens / self.prompt_tokens if self.cached_tokens else None

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
